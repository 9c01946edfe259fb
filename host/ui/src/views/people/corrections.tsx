/** What was corrected of a video's identities, each with a button that undoes it. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { all, api, ask } from '../../lib/api';
import { date, fullDate } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt } from '../../lib/notices';
import { mayOperate } from '../../lib/session';
import type { Correction } from '../../lib/types';
import { Button } from '../../parts/button';
import { T } from '../../texts';
import { changes, did, undo } from './actions';

const PAGE = 1000;

/** Those of one identity, by their numbers, or all of the video. */
export function Corrections({ video, only }: { video: number; only?: number[] }) {
  const corrections = useSignal<Correction[]>([]);
  const path = { id: video };
  const read = () =>
    void attempt(async () => {
      corrections.value = await all((page) =>
        ask(api.GET('/videos/{id}/corrections/', { params: { path, query: { limit: PAGE, ...(page && { page }) } } })),
      );
    });
  useEffect(() => on('video', ({ id, finished }) => id === video && finished && read()), [video]);
  useEffect(read, [video, changes.value]);
  const shown = corrections.value.filter((correction) => !only || only.includes(correction.id)).reverse();
  if (shown.length === 0) return null;
  return (
    <section class="corrections" aria-label={T.people.corrections}>
      <h2>{T.people.correctionsOf(shown.length)}</h2>
      <ul>
        {shown.map((correction) => (
          <li key={correction.id}>
            <span>
              {did(correction)}
              {correction.state === 'waiting' && <span class="hint">{T.people.waits}</span>}
            </span>
            <time dateTime={correction.created_date} title={fullDate(correction.created_date)}>
              {date(correction.created_date)}
            </time>
            {mayOperate.value && (
              <Button icon="retry" onClick={() => void undo(video, correction.id)}>
                {T.people.undo}
                <span class="visually-hidden">{`: ${did(correction)}`}</span>
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
