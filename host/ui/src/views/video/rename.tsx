/** The dialog that gives a video another name. */
import { useSignal } from '@preact/signals';
import { api, ask, Problem } from '../../lib/api';
import { report } from '../../lib/notices';
import type { Video } from '../../lib/types';
import { Button } from '../../parts/button';
import { Dialog } from '../../parts/dialog';
import { TextField } from '../../parts/field';
import { T } from '../../texts';

export function Rename({ video, onDone }: { video: Video; onDone: (changed: Video | null) => void }) {
  const name = useSignal(video.name ?? '');
  const error = useSignal<string | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    try {
      onDone(await ask(api.PATCH('/videos/{id}/', { params: { path: { id: video.id } }, body: { name: name.value } })));
    } catch (cause) {
      if (cause instanceof Problem && cause.param === 'name') error.value = cause.message;
      else report(cause);
    }
  };
  return (
    <Dialog title={T.player.rename} onClose={() => onDone(null)}>
      <form class="add" onSubmit={(event) => void submit(event)}>
        <TextField label={T.player.name} error={error.value} value={name} maxLength={256} />
        <div class="dialog-actions">
          <Button onClick={() => onDone(null)}>{T.cancel}</Button>
          <Button kind="primary" type="submit">
            {T.player.rename}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
