/** People and things: the identities of videos as cards, and all appearances of one. */
import { List } from './list';
import { One } from './one';

export function People({ cluster }: { cluster: string | null }) {
  return cluster ? <One id={cluster} /> : <List />;
}
