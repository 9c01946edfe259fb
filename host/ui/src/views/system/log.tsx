/** The end of the server's log. For administrators. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask } from '../../lib/api';
import { date, fullDate } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt } from '../../lib/notices';
import type { LogLine } from '../../lib/types';
import { Button } from '../../parts/button';
import { Segments } from '../../parts/field';
import { T } from '../../texts';
import { Panel } from './panel';

const LEVELS = ['error', 'warn', 'info'] as const;
type Level = (typeof LEVELS)[number];
const MOST = 1000;
/** What happens is logged: lines are read again after events, but not more often than this. */
const PAUSE_MS = 2000;

const time = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false });

export function Log() {
  const level = useSignal<Level>('warn');
  const lines = useSignal<LogLine[]>([]);
  const area = useRef<HTMLDivElement>(null);
  const generation = useRef(0);

  /** Reads the lines after those that are there. */
  const read = () =>
    attempt(async () => {
      const mine = generation.current;
      const query = { level: level.peek(), after: lines.peek().at(-1)?.id ?? 0 };
      const { results } = await ask(api.GET('/log/', { params: { query } }));
      if (mine !== generation.current || results.length === 0) return;
      const element = area.current;
      const atEnd = !element || element.scrollTop + element.clientHeight > element.scrollHeight - 8;
      const last = lines.peek().at(-1)?.id ?? 0;
      lines.value = [...lines.peek(), ...results.filter((line) => line.id > last)].slice(-MOST);
      // Who looks at older lines is not carried away from them.
      if (atEnd) requestAnimationFrame(() => area.current?.scrollTo(0, area.current.scrollHeight));
    });
  const choose = (value: Level) => {
    generation.current++;
    level.value = value;
    lines.value = [];
    void read();
  };

  useEffect(() => {
    void read();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const later = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void read();
      }, PAUSE_MS);
    };
    const ends = [on('health', later), on('video', later), on('plugin', later), on('delivery', later)];
    ends.push(on('reset', () => choose(level.peek())));
    return () => {
      clearTimeout(timer);
      generation.current++;
      ends.forEach((end) => end());
    };
  }, []);

  return (
    <Panel
      title={T.system.log.title}
      action={
        <div class="log-choice">
          <Segments<Level>
            label={T.system.log.level}
            value={level.value}
            onChange={choose}
            options={LEVELS.map((value) => ({ value, label: T.system.log.levels[value] }))}
          />
          <Button icon="retry" onClick={() => void read()}>
            {T.system.log.again}
          </Button>
        </div>
      }
    >
      <p class="hint">{T.system.log.hint}</p>
      <div class="log" ref={area} tabIndex={0} role="log" aria-label={T.system.log.lines} aria-live="off">
        {lines.value.length === 0 && <p class="muted">{T.system.log.none}</p>}
        {lines.value.map((line) => (
          <p key={line.id} class={`log-line log-${line.level}`}>
            <time dateTime={line.time} title={fullDate(line.time)}>
              {new Date(line.time).toDateString() === new Date().toDateString()
                ? time.format(new Date(line.time))
                : date(line.time)}
            </time>
            <span class="log-level">{T.system.log.marks[line.level]}</span>
            <span class="log-text">{line.text}</span>
          </p>
        ))}
      </div>
    </Panel>
  );
}
