/** The dialog that makes one identity of two: all others of the video, the most similar first. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { percent } from '../../lib/format';
import { videoOf } from '../../lib/names';
import { attempt } from '../../lib/notices';
import type { Cluster } from '../../lib/types';
import { Dialog } from '../../parts/dialog';
import { Waiting } from '../../parts/status';
import { T } from '../../texts';
import { merge, similar } from './actions';
import { Face } from './card';

/** `onDone`: both are one identity now, or are not to be. */
export function MergeDialog({ cluster, onDone }: { cluster: Cluster; onDone: () => void }) {
  const others = useSignal<Cluster[] | null>(null);
  const isBusy = useSignal(false);
  useEffect(() => {
    void attempt(async () => (others.value = await similar(cluster, 0, videoOf(cluster.id))));
  }, [cluster.id]);
  const choose = async (other: Cluster) => {
    isBusy.value = true;
    const changed = await merge(cluster, other.id);
    isBusy.value = false;
    if (changed) onDone();
  };
  return (
    <Dialog title={T.people.mergeTitle} wide onClose={() => onDone()}>
      <p class="hint">{others.value?.length === 0 ? T.people.mergeNone : T.people.mergeText}</p>
      {others.value === null && <Waiting>{T.people.loading}</Waiting>}
      <ul class="merge">
        {others.value?.map((other) => (
          <li key={other.id}>
            <button type="button" class="identity" disabled={isBusy.value} onClick={() => void choose(other)}>
              <Face cluster={other}>
                <span class="hit-time">{T.people.alike(percent(other.looks_like_confidence ?? 0))}</span>
              </Face>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
