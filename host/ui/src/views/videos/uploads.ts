/**
 * Uploads: a few at a time, with their progress; each becomes a video that is started. What breaks
 * off goes on by itself, and each can be paused.
 */
import { signal, type Signal } from '@preact/signals';
import { api, ask, isAbort, Problem } from '../../lib/api';
import { on } from '../../lib/live';
import { report } from '../../lib/notices';
import { discard, send, type Place } from '../../lib/tus';
import type { Video, VideoWrite } from '../../lib/types';
import * as begun from './begun';
import { receive } from './store';

const AT_A_TIME = 2;
/** The time over which the rate is measured, at least. */
const RATE_S = 0.5;

export interface Upload {
  place: Place;
  sent: Signal<number>;
  /** Bytes a second, 0 as long as that is not known. */
  rate: Signal<number>;
  /** `broken`: it goes on by itself as soon as the server can be reached. */
  state: Signal<'waiting' | 'sending' | 'broken' | 'paused' | 'failed'>;
  error: Signal<string | null>;
  /** Ends the request of an upload that is under way. */
  stop: () => void;
}

/** By video. What is done is not in it any more. */
export const uploads = signal<ReadonlyMap<number, Upload>>(new Map());
const waiting: Upload[] = [];
let running = 0;

window.addEventListener('beforeunload', (event) => {
  if ([...uploads.value.values()].some(({ state }) => state.value !== 'failed')) event.preventDefault();
});
on('video_deleted', ({ id }) => {
  const upload = uploads.value.get(id);
  if (upload) forget(upload);
  begun.drop(id);
});

/** Makes a video of each file, in order, and sends it. */
export async function add(files: File[], settings: Omit<VideoWrite, 'name'>): Promise<void> {
  for (const file of files) {
    try {
      const earlier = await interrupted(file, settings);
      const name = file.name.replace(/\.[^.]+$/, '').slice(0, 256) || file.name;
      const video = earlier?.video ?? (await ask(api.POST('/videos/', { body: { ...settings, name } })));
      const upload: Upload = {
        place: { video: video.id, file, name: earlier?.upload ?? null },
        sent: signal(0),
        rate: signal(0),
        state: signal('waiting'),
        error: signal(null),
        stop: () => {},
      };
      uploads.value = new Map(uploads.value).set(video.id, upload);
      receive(video);
      enqueue(upload);
    } catch (cause) {
      report(cause);
      return;
    }
  }
}

/** The video that this file was on its way to when the page was left, with the settings of now. */
async function interrupted(
  file: File,
  settings: Omit<VideoWrite, 'name'>,
): Promise<{ video: Video; upload: string } | null> {
  const earlier = begun.of(file);
  if (!earlier || uploads.value.has(earlier.video)) return null;
  const path = { params: { path: { id: earlier.video } } };
  try {
    const { file_size: size } = await ask(api.GET('/videos/{id}/', path));
    if (size === 0) {
      const video = await ask(api.PATCH('/videos/{id}/', { ...path, body: settings }));
      return { video, upload: earlier.upload };
    }
  } catch (cause) {
    if (!(cause instanceof Problem && cause.status === 404)) throw cause;
  }
  // It came to its end elsewhere, or its video was deleted.
  begun.drop(earlier.video);
  return null;
}

function enqueue(upload: Upload): void {
  upload.state.value = 'waiting';
  upload.error.value = null;
  waiting.push(upload);
  startNext();
}

/** Goes on with an upload that was paused or that failed, from where it is. */
export function resume(upload: Upload): void {
  enqueue(upload);
}

export function pause(upload: Upload): void {
  leaveQueue(upload);
  upload.stop();
  upload.state.value = 'paused';
}

/** Gives an upload up; its video stays, without a source. */
export function forget(upload: Upload): void {
  leaveQueue(upload);
  upload.stop();
  begun.drop(upload.place.video);
  const now = new Map(uploads.value);
  now.delete(upload.place.video);
  uploads.value = now;
  // One that the server keeps ends by itself in the end.
  void discard(upload.place).catch(() => {});
}

function leaveQueue(upload: Upload): void {
  const at = waiting.indexOf(upload);
  if (at >= 0) waiting.splice(at, 1);
}

function startNext(): void {
  while (running < AT_A_TIME) {
    const upload = waiting.shift();
    if (!upload) return;
    running++;
    void run(upload).finally(() => {
      running--;
      startNext();
    });
  }
}

async function run(upload: Upload): Promise<void> {
  const { place, sent, rate, state } = upload;
  const stop = new AbortController();
  upload.stop = () => stop.abort();
  state.value = 'sending';
  let from = { time: performance.now(), bytes: -1 };
  try {
    await send(place, stop.signal, {
      begun: () => begun.remember(place),
      sent: (bytes) => {
        if (from.bytes < 0) from = { time: performance.now(), bytes };
        sent.value = bytes;
        const seconds = (performance.now() - from.time) / 1000;
        if (seconds > RATE_S) rate.value = (bytes - from.bytes) / seconds;
      },
      broken: (isBroken) => {
        state.value = isBroken ? 'broken' : 'sending';
        from = { time: performance.now(), bytes: -1 };
        rate.value = 0;
      },
    });
    // Nothing is left to discard.
    place.name = null;
    begun.drop(place.video);
    const path = { params: { path: { id: place.video } } };
    await ask(api.POST('/videos/{id}/process/', path));
    receive(await ask(api.GET('/videos/{id}/', path)));
    forget(upload);
  } catch (cause) {
    if (isAbort(cause)) return;
    state.value = 'failed';
    upload.error.value = cause instanceof Error ? cause.message : String(cause);
  }
}
