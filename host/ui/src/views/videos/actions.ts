/** What can be done with videos, one or several. */
import { api, ask } from '../../lib/api';
import { attempt, note } from '../../lib/notices';
import { confirm } from '../../parts/dialog';
import { T } from '../../texts';

async function each(
  ids: number[],
  action: (path: { params: { path: { id: number } } }) => Promise<unknown>,
): Promise<number> {
  let done = 0;
  for (const id of ids) {
    // The first refusal ends it: the others would be refused likewise.
    if (!(await attempt(() => action({ params: { path: { id } } })))) break;
    done++;
  }
  return done;
}

/** Asks first where it replaces what was found before. */
export async function process(ids: number[], replaces: boolean): Promise<void> {
  if (replaces && !(await confirm(T.action.againTitle, T.action.againText, T.player.again, 'primary'))) return;
  const done = await each(ids, (path) => ask(api.POST('/videos/{id}/process/', path)));
  if (done > 0) note(T.action.processed(done));
}

export async function stop(ids: number[]): Promise<void> {
  const done = await each(ids, (path) => ask(api.POST('/videos/{id}/stop/', path)));
  if (done > 0) note(T.action.stopped(done));
}

/** Asks first. True if all of them were deleted. */
export async function remove(ids: number[], name: string | null): Promise<boolean> {
  const title = name === null ? T.action.deleteTitle(ids.length) : T.action.deleteOneTitle(name);
  if (!(await confirm(title, T.action.deleteText, T.action.delete))) return false;
  const done = await each(ids, (path) => ask(api.DELETE('/videos/{id}/', path)));
  if (done > 0) note(T.action.deleted(done));
  return done === ids.length;
}
