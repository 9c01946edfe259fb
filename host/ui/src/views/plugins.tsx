/** Plugins: what is loaded, what it costs, its faults; installing one, and trying one beside it. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask, plain } from '../lib/api';
import { address } from '../lib/base';
import { bytes, count, decimal } from '../lib/format';
import { on } from '../lib/live';
import { attempt, note } from '../lib/notices';
import { mayAdminister } from '../lib/session';
import type { Plugin } from '../lib/types';
import { Button, ButtonLink } from '../parts/button';
import { confirm, Dialog } from '../parts/dialog';
import { Field } from '../parts/field';
import { Head } from '../parts/frame';
import { Badge, Empty, Waiting } from '../parts/status';
import { T } from '../texts';

const put = (path: string, file: Blob) =>
  plain(path, { method: 'PUT', body: file, headers: { 'Content-Type': 'application/wasm' } });
/** Of a digest: enough to tell two apart. */
const DIGITS = 12;
const pathOf = (name: string) => `/plugins/${encodeURIComponent(name)}/`;

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** What a plugin and its canary cost, side by side. */
function Compare({ plugin, candidate }: { plugin: Plugin; candidate: Plugin }) {
  const { used } = plugin;
  const canary = used?.shadow;
  const mean = (use: { calls: number; time_ms: number } | null | undefined) =>
    use?.calls ? T.plugins.micros(decimal((use.time_ms * 1000) / use.calls)) : '–';
  const longest = (use: { calls: number; longest_call_ms: number } | null | undefined) =>
    use?.calls ? T.plugins.millis(decimal(use.longest_call_ms)) : '–';
  const memory = (use: { memory_bytes: number } | null | undefined) =>
    use?.memory_bytes ? bytes(use.memory_bytes) : '–';
  const rows: [string, string, string][] = [
    [T.plugins.version, plugin.version ?? '–', candidate.version ?? '–'],
    [T.plugins.digest, plugin.digest?.slice(0, DIGITS) ?? '–', candidate.digest?.slice(0, DIGITS) ?? '–'],
    [T.plugins.calls, count(used?.calls ?? 0), count(canary?.calls ?? 0)],
    [T.plugins.mean, mean(used), mean(canary)],
    [T.plugins.longest, longest(used), longest(canary)],
    [T.plugins.memory, memory(used), memory(canary)],
  ];
  return (
    <table class="table compare" aria-label={T.plugins.compare(plugin.name ?? '')}>
      <thead>
        <tr>
          <td />
          <th scope="col">{T.plugins.inUse}</th>
          <th scope="col">{T.plugins.canary}</th>
        </tr>
      </thead>
      <tbody>
        {rows.map(([name, one, other]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{one}</td>
            <td>{other}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Canary({ plugin, candidate, reload }: { plugin: Plugin; candidate: Plugin; reload: () => Promise<void> }) {
  const use = plugin.used?.shadow;
  const name = plugin.name ?? '';
  const path = { params: { path: { name } } };
  const promote = async () => {
    const { promoteTitle, promoteText, promote } = T.plugins;
    if (!(await confirm(promoteTitle(name), promoteText, promote, 'primary'))) return;
    await attempt(async () => {
      await ask(api.POST('/plugins/{name}/shadow/promote/', path));
      note(T.plugins.promoted(name));
      await reload();
    });
  };
  const end = () =>
    attempt(async () => {
      await ask(api.DELETE('/plugins/{name}/shadow/', path));
      await reload();
    });
  return (
    <div class="canary">
      <h3>{T.plugins.canary}</h3>
      {candidate.state !== 'ready' && <p class="hint-error">{candidate.state}</p>}
      <p>{use && use.items > 0 ? T.plugins.different(count(use.different), count(use.items)) : T.plugins.notCalled}</p>
      {use?.first_difference && <p class="muted">{use.first_difference}</p>}
      {use?.ended && <p class="hint-error">{use.ended}</p>}
      <Compare plugin={plugin} candidate={candidate} />
      <div class="plugin-actions">
        {candidate.state === 'ready' && (
          <Button icon="check" onClick={() => void promote()}>
            {T.plugins.promote}
          </Button>
        )}
        <Button icon="close" onClick={() => void end()}>
          {T.plugins.endCanary}
        </Button>
      </div>
    </div>
  );
}

function Card({
  plugin,
  candidate,
  reload,
}: {
  plugin: Plugin;
  candidate: Plugin | undefined;
  reload: () => Promise<void>;
}) {
  const picker = useRef<HTMLInputElement>(null);
  const { name, used } = plugin;
  const isReady = plugin.state === 'ready';
  const tryBeside = (file: File | undefined) =>
    file &&
    name &&
    void attempt(async () => {
      await put(`${pathOf(name)}shadow/`, file);
      await reload();
    });
  const takeOut = async () => {
    if (!name || !(await confirm(T.plugins.removeTitle(name), T.plugins.removeText, T.plugins.remove))) return;
    await attempt(async () => {
      await ask(api.DELETE('/plugins/{name}/', { params: { path: { name } } }));
      await reload();
    });
  };
  return (
    <article class="panel plugin">
      <header>
        <h2>{name ?? plugin.file}</h2>
        {plugin.version && <span class="muted">{plugin.version}</span>}
        {plugin.kind && <Badge kind="accent">{T.plugins.kind[plugin.kind]}</Badge>}
        <Badge>{T.plugins.origin[plugin.origin]}</Badge>
        {!isReady && <Badge kind="red">{T.plugins.notReady}</Badge>}
      </header>
      {plugin.description && <p>{plugin.description}</p>}
      {!isReady && <p class="hint-error">{plugin.state}</p>}
      {plugin.replacement_refused && <p class="hint-error">{plugin.replacement_refused}</p>}
      {used && (
        <dl class="facts">
          <Fact name={T.plugins.calls}>{count(used.calls)}</Fact>
          <Fact name={T.plugins.mean}>
            {used.calls ? T.plugins.micros(decimal((used.time_ms * 1000) / used.calls)) : '–'}
          </Fact>
          <Fact name={T.plugins.longest}>{used.calls ? T.plugins.millis(decimal(used.longest_call_ms)) : '–'}</Fact>
          <Fact name={T.plugins.memory}>{used.memory_bytes ? bytes(used.memory_bytes) : '–'}</Fact>
          <Fact name={T.plugins.dropped}>{count(used.rejected)}</Fact>
          <Fact name={T.plugins.faults}>{count(used.faults)}</Fact>
        </dl>
      )}
      {used?.last_fault && (
        <div class="fault">
          <p>{used.last_fault}</p>
          {used.last_trace && name && (
            <ButtonLink icon="download" href={address(`${pathOf(name)}trace/`)} download={`${name}.trace.json`}>
              {T.plugins.trace}
            </ButtonLink>
          )}
        </div>
      )}
      {mayAdminister.value && name && isReady && (
        <>
          {candidate && <Canary plugin={plugin} candidate={candidate} reload={reload} />}
          <div class="plugin-actions">
            {!candidate && plugin.kind !== 'router' && (
              <Button kind="quiet" onClick={() => picker.current?.click()}>
                {T.plugins.tryBeside}
              </Button>
            )}
            {plugin.origin === 'user' && (
              <Button kind="quiet" icon="trash" onClick={() => void takeOut()}>
                {T.plugins.remove}
              </Button>
            )}
            <input
              ref={picker}
              type="file"
              accept=".wasm,application/wasm"
              hidden
              onChange={(event) => tryBeside(event.currentTarget.files?.[0])}
            />
          </div>
        </>
      )}
    </article>
  );
}

function Install({ onClose, reload }: { onClose: () => void; reload: () => Promise<void> }) {
  const file = useSignal<File | null>(null);
  const name = useSignal('');
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!file.value) return;
    busy.value = true;
    error.value = null;
    try {
      await put(pathOf(name.value.trim()), file.value);
      note(T.plugins.installed(name.value.trim()));
      await reload();
      onClose();
    } catch (cause) {
      error.value = cause instanceof Error ? cause.message : String(cause);
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title={T.plugins.install} onClose={onClose}>
      <form class="add" onSubmit={(event) => void submit(event)}>
        <Field label={T.plugins.component} hint={T.plugins.componentHint}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              type="file"
              accept=".wasm,application/wasm"
              required
              onChange={(event) => {
                file.value = event.currentTarget.files?.[0] ?? null;
                if (file.value && !name.value) name.value = file.value.name.replace(/\.wasm$/, '');
              }}
            />
          )}
        </Field>
        <Field label={T.plugins.name} hint={T.plugins.nameHint} error={error.value}>
          {(attributes) => (
            <input
              {...attributes}
              class="input"
              required
              value={name.value}
              onInput={(event) => (name.value = event.currentTarget.value)}
            />
          )}
        </Field>
        <div class="dialog-actions">
          <Button onClick={onClose}>{T.cancel}</Button>
          <Button kind="primary" type="submit" disabled={busy.value || !file.value}>
            {busy.value ? T.plugins.installing : T.plugins.install}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function Plugins() {
  const plugins = useSignal<Plugin[] | null>(null);
  const installing = useSignal(false);
  const reload = async () => {
    await attempt(async () => (plugins.value = (await ask(api.GET('/plugins/'))).results));
  };
  useEffect(() => {
    void reload();
    const ends = [on('plugin', () => void reload()), on('reset', () => void reload())];
    return () => ends.forEach((end) => end());
  }, []);
  const shown = plugins.value?.filter((plugin) => plugin.role === 'serves');
  return (
    <div class="view">
      <Head title={T.nav.plugins} sub={T.plugins.sub}>
        {mayAdminister.value && (
          <Button kind="primary" icon="plus" onClick={() => (installing.value = true)}>
            {T.plugins.install}
          </Button>
        )}
      </Head>
      {!shown && <Waiting>{T.plugins.loading}</Waiting>}
      {shown?.length === 0 && <Empty title={T.plugins.none} />}
      <div class="panels">
        {shown?.map((plugin) => (
          <Card
            key={`${plugin.origin}/${plugin.file}`}
            plugin={plugin}
            candidate={plugins.value?.find((other) => other.role === 'candidate' && other.name === plugin.name)}
            reload={reload}
          />
        ))}
      </div>
      {installing.value && <Install reload={reload} onClose={() => (installing.value = false)} />}
    </div>
  );
}
