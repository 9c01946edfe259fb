/** The stream of events of the server. The page never polls: what changes comes from here. */
import { signal } from '@preact/signals';
import { address } from './base';
import { resume } from './session';
import type { Delivery, Health, Video, VideoObject } from './types';

export interface Events {
  video: Video;
  video_deleted: { id: number };
  object: VideoObject;
  delivery: Partial<Delivery> & { video: number; object: string; state: Delivery['state']; status?: number };
  plugin: { name: string; state: string };
  health: Partial<Health>;
  /** What was missed is not known: lists have to be read again. */
  reset: Record<string, never>;
}

type Kind = keyof Events;
const KINDS: Kind[] = ['video', 'video_deleted', 'object', 'delivery', 'plugin', 'health', 'reset'];
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
const LONGEST_WAIT_MS = 1000;

export type Connection = 'connecting' | 'live' | 'lost';
export const connection = signal<Connection>('connecting');

const listeners = new Map<Kind, Set<(event: never) => void>>();
let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;
let wait = FIRST_RETRY_MS;
let wasLive = false;
/** The stream is a new one, which does not know where the one before it ended. */
let reopened = false;

let isOpen: () => void = () => {};
const firstOpen = new Promise<void>((resolve) => (isOpen = resolve));
/**
 * Waits until the stream is open: what changes after a list is read is not missed then. Not for
 * long.
 */
export function opened(): Promise<unknown> {
  return Promise.race([firstOpen, new Promise((resolve) => setTimeout(resolve, LONGEST_WAIT_MS))]);
}

/** Calls `then` at each event of a kind, until the function that it returns is called. */
export function on<K extends Kind>(kind: K, then: (event: Events[K]) => void): () => void {
  const of = listeners.get(kind) ?? new Set();
  listeners.set(kind, of);
  of.add(then as (event: never) => void);
  return () => of.delete(then as (event: never) => void);
}

function emit<K extends Kind>(kind: K, event: Events[K]): void {
  for (const then of listeners.get(kind) ?? []) (then as (event: Events[K]) => void)(event);
}

export function connect(): void {
  disconnect();
  connection.value = wasLive ? 'lost' : 'connecting';
  const stream = new EventSource(address('/events/stream/'));
  source = stream;
  for (const kind of KINDS) {
    stream.addEventListener(kind, (message: MessageEvent<string>) => emit(kind, JSON.parse(message.data) as never));
  }
  stream.onopen = () => {
    connection.value = 'live';
    isOpen();
    wait = FIRST_RETRY_MS;
    if (wasLive && reopened) emit('reset', {});
    wasLive = true;
    reopened = false;
  };
  stream.onerror = () => {
    connection.value = wasLive ? 'lost' : 'connecting';
    if (stream.readyState !== EventSource.CLOSED) return; // The browser itself tries again.
    clearTimeout(retry);
    reopened = true;
    // It may have been refused because the session is over.
    resume().catch(() => {});
    retry = setTimeout(connect, wait);
    wait = Math.min(wait * 2, LONGEST_RETRY_MS);
  };
}

export function disconnect(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}
window.addEventListener('pagehide', disconnect);
window.addEventListener('pageshow', (event) => {
  if (!event.persisted || !wasLive) return;
  reopened = true;
  connect();
});
