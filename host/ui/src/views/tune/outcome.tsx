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

function Tile({
  href,
  picture,
  title,
  children,
}: {
  href: string;
  picture: ComponentChildren;
  title: string;
  children: ComponentChildren;
}) {
  return (
    <li>
      <a class="tile" href={href}>
        {picture}
        <span class="tile-text">
          <strong>{title}</strong>
          {children}
        </span>
      </a>
    </li>
  );
}

function Group<Item>({
  kind,
  items,
  render,
}: {
  kind: 'gained' | 'lost' | 'changed';
  items: Item[];
  render: (item: Item) => ComponentChildren;
}) {
  const isAll = useSignal(false);
  if (items.length === 0) return null;
  const shown = isAll.value ? items : items.slice(0, FIRST);
  return (
    <section class={`outcome outcome-${kind}`} aria-label={T.tune[kind](items.length)}>
      <h2>{T.tune[kind](items.length)}</h2>
      <ul class="tiles">{shown.map(render)}</ul>
      {shown.length < items.length && (
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
  const at = (time: number) => link(`videos/${id}`, { t: time.toFixed(2) });
  return (
    <div class={tuning.isReplaying.value ? 'outcomes outcomes-old' : 'outcomes'}>
      <Balance replay={replay} />
      <p class="hint">{T.tune.speed(count(replay.frames), Math.round(tuning.took.value ?? 0))}</p>
      <div class="outcome-progress">
        {tuning.isReplaying.value && <Progress share={null} label={T.tune.replaying} />}
      </div>
      {nothing && <p class="outcome-none">{tuning.isChanged.value ? T.tune.noDifference : T.tune.unchanged}</p>}
      <Group
        kind="gained"
        items={replay.gained}
        render={(object) => {
          const { type, track } = partsOf(object.id);
          return (
            <Tile
              key={object.id}
              href={at(object.time)}
              title={T.track(type, track)}
              picture={<Crop video={id} time={object.time} bbox={object.bbox} type={type} />}
            >
              <span>{clock(object.time, true)}</span>
              <span>{T.card.quality(percent(object.quality))}</span>
            </Tile>
          );
        }}
      />
      <Group
        kind="lost"
        items={replay.lost}
        render={(object) => {
          const { type, track } = partsOf(object.id);
          return (
            <Tile
              key={object.id}
              href={at(object.time)}
              title={T.track(type, track)}
              picture={<Thumbnail id={object.id} type={type} alt="" />}
            >
              <span>{clock(object.time, true)}</span>
              <span class="tile-reason">{reasonOf(tuning, object.reason) || T.tune.noReason}</span>
            </Tile>
          );
        }}
      />
      <Group
        kind="changed"
        items={replay.changed}
        render={(object) => {
          const { type, track } = partsOf(object.before);
          return (
            <Tile
              key={object.before}
              href={link(`videos/${id}`)}
              title={T.track(type, track)}
              picture={<Thumbnail id={object.before} type={type} alt="" />}
            >
              <span>{T.tune.fields(object.fields)}</span>
            </Tile>
          );
        }}
      />
    </div>
  );
}
