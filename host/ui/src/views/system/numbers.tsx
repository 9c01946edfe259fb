/** A few numbers of the last two minutes, out of the events that the page gets anyway. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask } from '../../lib/api';
import { count, decimal } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt } from '../../lib/notices';
import type { Health, Video } from '../../lib/types';
import { Spark } from '../../parts/spark';
import { T } from '../../texts';

const SAMPLE_MS = 1000;
const SAMPLES = 120;
/** Every so many samples one is told to who does not see the line. */
const TOLD_EVERY = 10;
const MINUTE_MS = 60_000;
const MOST_JOBS = 100;

interface Sample {
  fps: number;
  found: number;
  queued: number;
  waiting: number;
}

const NUMBERS: { of: keyof Sample; name: string; format: (value: number) => string }[] = [
  { of: 'fps', name: T.system.fps, format: decimal },
  { of: 'found', name: T.system.found, format: count },
  { of: 'queued', name: T.system.queued, format: count },
  { of: 'waiting', name: T.system.deliveriesWaiting, format: count },
];

export function Numbers({ health }: { health: Health }) {
  const samples = useSignal<Sample[]>([]);
  const latest = useRef(health);
  latest.current = health;
  useEffect(() => {
    /** Frames a second of each running job, by video. */
    const running = new Map<number, number>();
    /** When objects were found. */
    let found: number[] = [];
    const put = ({ id, health_status: { status, statistic } }: Video) => {
      if (status === 'INPROGRESS') running.set(id, statistic.processing_fps ?? 0);
      else running.delete(id);
    };
    const ends = [
      on('video', put),
      on('video_deleted', ({ id }) => running.delete(id)),
      on('object', () => found.push(performance.now())),
    ];
    void attempt(async () => {
      const query = { status: ['INPROGRESS' as const], limit: MOST_JOBS };
      (await ask(api.GET('/videos/', { params: { query } }))).results.forEach(put);
    });
    const sample = () => {
      found = found.filter((at) => at > performance.now() - MINUTE_MS);
      const { jobs, deliveries } = latest.current;
      const fps = [...running.values()].reduce((sum, one) => sum + one, 0);
      const now = { fps, found: found.length, queued: jobs.queued, waiting: deliveries.waiting };
      samples.value = [...samples.value, now].slice(-SAMPLES);
    };
    sample();
    const timer = setInterval(sample, SAMPLE_MS);
    return () => {
      clearInterval(timer);
      ends.forEach((end) => end());
    };
  }, []);
  const last = samples.value.at(-1);
  return (
    <>
      <dl class="facts numbers">
        {NUMBERS.map(({ of, name, format }) => {
          const values = samples.value.map((sample) => sample[of]);
          const told = values.filter((_, i) => (values.length - 1 - i) % TOLD_EVERY === 0).map(format);
          return (
            <div key={of}>
              <dt>{name}</dt>
              <dd>{last ? format(last[of]) : '–'}</dd>
              <dd>
                <Spark values={values} most={SAMPLES} label={T.system.numberSince(name, told.join(', '))} />
              </dd>
            </div>
          );
        })}
      </dl>
      <p class="hint">{T.system.numbersHint}</p>
    </>
  );
}
