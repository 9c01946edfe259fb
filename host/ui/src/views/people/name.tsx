/** The name of an identity, edited where it stands. */
import { useEffect, useRef } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import type { Cluster } from '../../lib/types';
import { Button } from '../../parts/button';
import { T } from '../../texts';
import { rename } from './actions';

/** `onDone`: the name was changed, or is not to be. */
export function NameForm({ cluster, onDone }: { cluster: Cluster; onDone: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  const name = useSignal(cluster.name ?? cluster.named_alike?.name ?? '');
  const isBusy = useSignal(false);
  useEffect(() => input.current?.select(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    isBusy.value = true;
    const changed = await rename(cluster, name.value);
    isBusy.value = false;
    if (changed) onDone();
  };
  return (
    <form class="name-form" onSubmit={(event) => void submit(event)}>
      <input
        ref={input}
        class="input"
        aria-label={T.people.name}
        title={T.people.nameHint}
        placeholder={T.people.name}
        maxLength={256}
        value={name.value}
        onInput={(event) => (name.value = event.currentTarget.value)}
        onKeyDown={(event) => event.key === 'Escape' && onDone()}
      />
      <Button kind="primary" type="submit" disabled={isBusy.value}>
        {T.people.save}
      </Button>
      <Button onClick={() => onDone()}>{T.cancel}</Button>
    </form>
  );
}
