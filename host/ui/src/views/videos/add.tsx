/** The dialog that adds recordings: files or an address, what to look for, where to send it. */
import { useSignal, type Signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask, Problem } from '../../lib/api';
import { bytes } from '../../lib/format';
import { attempt, report } from '../../lib/notices';
import type { StreamSettings, VideoWrite } from '../../lib/types';
import { Button, IconButton } from '../../parts/button';
import { Dialog } from '../../parts/dialog';
import { dropped, holdsFiles, looksLikeVideo } from '../../parts/drop';
import { Choice, Field, TextField } from '../../parts/field';
import { Icon } from '../../parts/icon';
import { T } from '../../texts';
import { receive } from './store';
import { add } from './uploads';

const TYPES = ['face', 'body', 'car'] as const;
type Type = (typeof TYPES)[number];
const KEPT = 'ocellus.detectors';
/** What a server has that nobody configured. */
const USUAL_GROUP = 1;

/** Fields that show what is wrong with them beside themselves. */
const SHOWN = ['url', 'router_url', 'camera_group'];

type Group = { id: number; name: string };

/** What was looked for the last time; at first people. */
function keptTypes(): Record<Type, boolean> {
  const kept = localStorage.getItem(KEPT)?.split(',') ?? ['face', 'body'];
  return { face: kept.includes('face'), body: kept.includes('body'), car: kept.includes('car') };
}

function UrlField(props: { label: string; hint: string; error: string | null; value: Signal<string> }) {
  return <TextField {...props} type="url" placeholder="https://" />;
}

export function AddDialog({ files: given, onClose }: { files: File[]; onClose: () => void }) {
  const files = useSignal(given);
  const skipped = useSignal(0);
  const url = useSignal('');
  const router = useSignal('');
  const types = useSignal(keptTypes());
  const refused = useSignal<Problem | null>(null);
  const groups = useSignal<Group[]>([]);
  const group = useSignal(USUAL_GROUP);
  const busy = useSignal(false);
  const over = useSignal(false);
  const picker = useRef<HTMLInputElement>(null);
  const folderPicker = useRef<HTMLInputElement>(null);

  useEffect(() => {
    void attempt(async () => {
      groups.value = (await ask(api.GET('/camera-groups/'))).results;
      if (!groups.value.some(({ id }) => id === USUAL_GROUP)) group.value = groups.value[0]?.id ?? USUAL_GROUP;
    });
  }, []);

  const take = (more: File[]) => {
    const videos = more.filter(looksLikeVideo);
    skipped.value = more.length - videos.length;
    const there = new Set(files.value.map((file) => file.name + file.size));
    files.value = [...files.value, ...videos.filter((file) => !there.has(file.name + file.size))];
  };

  const chosen = TYPES.filter((type) => types.value[type]);
  const number = files.value.length + (url.value.trim() ? 1 : 0);

  const submit = async (event: Event) => {
    event.preventDefault();
    localStorage.setItem(KEPT, chosen.join(','));
    const detectors = Object.fromEntries(TYPES.map((type) => [type, types.value[type] ? {} : null]));
    const common: Omit<VideoWrite, 'name'> = {
      camera_group: group.value,
      stream_settings: { detectors } as StreamSettings,
      ...(router.value.trim() && { router_url: router.value.trim() }),
    };
    busy.value = true;
    refused.value = null;
    try {
      if (url.value.trim()) {
        const address = url.value.trim();
        const name = decodeURIComponent(address.split(/[?#]/)[0]?.split('/').filter(Boolean).pop() ?? address).slice(
          0,
          256,
        );
        const video = await ask(api.POST('/videos/', { body: { ...common, name, url: address } }));
        receive(video);
        await ask(api.POST('/videos/{id}/process/', { params: { path: { id: video.id } } }));
      }
      if (files.value.length > 0) void add(files.value, common);
      onClose();
    } catch (cause) {
      if (cause instanceof Problem && SHOWN.includes(cause.param ?? '')) refused.value = cause;
      else report(cause);
    } finally {
      busy.value = false;
    }
  };
  const errorOf = (param: string) => (refused.value?.param === param ? refused.value.message : null);

  return (
    <Dialog title={T.add.title} wide onClose={onClose}>
      <form class="add" onSubmit={(event) => void submit(event)}>
        <div
          class={over.value ? 'drop drop-over' : 'drop'}
          onDragOver={(event) => {
            if (!holdsFiles(event)) return;
            event.preventDefault();
            over.value = true;
          }}
          onDragLeave={() => (over.value = false)}
          onDrop={(event) => {
            event.preventDefault();
            event.stopPropagation();
            over.value = false;
            if (event.dataTransfer) void dropped(event.dataTransfer).then(take, report);
          }}
        >
          <Icon name="upload" size={28} />
          <p>{T.add.drop}</p>
          <div class="drop-buttons">
            <Button icon="videos" onClick={() => picker.current?.click()}>
              {T.add.pick}
            </Button>
            <Button icon="folder" onClick={() => folderPicker.current?.click()}>
              {T.add.pickFolder}
            </Button>
          </div>
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            accept="video/*,.mkv,.ts,.dav,.h264,.h265,.avi,.flv,.wmv"
            onChange={(event) => take([...(event.currentTarget.files ?? [])])}
          />
          <input
            ref={folderPicker}
            type="file"
            multiple
            hidden
            {...{ webkitdirectory: true }}
            onChange={(event) => take([...(event.currentTarget.files ?? [])])}
          />
        </div>
        {skipped.value > 0 && <p class="hint">{T.add.skipped(skipped.value)}</p>}
        {files.value.length > 0 && (
          <ul class="files" aria-label={T.add.files}>
            {files.value.map((file) => (
              <li key={file.name + file.size}>
                <span class="files-name">{file.name}</span>
                <span class="files-size">{bytes(file.size)}</span>
                <IconButton
                  icon="close"
                  label={T.add.leaveOut(file.name)}
                  onClick={() => (files.value = files.value.filter((other) => other !== file))}
                />
              </li>
            ))}
          </ul>
        )}
        <UrlField label={T.add.url} hint={T.add.urlHint} error={errorOf('url')} value={url} />
        <fieldset class="group">
          <legend>{T.add.lookFor}</legend>
          {TYPES.map((type) => (
            <Choice
              key={type}
              label={T.type(type)}
              hint={T.add.detector[type]}
              checked={types.value[type]}
              onChange={(isOn) => (types.value = { ...types.value, [type]: isOn })}
            />
          ))}
        </fieldset>
        <details class="fold" open={refused.value !== null && refused.value.param !== 'url'}>
          <summary>{T.add.router}</summary>
          <div class="add">
            <UrlField label={T.add.routerUrl} hint={T.add.routerHint} error={errorOf('router_url')} value={router} />
            {groups.value.length > 1 && (
              <Field label={T.add.group} error={errorOf('camera_group')}>
                {(attributes) => (
                  <select
                    {...attributes}
                    class="input"
                    value={String(group.value)}
                    onChange={(event) => (group.value = Number(event.currentTarget.value))}
                  >
                    {groups.value.map(({ id, name }) => (
                      <option key={id} value={String(id)}>
                        {name || id}
                      </option>
                    ))}
                  </select>
                )}
              </Field>
            )}
          </div>
        </details>
        <div class="dialog-actions">
          <Button onClick={onClose}>{T.cancel}</Button>
          <Button kind="primary" type="submit" disabled={busy.value || number === 0 || chosen.length === 0}>
            {T.add.action(number)}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
