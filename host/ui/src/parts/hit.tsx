/** An object as a picture that leads to the second at which it was seen best. */
import type { ComponentChildren } from 'preact';
import { clock } from '../lib/format';
import { names, videoOf } from '../lib/names';
import { link } from '../lib/route';
import type { VideoObject } from '../lib/types';
import { T } from '../texts';
import { IconButton } from './button';
import { Thumbnail } from './picture';

/** Height of a hit, and narrowest width, in rem. */
export const HIT = { rowHeight: 14.5, columnWidth: 9.5, gap: 0.75 };

export function Hit({
  object,
  children,
  mark,
  action,
}: {
  object: VideoObject;
  children?: ComponentChildren;
  /** Another button. */
  action?: ComponentChildren;
  mark?: string | undefined;
}) {
  const video = videoOf(object.id);
  const name = T.track(object.type, object.track_id);
  const place = names.value.get(video) ?? T.video.unnamed(video);
  return (
    <article class="hit">
      <a
        href={link(`videos/${video}`, { t: object.best_time.toFixed(2) })}
        title={T.hit.open(place, clock(object.best_time, true))}
      >
        <Thumbnail id={object.id} type={object.type} alt={name} />
        {children && <span class="hit-badge">{children}</span>}
        <span class="hit-place">{place}</span>
        <span class="hit-time">
          {clock(object.best_time, true)}
          {mark && ` · ${mark}`}
        </span>
      </a>
      <IconButton
        icon="search"
        class="hit-search"
        label={T.card.where(name)}
        onClick={() => (location.hash = link('search', { object: object.id }))}
      />
      {action}
    </article>
  );
}
