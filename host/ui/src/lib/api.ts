/** The client of the API: typed by its document, its refusals as `Problem`s in its own words. */
import createClient from 'openapi-fetch';
import type { paths } from '../../generated/api';
import { T } from '../texts';
import { BASE, address } from './base';

/** A refusal of the server, or that it could not be reached. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** The field that is wrong, as a dotted path. */
    readonly param: string | null = null,
  ) {
    super(message);
  }
}

let onUnauthorized: () => void = () => {};
/** Calls `then` whenever the session turns out to be over. */
export function whenUnauthorized(then: () => void): void {
  onUnauthorized = then;
}

export const api = createClient<paths>({ baseUrl: BASE, credentials: 'same-origin' });

function problem(status: number, body: unknown): Problem {
  const { code, desc, param } = (body ?? {}) as { code?: string; desc?: string; param?: string | null };
  return new Problem(status, code ?? 'UNKNOWN_ERROR', desc ?? T.problem.status(status), param ?? null);
}

/** What a request gives, or the `Problem` that it met. */
export async function ask<Data>(
  request: Promise<{ data?: Data; error?: unknown; response: Response }>,
): Promise<NonNullable<Data>> {
  const { data, error, response } = await request.catch((cause: unknown) => {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new Problem(0, 'UNREACHABLE', T.problem.unreachable);
  });
  if (response.ok) return data as NonNullable<Data>;
  if (response.status === 401) onUnauthorized();
  throw problem(response.status, error);
}

/** A request outside the document's types: other media than JSON, and what is newer than it. */
export async function plain(path: string, init: RequestInit = {}): Promise<Response> {
  const response = await fetch(path.startsWith('http') ? path : address(path), {
    credentials: 'same-origin',
    ...init,
  }).catch((cause: unknown) => {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new Problem(0, 'UNREACHABLE', T.problem.unreachable);
  });
  if (response.ok) return response;
  if (response.status === 401 && path !== '/auth/session/') onUnauthorized();
  throw problem(response.status, await response.json().catch(() => null));
}

/** The `page` parameter of a link to a page. */
export function cursor(link: string | null | undefined): string | null {
  return link ? new URL(link, BASE).searchParams.get('page') : null;
}

/** All items of a list, page by page, at most `most`. */
export async function all<Item>(
  page: (page: string | undefined) => Promise<{ results: Item[]; next_page: string | null | undefined }>,
  most = 50_000,
  each: (items: Item[]) => void = () => {},
): Promise<Item[]> {
  const items: Item[] = [];
  let next: string | undefined;
  do {
    const got = await page(next);
    items.push(...got.results);
    each(items);
    next = cursor(got.next_page) ?? undefined;
  } while (next && items.length < most);
  return items;
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof DOMException && cause.name === 'AbortError';
}
