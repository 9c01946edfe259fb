/** One video in the list: its picture, state, progress, counts. */
import type { Signal } from '@preact/signals';
import { address } from '../../lib/base';
import { bytes, clock, count, date, duration, fullDate, percent } from '../../lib/format';
import { link } from '../../lib/route';
import type { Video } from '../../lib/types';
import { mayOperate } from '../../lib/session';
import { counts, isWorking, lightOf, nameOf, sentence } from '../../lib/video';
import { IconButton } from '../../parts/button';
import { Icon, typeIcon } from '../../parts/icon';
import { Picture, Thumbnail } from '../../parts/picture';
import { Progress, StatusLight } from '../../parts/status';
import { T } from '../../texts';
import { process, remove, stop } from './actions';
import { fresh, select, selected } from './store';
import { begun } from './begun';
import { forget, pause, resume, uploads, type Upload } from './uploads';

function Counts({ video }: { video: Video }) {
  return (
    <ul class="counts" aria-label={T.video.found}>
      {counts(video).map(({ type, found, identities }) => (
        <li
          key={type}
          title={T.video.countTitle(type, found, identities)}
          class={`counts-${type}${found === 0 ? ' counts-none' : ''}`}
        >
          <Icon name={typeIcon(type)} size={18} />
          <span>
            <span aria-hidden="true">{count(found)}</span>
            <span class="visually-hidden">{T.typeCount(type, found)}</span>
            {identities !== null && identities > 0 && identities !== found && (
              <small>{T.video.ofIdentities(type, identities)}</small>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

function sentenceOf({ place, sent, rate, state, error }: Upload): string {
  const size = place.file.size;
  switch (state.value) {
    case 'waiting':
      return T.upload.waiting;
    case 'paused':
      return T.upload.paused(bytes(sent.value), bytes(size));
    case 'broken':
      return T.upload.broken(bytes(sent.value), bytes(size));
    case 'failed':
      return error.value ?? '';
    case 'sending':
      return T.upload.sending(
        bytes(sent.value),
        bytes(size),
        rate.value > 0 ? duration((size - sent.value) / rate.value) : null,
      );
  }
}

const UPLOAD_LIGHTS = {
  waiting: 'active',
  sending: 'active',
  paused: 'gray',
  broken: 'yellow',
  failed: 'red',
} as const;

function Sending({ upload }: { upload: Upload }) {
  const { place, sent } = upload;
  const state = upload.state.value;
  const stands = state === 'paused' || state === 'failed';
  return (
    <div class="row-state">
      <p class="row-sentence">
        <StatusLight light={UPLOAD_LIGHTS[state]} />
        {sentenceOf(upload)}
      </p>
      {state !== 'failed' && (
        <Progress share={place.file.size > 0 ? sent.value / place.file.size : 0} label={T.upload.progress} />
      )}
      <span class="row-inline">
        <button type="button" class="text-button" onClick={() => (stands ? resume(upload) : pause(upload))}>
          {state === 'failed' ? T.retry : stands ? T.upload.resume : T.upload.pause}
        </button>
        <button type="button" class="text-button" onClick={() => forget(upload)}>
          {state === 'failed' ? T.dismiss : T.cancel}
        </button>
      </span>
    </div>
  );
}

function State({ video }: { video: Video }) {
  const working = isWorking(video);
  const earlier = video.file_size === 0 ? begun.value.find((one) => one.video === video.id) : undefined;
  const text = earlier ? T.upload.interrupted(earlier.name) : sentence(video);
  return (
    <div class="row-state">
      <p class="row-sentence" title={text}>
        <StatusLight light={earlier ? 'yellow' : lightOf(video)} />
        <span>{text}</span>
      </p>
      {working && video.health_status.status !== 'AWAITING' && (
        <>
          <Progress share={video.progress ?? null} label={T.video.progress} />
          {typeof video.progress === 'number' && <span class="row-percent">{percent(video.progress)}</span>}
        </>
      )}
    </div>
  );
}

/** What was found last, as it is found. */
function Fresh({ video }: { video: Video }) {
  const found = fresh.value.get(video.id);
  if (!found || !isWorking(video)) return null;
  return (
    <ul class="fresh" aria-label={T.video.fresh}>
      {found.map((id) => (
        <li key={id}>
          <Thumbnail id={id} type={id.split('-')[2] ?? ''} alt={T.typeOne(id.split('-')[2] ?? '')} />
        </li>
      ))}
    </ul>
  );
}

export function Row({ video: of }: { video: Signal<Video> }) {
  const video = of.value;
  const isSelected = selected.value.has(video.id);
  const upload = uploads.value.get(video.id);
  const name = nameOf(video);
  const href = link(`videos/${video.id}`);
  const working = isWorking(video);
  const hasSource = video.file_size > 0 || Boolean(video.url);
  return (
    <article class={isSelected ? 'row row-selected' : 'row'}>
      {mayOperate.value && (
        <input
          class="row-check"
          type="checkbox"
          aria-label={T.video.select(name)}
          checked={isSelected}
          onChange={(event) => select(video.id, event.currentTarget.checked)}
        />
      )}
      <a class="row-picture" href={href} tabIndex={-1} aria-hidden="true">
        {hasSource && !upload ? (
          <Picture
            src={address(`/videos/${video.id}/screenshot/`, { width: 320, v: video.file_size })}
            alt=""
            icon="videos"
          />
        ) : (
          <span class="picture">
            <Icon name={video.url ? 'globe' : 'videos'} size={24} />
          </span>
        )}
        {video.source_len !== null && <span class="row-length">{clock(video.source_len)}</span>}
      </a>
      <div class="row-main">
        <h2 class="row-name">
          <a href={href} title={name}>
            {name}
          </a>
        </h2>
        {upload ? <Sending upload={upload} /> : <State video={video} />}
      </div>
      <Fresh video={video} />
      <Counts video={video} />
      <time class="row-date" dateTime={video.created_date} title={fullDate(video.created_date)}>
        {date(video.created_date)}
      </time>
      {mayOperate.value && (
        <div class="row-actions">
          {working ? (
            <IconButton icon="stop" label={T.action.stopOne(name)} onClick={() => void stop([video.id])} />
          ) : (
            <IconButton
              icon={video.finished ? 'retry' : 'play'}
              label={video.finished ? T.action.processAgain(name) : T.action.processOne(name)}
              disabled={!hasSource || Boolean(upload)}
              onClick={() => void process([video.id], video.finished)}
            />
          )}
          <IconButton icon="trash" label={T.action.deleteOne(name)} onClick={() => void remove([video.id], name)} />
        </div>
      )}
    </article>
  );
}
