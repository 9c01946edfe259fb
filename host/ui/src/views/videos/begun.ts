/**
 * Uploads that were begun and have not ended, kept in the browser: whoever reloads the page and adds
 * the same file again goes on where it broke off.
 */
import { signal } from '@preact/signals';
import { BASE } from '../../lib/base';
import type { Place } from '../../lib/tus';

/** Servers under different paths of one host share the browser's storage. */
const KEY = `ocellus.uploads ${BASE}`;
const MOST = 100;

interface Begun {
  video: number;
  /** The name that the server gave the upload. */
  upload: string;
  /** By these a file is recognized. */
  name: string;
  size: number;
  modified: number;
}

function stored(): Begun[] {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(value) ? (value as Begun[]) : [];
  } catch {
    return [];
  }
}

/** Oldest first. */
export const begun = signal<readonly Begun[]>(stored());
// Another tab has uploads, too.
window.addEventListener('storage', (event) => {
  if (event.key === KEY) begun.value = stored();
});

function keep(all: readonly Begun[]): void {
  begun.value = all.slice(-MOST);
  localStorage.setItem(KEY, JSON.stringify(begun.value));
}

export function remember({ video, file, name: upload }: Place): void {
  if (upload === null) return;
  const { name, size, lastModified: modified } = file;
  keep([...stored().filter((other) => other.video !== video), { video, upload, name, size, modified }]);
}

export function drop(video: number): void {
  if (begun.value.some((one) => one.video === video)) keep(stored().filter((one) => one.video !== video));
}

/** What was begun with this file. */
export function of(file: File): Begun | undefined {
  return begun.value.findLast(
    ({ name, size, modified }) => name === file.name && size === file.size && modified === file.lastModified,
  );
}
