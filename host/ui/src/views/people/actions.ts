/** Corrections of identities: making them, each with its undoing at hand. */
import { signal } from '@preact/signals';
import { api, ask } from '../../lib/api';
import { videoOf } from '../../lib/names';
import { attempt, note } from '../../lib/notices';
import { go } from '../../lib/route';
import type { Cluster, Correction } from '../../lib/types';
import { T } from '../../texts';

/** Grows with each correction that this page made or undid: what shows identities reads again. */
export const changes = signal(0);

/** Corrects, shows the identity as it is now, and returns it; `null` where it was refused. */
async function correct(before: Cluster, what: string, action: () => Promise<Cluster>): Promise<Cluster | null> {
  let now: Cluster | null = null;
  await attempt(async () => {
    const changed = await action();
    now = changed;
    if (changed.id !== before.id) show(changed);
    changes.value++;
    const last = changed.corrections.at(-1);
    const video = videoOf(changed.id);
    note(what, last === undefined ? null : { label: T.people.undo, run: () => void undo(video, last, before) });
  });
  return now;
}

export function rename(cluster: Cluster, name: string): Promise<Cluster | null> {
  const wanted = name.trim() || null;
  const path = { params: { path: { id: cluster.id } } };
  return correct(cluster, T.people.did.name(wanted), () =>
    ask(api.PATCH('/clusters/{id}/', { ...path, body: { name: wanted } })),
  );
}

export function merge(cluster: Cluster, other: string): Promise<Cluster | null> {
  const path = { params: { path: { id: cluster.id } } };
  return correct(cluster, T.people.did.merge(), () =>
    ask(api.POST('/clusters/{id}/merge/', { ...path, body: { with: other } })),
  );
}

export function takeOut(cluster: Cluster, object: string): Promise<Cluster | null> {
  const path = { params: { path: { id: cluster.id } } };
  return correct(cluster, T.people.did.take_out(), () =>
    ask(api.POST('/clusters/{id}/take-out/', { ...path, body: { object } })),
  );
}

/** Undoes a correction, and shows the identity as it was where it is given. */
export function undo(video: number, number: number, before?: Cluster): Promise<boolean> {
  return attempt(async () => {
    await ask(api.DELETE('/videos/{id}/corrections/{number}/', { params: { path: { id: video, number } } }));
    if (before) show(before);
    changes.value++;
    note(T.people.undone);
  });
}

/** What a correction did, in words. */
export function did({ kind, name }: Correction): string {
  return kind === 'name' ? T.people.did.name(name) : T.people.did[kind]();
}

/** Shows an identity, in place of the one that is shown: a correction may give it another id. */
export function show(cluster: Cluster): void {
  go(`people/${encodeURIComponent(cluster.id)}`);
}

/** Lists of identities of all videos, by type. */
export const LISTS = { face: '/clusters/faces/', body: '/clusters/bodies/', car: '/clusters/cars/' } as const;

/** Identities that look like one, the most similar first, without itself; in one video or in all. */
export async function similar(of: Cluster, threshold: number, video?: number): Promise<Cluster[]> {
  const list = LISTS[of.type as keyof typeof LISTS];
  // The API has no list over all videos of types that only some detector knows.
  if (!list) return [];
  const query = { looks_like: of.best, threshold, limit: 100, ...(video !== undefined && { video_archive: [video] }) };
  const { results } = await ask(api.GET(list, { params: { query } }));
  return results.filter((other) => other.id !== of.id);
}
