/** What a replay gives: objects gained, lost and changed, as pictures with the reason. */
import type { ComponentChildren } from 'preact';
import { useSignal } from '@preact/signals';
import { clock, count, percent } from '../../lib/format';
import { link } from '../../lib/route';
import type { Decision, Replay } from '../../lib/types';
import { Thumbnail } from '../../parts/picture';
import { Progress } from '../../parts/status';
import { T } from '../../texts';
import { Crop } from './crop';
import type { Tuning } from './state';

const FIRST = 24;

/** `face` and `3` of `6-1-face-3-0`. */
function partsOf(id: string): { type: string; track: number } {
  const parts = id.split('-');
  return { type: parts.slice(2, -2).join('-'), track: Number(parts.at(-2)) };
}

/** The settings that rules of shipped plugins compare with. */
const LIMITS: Record<string, string> = {
  'size min': 'filter_min_size',
  'size max': 'filter_max_size',
  'quality min': 'filter_min_quality',
  'track-length min': 'filter_track_min_duration_frames',
};

/** Why the replay dropped something, with the value that the setting has now. */
function reasonOf(tuning: Tuning, reason: Decision | null | undefined): string {
  if (!reason) return '';
  const key = LIMITS[`${reason.plugin} ${reason.rule}`];
  const limit = key ? tuning.value(`detectors.${reason.type}.${key}`) : undefined;
  return T.tune.reason(reason.plugin, reason.rule, reason.value, limit === undefined ? null : String(limit));
}

/** An object as a picture that leads to its second. */
interface Shown {
  object: string;
  /** `null` where it differs in its two forms. */
  time: number | null;
  /** The picture; that of the archive without it. */
  picture?: ComponentChildren;
  text: ComponentChildren;
}

function Tile({ video, shown: { object, time, picture, text } }: { video: number; shown: Shown }) {
  const { type, track } = partsOf(object);
  return (
    <li>
      <a class="tile" href={link(`videos/${video}`, { t: time?.toFixed(2) })}>
        {picture ?? <Thumbnail id={object} type={type} alt="" />}
        <span class="tile-text">
          <strong>{T.track(type, track)}</strong>
          {time !== null && <span>{clock(time, true)}</span>}
          {text}
        </span>
      </a>
    </li>
  );
}

function Group({ video, kind, items }: { video: number; kind: 'gained' | 'lost' | 'changed'; items: Shown[] }) {
  const isAll = useSignal(false);
  if (items.length === 0) return null;
  const some = isAll.value ? items : items.slice(0, FIRST);
  return (
    <section class={`outcome outcome-${kind}`} aria-label={T.tune[kind](items.length)}>
      <h2>{T.tune[kind](items.length)}</h2>
      <ul class="tiles">
        {some.map((shown) => (
          <Tile key={shown.object} video={video} shown={shown} />
        ))}
      </ul>
      {some.length < items.length && (
        <button type="button" class="text-button" onClick={() => (isAll.value = true)}>
          {T.tune.showAll(items.length)}
        </button>
      )}
    </section>
  );
}

/** The sums; each leads to its pictures, which a phone shows below the form. */
function Balance({ replay }: { replay: Replay }) {
  const sums = [
    { kind: 'gained', number: replay.gained.length, mark: '+', label: T.tune.gainedShort },
    { kind: 'lost', number: replay.lost.length, mark: '−', label: T.tune.lostShort },
    { kind: 'changed', number: replay.changed.length, mark: '', label: T.tune.changedShort },
  ];
  return (
    <div class="balance" role="status">
      <p>
        <strong>{count(replay.objects)}</strong> {T.tune.objects(replay.objects)}
      </p>
      {sums.map(({ kind, number, mark, label }) => (
        <button
          key={kind}
          type="button"
          class={number > 0 ? `balance-${kind}` : ''}
          disabled={number === 0}
          onClick={() =>
            document.querySelector(`.outcome-${kind}`)?.scrollIntoView({ behavior: 'smooth', block: 'center' })
          }
        >
          <strong>
            {number > 0 && mark}
            {count(number)}
          </strong>{' '}
          {label}
        </button>
      ))}
      <p>
        <strong>{count(replay.same)}</strong> {T.tune.sameShort}
      </p>
    </div>
  );
}

export function Outcome({ tuning }: { tuning: Tuning }) {
  const replay = tuning.replay.value;
  const id = tuning.id;
  if (!replay) return null;
  const nothing = replay.gained.length + replay.lost.length + replay.changed.length === 0;
  const gained = replay.gained.map(({ id: object, time, bbox, quality }) => ({
    object,
    time,
    picture: <Crop video={id} time={time} bbox={bbox} type={partsOf(object).type} />,
    text: <span>{T.card.quality(percent(quality))}</span>,
  }));
  const lost = replay.lost.map(({ id: object, time, reason }) => ({
    object,
    time,
    text: <span class="tile-reason">{reasonOf(tuning, reason) || T.tune.noReason}</span>,
  }));
  const changed = replay.changed.map(({ before: object, fields }) => ({
    object,
    time: null,
    text: <span>{T.tune.fields(fields)}</span>,
  }));
  return (
    <div class={tuning.isReplaying.value ? 'outcomes outcomes-old' : 'outcomes'}>
      <Balance replay={replay} />
      <p class="hint">{T.tune.speed(count(replay.frames), Math.round(tuning.took.value ?? 0))}</p>
      <div class="outcome-progress">
        {tuning.isReplaying.value && <Progress share={null} label={T.tune.replaying} />}
      </div>
      {nothing && <p class="outcome-none">{tuning.isChanged.value ? T.tune.noDifference : T.tune.unchanged}</p>}
      <Group video={id} kind="gained" items={gained} />
      <Group video={id} kind="lost" items={lost} />
      <Group video={id} kind="changed" items={changed} />
    </div>
  );
}
