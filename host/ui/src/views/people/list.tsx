/** The identities of one video as a grid, or of all videos: those with a name, then a row for each. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { all, api, ask, cursor } from '../../lib/api';
import { date, fullDate } from '../../lib/format';
import { on } from '../../lib/live';
import { names, videoOf, wantNames } from '../../lib/names';
import { attempt } from '../../lib/notices';
import { link, requery, route } from '../../lib/route';
import type { Cluster, Video } from '../../lib/types';
import { GROUPS, nameOf } from '../../lib/video';
import { ButtonLink } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Head } from '../../parts/frame';
import { Empty, Waiting } from '../../parts/status';
import { scroller, Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { changes, LISTS } from './actions';
import { Card, CARD } from './card';
import { Corrections } from './corrections';

const PAGE = 200;
const IN_A_ROW = 24;
const VIDEOS = 30;
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

/** Those with a name, one card for each name: the first identity that bears it. */
function Named({ type }: { type: Type }) {
  const named = useSignal<Cluster[]>([]);
  const read = () =>
    void attempt(async () => {
      named.value = await all((page) =>
        ask(api.GET(LISTS[type], { params: { query: { named: true, limit: PAGE, ...(page && { page }) } } })),
      );
    });
  useEffect(() => on('video', ({ finished }) => finished && read()), [type]);
  useEffect(read, [type, changes.value]);
  const byName = new Map<string, Cluster[]>();
  for (const cluster of named.value) {
    const name = cluster.name ?? '';
    byName.set(name, [...(byName.get(name) ?? []), cluster]);
  }
  if (byName.size === 0) return null;
  const shown = [...byName].sort(([a], [b]) => a.localeCompare(b));
  return (
    <section class="strip" aria-label={T.people.named}>
      <header>
        <h2>{T.people.named}</h2>
      </header>
      <ul class="strip-row" tabIndex={0} aria-label={T.people.named}>
        {shown.map(([name, [first, ...others]]) => (
          <li key={name}>
            {first && (
              <Card cluster={first}>
                <span class="hit-time">
                  {T.people.namedIn(new Set([first, ...others].map(({ id }) => videoOf(id))).size)}
                </span>
              </Card>
            )}
          </li>
        ))}
      </ul>
    </section>
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
  }, [video, type, changes.value]);
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
            <Card cluster={cluster} />
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
      <Named type={type} />
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
  }, [video, type]);
  // After a correction the cards stay until the new ones are there.
  useEffect(() => {
    void load(null);
    return on('video', (changed) => changed.id === video && changed.finished && void load(null));
  }, [video, type, changes.value]);
  if (clusters.value.length === 0) {
    return isLoading.value ? (
      <Waiting>{T.people.loading}</Waiting>
    ) : (
      <Empty title={T.people.none(T.type(type).toLowerCase())} />
    );
  }
  return (
    <>
      <Virtual
        label={T.people.title}
        items={clusters.value}
        itemKey={(cluster) => cluster.id}
        {...CARD}
        onEnd={() => next.value && !isLoading.value && void load(next.value)}
        render={(cluster) => <Card cluster={cluster} />}
      />
      <Corrections video={video} />
    </>
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
