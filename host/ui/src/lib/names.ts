/** Names of videos by id, read once for as many as are wanted at a time. */
import { signal } from '@preact/signals';
import { api, ask } from './api';
import { on } from './live';
import { report } from './notices';
import { nameOf } from './video';

/** `6-1-face-3-0`: video, job, type, track, shot. */
const OBJECT_ID = /^\d+-\d+-[a-z][a-z0-9_]*-\d+-\d+$/;

export const names = signal<ReadonlyMap<number, string>>(new Map());
const asked = new Set<number>();

on('video', (video) => {
  if (names.value.has(video.id)) names.value = new Map(names.value).set(video.id, nameOf(video));
});

/** The id of the video that an object is in: what its own id begins with. */
export function videoOf(object: string): number {
  return Number(object.split('-', 1)[0]);
}

/** The video of an object, where the text is an object's id; otherwise `null`. */
export function videoOfObject(text: string): number | null {
  return OBJECT_ID.test(text.trim()) ? videoOf(text.trim()) : null;
}

export function wantNames(ids: Iterable<number>): void {
  const missing = [...new Set(ids)].filter((id) => !asked.has(id));
  if (missing.length === 0) return;
  missing.forEach((id) => asked.add(id));
  const read = async (some: number[]) => {
    const page = await ask(api.GET('/videos/', { params: { query: { id_in: some, limit: some.length } } }));
    const now = new Map(names.value);
    for (const video of page.results) now.set(video.id, nameOf(video));
    names.value = now;
  };
  for (let i = 0; i < missing.length; i += 200) read(missing.slice(i, i + 200)).catch(report);
}
