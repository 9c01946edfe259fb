/** An identity as a card: its best picture, its name, how often it was seen. */
import type { ComponentChildren } from 'preact';
import { clock } from '../../lib/format';
import { link } from '../../lib/route';
import type { Cluster } from '../../lib/types';
import { typeIcon } from '../../parts/icon';
import { Picture, thumbnail } from '../../parts/picture';
import { T } from '../../texts';

/** Height of a card, and narrowest width, in rem. */
export const CARD = { rowHeight: 14.75, columnWidth: 9, gap: 0.75 };

/** What stands on a card, also where it is no link. */
export function Face({ cluster, children }: { cluster: Cluster; children?: ComponentChildren }) {
  const seen = T.people.appearances(cluster.size);
  const guess = cluster.named_alike && T.people.looksLike(cluster.named_alike.name);
  return (
    <>
      <Picture
        src={thumbnail(cluster.best)}
        alt={T.people.one(cluster.type)}
        icon={typeIcon(cluster.type)}
        contain
        class="thumbnail"
      />
      <strong>{cluster.name ?? seen}</strong>
      {children ?? (
        <span class="hit-time">
          {cluster.name !== null ? seen : (guess ?? `${clock(cluster.first_time)} – ${clock(cluster.last_time)}`)}
        </span>
      )}
    </>
  );
}

export function Card({ cluster, children }: { cluster: Cluster; children?: ComponentChildren }) {
  return (
    <a class="identity" href={link(`people/${encodeURIComponent(cluster.id)}`)}>
      <Face cluster={cluster}>{children}</Face>
    </a>
  );
}
