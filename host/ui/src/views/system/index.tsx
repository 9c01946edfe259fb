/** System: what the server is made of and how it is doing. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask } from '../../lib/api';
import { address } from '../../lib/base';
import { bytes, count, fullDate, percent } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt } from '../../lib/notices';
import { mayAdminister, session } from '../../lib/session';
import type { Health } from '../../lib/types';
import { ButtonLink } from '../../parts/button';
import { Head } from '../../parts/frame';
import { Badge, Progress, StatusLight, Waiting, type Light } from '../../parts/status';
import { T } from '../../texts';
import { Log } from './log';
import { Numbers } from './numbers';
import { Fact, Panel } from './panel';
import { Tokens } from './tokens';

const LITTLE_SPACE = 0.1;

function Refused({ folders }: { folders: { name: string; reason: string }[] }) {
  return (
    <>
      {folders.map((folder) => (
        <p key={folder.name} class="hint-error">
          {folder.name}: {folder.reason}
        </p>
      ))}
    </>
  );
}

function Networks({ health }: { health: Health }) {
  const { detectors, embedders } = health;
  return (
    <Panel title={T.system.networks}>
      <p class="line-state">
        <StatusLight light={detectors.loading ? 'active' : detectors.detectors.length > 0 ? 'green' : 'red'} />
        {detectors.loading ? T.system.loadingNetworks : T.system.device(detectors.device)}
      </p>
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{T.system.network}</th>
            <th scope="col">{T.system.does}</th>
            <th scope="col">{T.system.licence}</th>
          </tr>
        </thead>
        <tbody>
          {detectors.detectors.map((detector) => (
            <tr key={detector.name}>
              <th scope="row">
                {detector.name} <span class="muted">{detector.version}</span>
              </th>
              <td>{T.system.finds(detector.types.map((type) => T.type(type).toLowerCase()).join(', '))}</td>
              <td>{detector.licence}</td>
            </tr>
          ))}
          {embedders.embedders.map((embedder) => (
            <tr key={embedder.name}>
              <th scope="row">
                {embedder.name} <span class="muted">{embedder.version}</span>
              </th>
              <td>{T.system.compares(T.type(embedder.object_type).toLowerCase())}</td>
              <td>{embedder.licence}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <Refused folders={[...detectors.refused, ...embedders.refused]} />
    </Panel>
  );
}

function Disk({ disk }: { disk: NonNullable<Health['disk']> }) {
  const used = disk.total_bytes - disk.free_bytes;
  const free = disk.free_bytes / disk.total_bytes;
  const light: Light = free < LITTLE_SPACE ? 'yellow' : 'green';
  return (
    <Panel title={T.system.disk}>
      <p class="line-state">
        <StatusLight light={light} />
        {T.system.free(bytes(disk.free_bytes), bytes(disk.total_bytes), percent(free))}
      </p>
      <Progress share={used / disk.total_bytes} label={T.system.diskUsed} />
      {typeof disk.source_bytes === 'number' && <p class="muted">{T.system.sources(bytes(disk.source_bytes))}</p>}
    </Panel>
  );
}

export function System() {
  const health = useSignal<Health | null>(null);
  const read = () => attempt(async () => (health.value = await ask(api.GET('/health/'))));
  useEffect(() => {
    void read();
    const ends = [
      on('health', (changed) => health.value && (health.value = { ...health.value, ...changed })),
      on('plugin', () => void read()),
      on('reset', () => void read()),
    ];
    return () => ends.forEach((end) => end());
  }, []);
  const now = health.value;
  const who = session.value;
  return (
    <div class="view">
      <Head title={T.nav.system} sub={now ? T.system.version(now.version) : ' '}>
        <ButtonLink icon="system" href={address('/openapi.json')}>
          {T.system.document}
        </ButtonLink>
      </Head>
      {!now && <Waiting>{T.system.loading}</Waiting>}
      {now && (
        <div class="panels-flow">
          <Panel title={T.system.queue}>
            <Numbers health={now} />
            <dl class="facts">
              <Fact name={T.system.running}>{T.system.ofMost(now.jobs.running, now.jobs.most)}</Fact>
              <Fact name={T.system.inFlight}>{count(now.deliveries.in_flight)}</Fact>
              <Fact name={T.system.unreachable}>{count(now.deliveries.unreachable_routers)}</Fact>
            </dl>
          </Panel>
          {now.disk && <Disk disk={now.disk} />}
          <Networks health={now} />
          <Panel title={T.system.decoding}>
            <dl class="facts">
              <Fact name={T.system.choice}>{now.decoding.choice}</Fact>
              <Fact name={T.system.devices}>
                {now.decoding.devices.length > 0 ? now.decoding.devices.join(', ') : T.system.cpu}
              </Fact>
            </dl>
            <p class="hint">{T.system.isolation}</p>
            <p class="badges">
              {Object.entries(now.isolation).map(([name, isOn]) => (
                <Badge key={name} kind={isOn ? 'green' : 'red'}>
                  {T.system.isolated(name, Boolean(isOn))}
                </Badge>
              ))}
            </p>
          </Panel>
          <Panel title={T.system.access}>
            <dl class="facts">
              <Fact name={T.system.you}>{who?.name}</Fact>
              <Fact name={T.system.may}>{who?.scopes.join(', ')}</Fact>
              <Fact name={T.system.until}>{who?.expires ? fullDate(who.expires) : T.system.noEnd}</Fact>
            </dl>
          </Panel>
        </div>
      )}
      {now && mayAdminister.value && (
        <>
          <Tokens />
          <Log />
        </>
      )}
    </div>
  );
}
