/** The session: who is logged in, and what they may do. */
import { computed, signal } from '@preact/signals';
import { plain, Problem, whenUnauthorized } from './api';
import type { Session } from './types';

/** `undefined` until it is known, `null` where nobody is logged in. */
export const session = signal<Session | null | undefined>(undefined);

export const mayOperate = computed(() => holds('operate') || holds('admin'));
export const mayAdminister = computed(() => holds('admin'));

function holds(scope: string): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

whenUnauthorized(() => (session.value = null));

/** Asks for the session that the cookie stands for. */
export async function resume(): Promise<void> {
  try {
    session.value = (await (await plain('/auth/session/')).json()) as Session;
  } catch (cause) {
    if (!(cause instanceof Problem) || cause.status !== 401) throw cause;
    session.value = null;
  }
}

export type Credentials = { token: string } | { username: string; password: string };

export async function logIn(credentials: Credentials): Promise<void> {
  const response = await plain('/auth/session/', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(credentials),
  });
  session.value = (await response.json()) as Session;
}

export async function logOut(): Promise<void> {
  await plain('/auth/session/', { method: 'DELETE' });
  session.value = null;
}
