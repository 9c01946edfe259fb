/** The route: what stands behind `#` in the address, as a path and a query. */
import { signal } from '@preact/signals';

export interface Route {
  /** `videos`, `7` of `#/videos/7?t=12.5`. */
  path: string[];
  query: URLSearchParams;
}

function read(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decodeURIComponent), query: new URLSearchParams(query) };
}

export const route = signal<Route>(read());
window.addEventListener('hashchange', () => (route.value = read()));

type Query = Record<string, string | number | null | undefined>;

/** A link to a view. */
export function link(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return `#/${path}${text ? `?${text}` : ''}`;
}

export function go(path: string, query: Query = {}): void {
  location.hash = link(path, query);
  // At once: the event comes later, and what is read until then would be for the old address.
  route.value = read();
}

/** Changes the query of the address, without a new entry in the history. */
export function requery(query: Query): void {
  const { path } = route.value;
  history.replaceState(null, '', link(path.map(encodeURIComponent).join('/'), query));
  route.value = read();
}
