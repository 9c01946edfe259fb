/**
 * What the page has to say across views: errors until they are dismissed, other notes for a while.
 */
import { signal } from '@preact/signals';
import { isAbort, Problem } from './api';
import { T } from '../texts';

export interface Notice {
  id: number;
  kind: 'error' | 'note';
  text: string;
  detail: string | null;
  /** What can be done about it, once. */
  action: { label: string; run: () => void } | null;
}

const NOTE_MS = 5000;
/** What can be acted on stays longer. */
const ACTION_MS = 15_000;
export const notices = signal<Notice[]>([]);
let last = 0;

function add(kind: Notice['kind'], text: string, detail: string | null, action: Notice['action'] = null): void {
  const notice = { id: ++last, kind, text, detail, action };
  // One of each text: ten refusals of the same kind are one error.
  notices.value = [...notices.value.filter((other) => other.text !== text), notice].slice(-3);
  if (kind === 'note') setTimeout(() => dismiss(notice.id), action ? ACTION_MS : NOTE_MS);
}

export function dismiss(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

export function note(text: string, action: Notice['action'] = null): void {
  add('note', text, null, action);
}

/** Shows an error in the words of the API. One that was caused by leaving the view is none. */
export function report(cause: unknown): void {
  if (isAbort(cause) || (cause instanceof Problem && cause.status === 401)) return;
  if (cause instanceof Problem) add('error', cause.message, cause.param);
  else add('error', T.problem.page, cause instanceof Error ? cause.message : String(cause));
}

/** Runs an action whose failure is shown. */
export async function attempt(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (cause) {
    report(cause);
    return false;
  }
}
