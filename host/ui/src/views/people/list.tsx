/** The identities of one video as a grid, or of all videos, a row for each. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask, cursor } from '../../lib/api';
import { clock, date, fullDate } from '../../lib/format';
import { on } from '../../lib/live';
import { names, wantNames } from '../../lib/names';
import { attempt } from '../../lib/notices';
import { link, requery, route } from '../../lib/route';
import type { Cluster, Video } from '../../lib/types';
import { GROUPS, nameOf } from '../../lib/video';
import { ButtonLink } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Head } from '../../parts/frame';
import { typeIcon } from '../../parts/icon';
import { Picture, thumbnail } from '../../parts/picture';
import { Empty, Waiting } from '../../parts/status';
import { scroller, Virtual } from '../../parts/virtual';
import { T } from '../../texts';

const PAGE = 200;
const IN_A_ROW = 24;
const VIDEOS = 30;
const CARD = { rowHeight: 14.75, columnWidth: 9, gap: 0.75 };
const TYPES = ['face', 'body', 'car'] as const;
type Type = (typeof TYPES)[number];

function found(video: Video, type: Type): number {
  const counts = { face: video.face_cluster_count, body: video.body_cluster_count, car: video.car_cluster_count };
  return counts[type] ?? 0;
}

async function read(video: number, type: Type, limit: number, page?: string) {
  const query = { type: [type], limit, ...(page && { page }) };
  return ask(api.GET('/videos/{id}/clusters/', { params: { path: { id: video }, query } }));
}

function Identity({ cluster }: { cluster: Cluster }) {
  return (
    <a class="identity" href={link(`people/${encodeURIComponent(cluster.id)}`)}>
      <Picture
        src={thumbnail(cluster.best)}
        alt={T.people.one(cluster.type)}
        icon={typeIcon(cluster.type)}
        contain
        class="thumbnail"
      />
      <strong>{T.people.appearances(cluster.size)}</strong>
      <span class="hit-time">
        {clock(cluster.first_time)} – {clock(cluster.last_time)}
      </span>
    </a>
  );
}

/** Identities of a video side by side, read when the row comes into sight. */
function Strip({ video, type }: { video: Video; type: Type }) {
  const element = useRef<HTMLElement>(null);
  const clusters = useSignal<Cluster[] | null>(null);
  const number = found(video, type);
  useEffect(() => {
    const row = element.current;
    if (!row) return;
    const observer = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        observer.disconnect();
        void attempt(async () => (clusters.value = (await read(video.id, type, IN_A_ROW)).results));
      },
      { root: scroller(row), rootMargin: '400px' },
    );
    observer.observe(row);
    return () => observer.disconnect();
  }, [video.id, video.processing_start_date, type]);
  return (
    <section class="strip" ref={element} aria-label={nameOf(video)}>
      <header>
        <h2>
          <a href={link(`videos/${video.id}`)}>{nameOf(video)}</a>
        </h2>
        <time dateTime={video.created_date} title={fullDate(video.created_date)}>
          {date(video.created_date)}
        </time>
        {number > IN_A_ROW && <a href={link('people', { type, video: video.id })}>{T.people.all(number)}</a>}
      </header>
      <ul class="strip-row" tabIndex={0} aria-label={T.people.inVideo(nameOf(video))}>
        {clusters.value?.map((cluster) => (
          <li key={cluster.id}>
            <Identity cluster={cluster} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function AllVideos({ type }: { type: Type }) {
  const videos = useSignal<Video[]>([]);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(true);
  const load = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const query = { status: [...GROUPS.done], ordering: '-id', limit: VIDEOS, ...(page && { page }) };
      const got = await ask(api.GET('/videos/', { params: { query } }));
      videos.value = page ? [...videos.value, ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => {
    void load(null);
    // Identities are made when a video's processing ends.
    const put = (changed: Video) => {
      const others = videos.value.filter((video) => video.id !== changed.id);
      const isDone = changed.health_status.status === 'COMPLETED';
      if (isDone || others.length < videos.value.length) {
        videos.value = (isDone ? [...others, changed] : others).sort((a, b) => b.id - a.id);
      }
    };
    const ends = [
      on('video', put),
      on('video_deleted', ({ id }) => (videos.value = videos.value.filter((video) => video.id !== id))),
      on('reset', () => void load(null)),
    ];
    return () => ends.forEach((end) => end());
  }, []);
  const shown = videos.value.filter((video) => found(video, type) > 0);
  if (shown.length === 0 && isLoading.value) return <Waiting>{T.people.loading}</Waiting>;
  return (
    <>
      {shown.map((video) => (
        <Strip key={video.id} video={video} type={type} />
      ))}
      {shown.length === 0 && (
        <Empty title={T.people.none(T.type(type).toLowerCase())}>
          <p>{T.people.noneText}</p>
        </Empty>
      )}
      {next.value && (
        <button
          type="button"
          class="button button-plain strip-more"
          disabled={isLoading.value}
          onClick={() => void load(next.value)}
        >
          {isLoading.value ? T.people.loading : T.people.older}
        </button>
      )}
    </>
  );
}

function OneVideo({ video, type }: { video: number; type: Type }) {
  const clusters = useSignal<Cluster[]>([]);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(true);
  const load = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const got = await read(video, type, PAGE, page ?? undefined);
      clusters.value = page ? [...clusters.value, ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => {
    clusters.value = [];
    void load(null);
    return on('video', (changed) => changed.id === video && changed.finished && void load(null));
  }, [video, type]);
  if (clusters.value.length === 0) {
    return isLoading.value ? (
      <Waiting>{T.people.loading}</Waiting>
    ) : (
      <Empty title={T.people.none(T.type(type).toLowerCase())} />
    );
  }
  return (
    <Virtual
      label={T.people.title}
      items={clusters.value}
      itemKey={(cluster) => cluster.id}
      {...CARD}
      onEnd={() => next.value && !isLoading.value && void load(next.value)}
      render={(cluster) => <Identity cluster={cluster} />}
    />
  );
}

export function List() {
  const query = route.value.query;
  const type = TYPES.find((each) => each === query.get('type')) ?? 'face';
  const video = query.get('video') ? Number(query.get('video')) : null;
  useEffect(() => {
    if (video !== null) wantNames([video]);
  }, [video]);
  const sub = video === null ? T.people.sub : T.people.inVideo(names.value.get(video) ?? T.video.unnamed(video));
  return (
    <div class="view">
      <Head title={T.people.title} sub={sub}>
        {video !== null && (
          <ButtonLink icon="back" href={link('people', { type })}>
            {T.people.allVideos}
          </ButtonLink>
        )}
      </Head>
      <div class="people-types">
        <Segments<Type>
          label={T.people.types}
          value={type}
          onChange={(value) => requery({ type: value, video })}
          options={TYPES.map((value) => ({ value, label: T.type(value) }))}
        />
      </div>
      {video === null ? <AllVideos type={type} /> : <OneVideo video={video} type={type} />}
    </div>
  );
}
