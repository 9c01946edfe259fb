/** One search: its picture, what was found in it, the hits, and how alike they have to be. */
import { batch, computed, signal } from '@preact/signals';
import { isAbort, plain, Problem } from '../../lib/api';
import { address } from '../../lib/base';
import { videoOf, wantNames } from '../../lib/names';
import { report } from '../../lib/notices';
import type { SearchResult, VideoObject } from '../../lib/types';

/** The most that the server returns. */
const MOST = 1000;
/** From here on two count as the same identity. */
const SAME = 0.5;
export const BINS = 50;

export const picture = signal<{ blob: Blob; url: string } | null>(null);
/** The object whose picture it is, if it is one's. */
export const object = signal<VideoObject | null>(null);
export const type = signal('');
export const result = signal<SearchResult | null>(null);
export const problem = signal<string | null>(null);
export const isBusy = signal(false);
export const threshold = signal(SAME);

export const hits = computed(() => (result.value?.results ?? []).filter((hit) => hit.similarity >= threshold.value));
export const videos = computed(() => new Set(hits.value.map((hit) => videoOf(hit.object.id))).size);
/** How many results there are of each similarity. */
export const histogram = computed(() => {
  const bins = new Array<number>(BINS).fill(0);
  for (const { similarity } of result.value?.results ?? []) {
    const bin = Math.min(BINS - 1, Math.floor(similarity * BINS));
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return bins;
});

let running: AbortController | null = null;

export function clear(): void {
  running?.abort();
  if (picture.value) URL.revokeObjectURL(picture.value.url);
  batch(() => {
    picture.value = null;
    object.value = null;
    result.value = null;
    problem.value = null;
    type.value = '';
  });
}

function show(blob: Blob): void {
  if (picture.value) URL.revokeObjectURL(picture.value.url);
  picture.value = { blob, url: URL.createObjectURL(blob) };
}

async function send(blob: Blob, signal: AbortSignal): Promise<SearchResult> {
  const url = address('/search/', { limit: MOST, type: type.value || undefined });
  const response = await plain(url, {
    method: 'POST',
    body: blob,
    headers: { 'Content-Type': blob.type || 'application/octet-stream' },
    signal,
  });
  return (await response.json()) as SearchResult;
}

async function run(search: (signal: AbortSignal) => Promise<SearchResult>): Promise<void> {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  batch(() => {
    isBusy.value = true;
    problem.value = null;
  });
  try {
    const found = await search(mine.signal);
    if (mine.signal.aborted) return;
    wantNames(found.results.map((hit) => videoOf(hit.object.id)));
    result.value = found;
  } catch (cause) {
    if (isAbort(cause)) return;
    result.value = null;
    if (cause instanceof Problem && cause.status < 500) problem.value = cause.message;
    else report(cause);
  } finally {
    if (running === mine) isBusy.value = false;
  }
}

/** Looks for what a picture shows. */
export function byPicture(blob: Blob): void {
  batch(() => {
    show(blob);
    object.value = null;
  });
  void run((signal) => send(blob, signal));
}

/** The same picture once more, with another type. */
export function again(of: string): void {
  type.value = of;
  const blob = picture.value?.blob;
  if (blob) void run((signal) => send(blob, signal));
}

/** Looks for where else an object is. */
export function byObject(id: string): void {
  void run(async (signal) => {
    const kind = id.split('-')[2] ?? '';
    type.value = kind;
    const fetched = async (path: string) => (await plain(path, { signal })).blob();
    const crop = await fetched(`/objects/${encodeURIComponent(id)}/thumbnail/`);
    show(crop);
    let found: SearchResult;
    try {
      found = await send(crop, signal);
    } catch (cause) {
      // A crop may be too tight for the detector: the whole frame has room around.
      if (!(cause instanceof Problem) || cause.param !== 'body') throw cause;
      const frame = await fetched(`/objects/${encodeURIComponent(id)}/fullframe/`);
      show(frame);
      found = await send(frame, signal);
    }
    object.value = found.results.find((hit) => hit.object.id === id)?.object ?? null;
    return found;
  });
}

/** A part of the picture, in its pixels. */
export async function byPart(left: number, top: number, width: number, height: number): Promise<void> {
  const whole = picture.value;
  if (!whole) return;
  const bitmap = await createImageBitmap(whole.blob, left, top, width, height);
  const canvas = document.createElement('canvas');
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  bitmap.close();
  canvas.toBlob((blob) => blob && byPicture(blob), 'image/jpeg', 0.95);
}
