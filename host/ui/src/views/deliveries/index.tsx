/** Deliveries: objects on their way to the routers of videos. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask, cursor } from '../../lib/api';
import { count } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt } from '../../lib/notices';
import { link } from '../../lib/route';
import type { Health, Video } from '../../lib/types';
import { nameOf } from '../../lib/video';
import { Head } from '../../parts/frame';
import { Empty, Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { OfVideo } from './of-video';

const PAGE = 200;

interface Sums {
  posted: number;
  waiting: number;
  failed: number;
}

function sums(video: Video): Sums {
  const all = Object.values(video.health_status.statistic.objects ?? {});
  const sum = (name: 'posted' | 'not_posted' | 'failed') => all.reduce((total, one) => total + (one[name] ?? 0), 0);
  return { posted: sum('posted'), waiting: sum('not_posted'), failed: sum('failed') };
}

function Row({ video }: { video: Video }) {
  const { posted, waiting, failed } = sums(video);
  return (
    <a class="line line-deliveries" href={link(`deliveries/${video.id}`)}>
      <span class="line-main">
        <strong>{nameOf(video)}</strong>
        <span class="muted">{video.router_url}</span>
      </span>
      <span class={posted ? 'line-number line-green' : 'line-number'}>
        <strong>{count(posted)}</strong> {T.deliveries.posted}
      </span>
      <span class={waiting ? 'line-number line-yellow' : 'line-number'}>
        <strong>{count(waiting)}</strong> {T.deliveries.waiting}
      </span>
      <span class={failed ? 'line-number line-red' : 'line-number'}>
        <strong>{count(failed)}</strong> {T.deliveries.failed}
      </span>
    </a>
  );
}

function List() {
  const videos = useSignal<Video[]>([]);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(true);
  const health = useSignal<Health['deliveries'] | null>(null);
  const read = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const query = { has_router: true, ordering: '-id', limit: PAGE, ...(page && { page }) };
      const got = await ask(api.GET('/videos/', { params: { query } }));
      videos.value = page ? [...videos.value, ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => {
    void read(null);
    void attempt(async () => (health.value = (await ask(api.GET('/health/'))).deliveries));
    const put = (video: Video) => {
      const others = videos.value.filter((other) => other.id !== video.id);
      videos.value = (video.router_url ? [...others, video] : others).sort((a, b) => b.id - a.id);
    };
    const ends = [
      on('video', put),
      on('video_deleted', ({ id }) => (videos.value = videos.value.filter((video) => video.id !== id))),
      on('health', (changed) => changed.deliveries && (health.value = changed.deliveries)),
      on('reset', () => void read(null)),
    ];
    return () => ends.forEach((end) => end());
  }, []);
  const sub = health.value
    ? T.deliveries.sub(health.value.waiting, health.value.in_flight, health.value.unreachable_routers)
    : ' ';
  return (
    <div class="view">
      <Head title={T.nav.deliveries} sub={sub} />
      {videos.value.length === 0 ? (
        isLoading.value ? (
          <Waiting>{T.deliveries.loading}</Waiting>
        ) : (
          <Empty title={T.deliveries.none}>
            <p>{T.deliveries.noneText}</p>
          </Empty>
        )
      ) : (
        <Virtual
          label={T.nav.deliveries}
          items={videos.value}
          itemKey={(video) => video.id}
          rowHeight={4.75}
          gap={0.5}
          onEnd={() => next.value && !isLoading.value && void read(next.value)}
          render={(video) => <Row video={video} />}
        />
      )}
    </div>
  );
}

export function Deliveries({ id }: { id: number | null }) {
  return id === null ? <List /> : <OfVideo key={id} id={id} />;
}
