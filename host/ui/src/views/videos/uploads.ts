/** Uploads: a few at a time, with their progress; each becomes a video that is started. */
import { signal, type Signal } from '@preact/signals';
import { api, ask, Problem } from '../../lib/api';
import { address } from '../../lib/base';
import { report } from '../../lib/notices';
import type { VideoWrite } from '../../lib/types';
import { T } from '../../texts';
import { receive } from './store';

const AT_A_TIME = 2;

export interface Upload {
  /** Of the video that it belongs to. */
  video: number;
  file: File;
  sent: Signal<number>;
  /** Bytes a second, 0 as long as that is not known. */
  rate: Signal<number>;
  state: Signal<'waiting' | 'sending' | 'failed' | 'done'>;
  error: Signal<string | null>;
  cancel: () => void;
}

/** By video. What is done is not in it any more. */
export const uploads = signal<ReadonlyMap<number, Upload>>(new Map());
const waiting: Upload[] = [];
let running = 0;

window.addEventListener('beforeunload', (event) => {
  if (running > 0) event.preventDefault();
});

/** Makes a video of each file, in order, and sends it. */
export async function add(files: File[], settings: Omit<VideoWrite, 'name'>): Promise<void> {
  for (const file of files) {
    try {
      const name = file.name.replace(/\.[^.]+$/, '').slice(0, 256) || file.name;
      const video = await ask(api.POST('/videos/', { body: { ...settings, name } }));
      const upload: Upload = {
        video: video.id,
        file,
        sent: signal(0),
        rate: signal(0),
        state: signal('waiting'),
        error: signal(null),
        cancel: () => {},
      };
      uploads.value = new Map(uploads.value).set(video.id, upload);
      receive(video);
      waiting.push(upload);
      startNext();
    } catch (cause) {
      report(cause);
      return;
    }
  }
}

export function retry(upload: Upload): void {
  upload.state.value = 'waiting';
  upload.error.value = null;
  waiting.push(upload);
  startNext();
}

export function forget(upload: Upload): void {
  const at = waiting.indexOf(upload);
  if (at >= 0) waiting.splice(at, 1);
  const now = new Map(uploads.value);
  now.delete(upload.video);
  uploads.value = now;
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
  upload.state.value = 'sending';
  try {
    await send(upload);
    const path = { params: { path: { id: upload.video } } };
    await ask(api.POST('/videos/{id}/process/', path));
    receive(await ask(api.GET('/videos/{id}/', path)));
    upload.state.value = 'done';
    forget(upload);
  } catch (cause) {
    upload.state.value = 'failed';
    upload.error.value = cause instanceof Error ? cause.message : String(cause);
  }
}

/** By XMLHttpRequest: `fetch` tells nothing of how far an upload is. */
function send(upload: Upload): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    upload.cancel = () => request.abort();
    const began = performance.now();
    request.open('PUT', address(`/videos/${upload.video}/upload/source_file/`));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.onprogress = (event) => {
      upload.sent.value = event.loaded;
      const seconds = (performance.now() - began) / 1000;
      if (seconds > 0.5) upload.rate.value = event.loaded / seconds;
    };
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
    request.onerror = () => reject(new Problem(0, 'UNREACHABLE', T.upload.interrupted));
    request.onabort = () => reject(new Problem(0, 'ABORTED', T.upload.cancelled));
    request.send(upload.file);
  });
}
