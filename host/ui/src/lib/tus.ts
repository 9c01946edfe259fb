/**
 * Uploads by the protocol tus 1.0.0, of which a page needs this much: begin, ask how far it came, send
 * the rest. An upload goes on by itself after a broken connection, at the byte that the server has.
 */
import { api, ask, isAbort, plain, Problem } from './api';
import { address } from './base';
import { T } from '../texts';

const VERSION = { 'Tus-Resumable': '1.0.0' };
const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;
/**
 * A server may take a minute to notice that the connection before this one is gone, and says
 * meanwhile that another request sends the file.
 */
const MOST_CONFLICTS = 8;

/** Where an upload is. It has a name once it was begun, and keeps it while it is paused. */
export interface Place {
  video: number;
  file: File;
  name: string | null;
}

export interface Listener {
  /** The server has given the upload its name. */
  begun: () => void;
  /** So many bytes of the file were sent. */
  sent: (bytes: number) => void;
  /** The connection is broken, or is there again. */
  broken: (isBroken: boolean) => void;
}

function path({ video, name }: Place): string {
  return `/videos/${video}/uploads/${name === null ? '' : `${name}/`}`;
}

/**
 * Sends a file, from where it broke off, until all of it is the video's source. Aborting the signal
 * pauses it.
 */
export async function send(place: Place, signal: AbortSignal, listener: Listener): Promise<void> {
  let wait = FIRST_WAIT_MS;
  let conflicts = 0;
  let before = -1;
  for (;;) {
    try {
      const named = place.name;
      const offset = await offsetOf(place, signal);
      if (place.name !== named) listener.begun();
      if (offset === null) return;
      if (offset > before) [wait, conflicts] = [FIRST_WAIT_MS, 0];
      before = offset;
      listener.broken(false);
      listener.sent(offset);
      await append(place, offset, signal, listener.sent);
      return;
    } catch (cause) {
      if (isAbort(cause) || !(cause instanceof Problem)) throw cause;
      const isConflict = place.name !== null && [404, 409, 423].includes(cause.status);
      if (isConflict && ++conflicts > MOST_CONFLICTS) throw cause;
      if (!isConflict && cause.status !== 0 && cause.status < 500) throw cause;
      listener.broken(true);
      await sleep(wait, signal);
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
    }
  }
}

/** Tells the server that an upload is not wanted any more. */
export async function discard(place: Place): Promise<void> {
  if (place.name !== null) await plain(path(place), { method: 'DELETE', headers: VERSION });
}

/** How far it came; begins it where it is not begun. `null` where the video has all of it already. */
async function offsetOf(place: Place, signal: AbortSignal): Promise<number | null> {
  if (place.name !== null) {
    try {
      const state = await plain(path(place), { method: 'HEAD', headers: VERSION, signal });
      return Number(state.headers.get('Upload-Offset') ?? 0);
    } catch (cause) {
      if (!(cause instanceof Problem && cause.status === 404)) throw cause;
      // It ended, and the answer got lost; or it was too long ago.
      const video = await ask(api.GET('/videos/{id}/', { params: { path: { id: place.video } }, signal }));
      if (video.file_size === place.file.size) return null;
      place.name = null;
    }
  }
  const headers = { ...VERSION, 'Upload-Length': String(place.file.size) };
  const begun = await plain(path(place), { method: 'POST', headers, signal });
  // Its last part alone: the address may lead to another host than the page's.
  place.name = begun.headers.get('Location')?.split('/').at(-2) ?? null;
  if (place.name === null) throw new Problem(begun.status, 'UNKNOWN_ERROR', T.problem.status(begun.status));
  return 0;
}

/** By XMLHttpRequest: `fetch` tells nothing of how far an upload is. */
function append(place: Place, offset: number, signal: AbortSignal, sent: (bytes: number) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener('abort', abort);
    request.open('PATCH', address(path(place)));
    const headers = {
      ...VERSION,
      'Content-Type': 'application/offset+octet-stream',
      'Upload-Offset': String(offset),
    };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => sent(offset + event.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      let text = T.problem.status(request.status);
      try {
        text = (JSON.parse(request.responseText) as { desc?: string }).desc ?? text;
      } catch {
        // A proxy's answer is not the API's.
      }
      reject(new Problem(request.status, 'UPLOAD', text));
    };
    request.onerror = () => reject(new Problem(0, 'UNREACHABLE', T.problem.unreachable));
    request.onabort = () => reject(new DOMException('', 'AbortError'));
    request.onloadend = () => signal.removeEventListener('abort', abort);
    request.send(place.file.slice(offset));
  });
}

/** Waits, but not longer than until the browser says that it is connected again. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      signal.removeEventListener('abort', done);
      if (signal.aborted) reject(new DOMException('', 'AbortError'));
      else resolve();
    }
    window.addEventListener('online', done);
    signal.addEventListener('abort', done);
  });
}
