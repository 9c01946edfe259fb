/** The list of videos: pages of the API as they are needed, kept up to date by events. */
import { batch, computed, signal, type Signal } from '@preact/signals';
import { api, ask, cursor } from '../../lib/api';
import { on, opened } from '../../lib/live';
import { videoOf, videoOfObject } from '../../lib/names';
import { attempt, report } from '../../lib/notices';
import type { Status, Video } from '../../lib/types';
import { GROUPS, type Group } from '../../lib/video';

const PAGE = 100;

export interface Filter {
  /** A part of the name, or the id of an object: then its video. */
  name: string;
  group: Group | '';
  /** The number of a camera group. */
  camera: string;
  router: 'yes' | 'no' | '';
  /** Days, as `YYYY-MM-DD`; both included. */
  since: string;
  until: string;
}
export const NO_FILTER: Filter = { name: '', group: '', camera: '', router: '', since: '', until: '' };

export const filter = signal<Filter>(NO_FILTER);
export const isFiltered = computed(() => Object.values(filter.value).some((value) => value !== ''));

/** Ids in the order of the list, newest first. */
export const ids = signal<number[]>([]);
/** A signal for each video, so that a change draws one row. */
const videos = new Map<number, Signal<Video>>();
export const total = signal<number | null>(null);
export const isLoading = signal(true);
export const selected = signal<ReadonlySet<number>>(new Set());

/** Ids of the objects that were found last while the list was looked at, newest first, by video. */
export const fresh = signal<ReadonlyMap<number, string[]>>(new Map());
const MOST_FRESH = 4;

let next: string | null = null;
let generation = 0;

export function video(id: number): Signal<Video> | undefined {
  return videos.get(id);
}

function query() {
  const { name, group, camera, router, since, until } = filter.value;
  const video = videoOfObject(name);
  return {
    ...(video === null ? name && { name_contains: name } : { id_in: [video] }),
    ...(group && { status: [...GROUPS[group]] as Status[] }),
    ...(camera && { camera_groups: [Number(camera)] }),
    ...(router && { has_router: router === 'yes' }),
    ...(since && { created_date_gte: new Date(`${since}T00:00`).toISOString() }),
    ...(until && { created_date_lt: dayAfter(until).toISOString() }),
  };
}

function dayAfter(day: string): Date {
  const date = new Date(`${day}T00:00`);
  date.setDate(date.getDate() + 1);
  return date;
}

function matches(candidate: Video): boolean {
  const { name, group, camera, router, since, until } = filter.value;
  const created = new Date(candidate.created_date);
  const video = videoOfObject(name);
  const isNamed = !name || (candidate.name ?? '').toLowerCase().includes(name.toLowerCase());
  return (
    (video === null ? isNamed : candidate.id === video) &&
    (!camera || candidate.camera_group === Number(camera)) &&
    (!router || (router === 'yes') === Boolean(candidate.router_url)) &&
    (!group || (GROUPS[group] as readonly Status[]).includes(candidate.health_status.status)) &&
    (!since || created >= new Date(`${since}T00:00`)) &&
    (!until || created < dayAfter(until))
  );
}

function put(one: Video): void {
  const known = videos.get(one.id);
  if (known) known.value = one;
  else videos.set(one.id, signal(one));
}

/** Reads the list anew. What is shown stays until the first page has come. */
export async function load(): Promise<void> {
  const mine = ++generation;
  isLoading.value = true;
  try {
    await opened();
    const [page, number] = await Promise.all([
      ask(api.GET('/videos/', { params: { query: { ...query(), limit: PAGE, ordering: '-id' } } })),
      ask(api.GET('/videos/count/', { params: { query: query() } })),
    ]);
    if (mine !== generation) return;
    batch(() => {
      page.results.forEach(put);
      ids.value = page.results.map((one) => one.id);
      total.value = number.count;
      next = cursor(page.next_page);
    });
  } catch (cause) {
    if (mine === generation) report(cause);
  } finally {
    if (mine === generation) isLoading.value = false;
  }
}

/** Reads the page after those that are there. */
export async function loadMore(): Promise<void> {
  if (isLoading.value || !next) return;
  const mine = generation;
  isLoading.value = true;
  await attempt(async () => {
    const page = await ask(
      api.GET('/videos/', { params: { query: { ...query(), limit: PAGE, ordering: '-id', page: next ?? '' } } }),
    );
    if (mine !== generation) return;
    batch(() => {
      page.results.forEach(put);
      const there = new Set(ids.value);
      ids.value = [...ids.value, ...page.results.map((one) => one.id).filter((id) => !there.has(id))];
      next = cursor(page.next_page);
    });
  });
  if (mine === generation) isLoading.value = false;
}

function remove(id: number): void {
  if (!ids.value.includes(id)) return;
  batch(() => {
    ids.value = ids.value.filter((other) => other !== id);
    total.value = Math.max(0, (total.value ?? 1) - 1);
    if (selected.value.has(id)) select(id, false);
  });
}

/** Puts a video that changed, or is new, where it belongs. */
export function receive(one: Video): void {
  const isThere = ids.value.includes(one.id);
  if (!matches(one)) return remove(one.id);
  batch(() => {
    put(one);
    if (isThere) return;
    const at = ids.value.findIndex((id) => id < one.id);
    // Behind the last page that is there, it comes with its own page.
    if (at < 0 && next) return;
    ids.value = at < 0 ? [...ids.value, one.id] : [...ids.value.slice(0, at), one.id, ...ids.value.slice(at)];
    total.value = (total.value ?? 0) + 1;
  });
}

export function select(id: number, isOn: boolean): void {
  const now = new Set(selected.value);
  if (isOn) now.add(id);
  else now.delete(id);
  selected.value = now;
}

export function selectAll(isOn: boolean): void {
  selected.value = new Set(isOn ? ids.value : []);
}

/** Follows the events while the view is shown. */
export function follow(): () => void {
  const ends = [
    on('video', receive),
    on('video_deleted', ({ id }) => remove(id)),
    on('object', (object) => {
      const id = videoOf(object.id);
      if (!videos.has(id)) return;
      const others = (fresh.value.get(id) ?? []).filter((other) => other !== object.id);
      fresh.value = new Map(fresh.value).set(id, [object.id, ...others].slice(0, MOST_FRESH));
    }),
    on('reset', () => void load()),
  ];
  return () => ends.forEach((end) => end());
}
