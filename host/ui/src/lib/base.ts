/** Addresses of the server, relative to the page: any subpath of a proxy works. */

/** The folder above the page, without its last slash. */
export const BASE = new URL('..', document.baseURI).href.replace(/\/$/, '');

/** The address of a path of the API. */
export function address(path: string, query: Record<string, string | number | undefined> = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return BASE + path + (text ? `?${text}` : '');
}
