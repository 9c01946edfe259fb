/** Tune: change settings of a processed video and see at once who would be gained and lost. */
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { attempt, note } from '../../lib/notices';
import { link } from '../../lib/route';
import { mayOperate } from '../../lib/session';
import { GROUPS, nameOf } from '../../lib/video';
import { Button } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Head } from '../../parts/frame';
import { PickVideo } from '../../parts/pick';
import { Empty, Waiting } from '../../parts/status';
import { T } from '../../texts';
import { process } from '../videos/actions';
import { SettingsForm } from './form';
import { Outcome } from './outcome';
import { PLUGINS } from './schema';
import { Tuning } from './state';

export function Tune({ id }: { id: number | null }) {
  return id === null ? (
    <PickVideo title={T.nav.tune} sub={T.tune.pick} view="tune" query={{ status: [...GROUPS.done] }} />
  ) : (
    <One key={id} id={id} />
  );
}

function One({ id }: { id: number }) {
  const tuning = useMemo(() => new Tuning(id), [id]);
  const type = useSignal('');
  const kept = useSignal(false);
  useEffect(() => {
    void tuning.load();
    return () => tuning.close();
  }, [tuning]);
  const video = tuning.video.value;
  const types = tuning.types.value;
  const choices = [
    ...types.map((value) => ({ value, label: T.type(value) })),
    { value: PLUGINS, label: T.nav.plugins },
  ];
  const shown = choices.some(({ value }) => value === type.value) ? type.value : (types[0] ?? PLUGINS);
  const back = { href: link('tune'), label: T.tune.toList };
  const keep = () =>
    void attempt(async () => {
      await tuning.keep();
      kept.value = true;
      note(T.tune.kept);
    });
  return (
    <div class="view tune-view">
      <Head title={video ? T.tune.title(nameOf(video)) : T.nav.tune} back={back} sub={T.tune.sub}>
        <Button icon="retry" disabled={!tuning.isChanged.value} onClick={() => tuning.reset()}>
          {T.tune.reset}
        </Button>
        {mayOperate.value && (
          <Button kind="primary" icon="check" disabled={!tuning.isChanged.value} onClick={keep}>
            {T.tune.keep}
          </Button>
        )}
        {mayOperate.value && kept.value && (
          <Button icon="play" onClick={() => void process([id], true)}>
            {T.player.again}
          </Button>
        )}
      </Head>
      {tuning.failure.value && <Empty title={tuning.failure.value} />}
      {!video && !tuning.failure.value && <Waiting>{T.tune.loading}</Waiting>}
      {video && (
        <div class="tune-columns">
          <div class="tune-side">
            <Segments label={T.tune.type} value={shown} onChange={(value) => (type.value = value)} options={choices} />
            <SettingsForm key={shown} tuning={tuning} forms={tuning.forms.value[shown] ?? []} />
          </div>
          <div class="tune-main">
            {!tuning.replay.value && !tuning.failure.value && <Waiting>{T.tune.replaying}</Waiting>}
            <Outcome tuning={tuning} />
          </div>
        </div>
      )}
    </div>
  );
}
