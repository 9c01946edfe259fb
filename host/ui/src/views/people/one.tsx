/** One person or thing: its name, all its appearances in its video, and who looks like it elsewhere. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask, cursor, Problem } from '../../lib/api';
import { percent } from '../../lib/format';
import { on } from '../../lib/live';
import { names, videoOf, wantNames } from '../../lib/names';
import { attempt } from '../../lib/notices';
import { link } from '../../lib/route';
import { mayOperate } from '../../lib/session';
import type { Cluster, VideoObject } from '../../lib/types';
import { Button, ButtonLink, IconButton } from '../../parts/button';
import { Head } from '../../parts/frame';
import { Hit, HIT } from '../../parts/hit';
import { Empty, Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { changes, rename, similar, takeOut } from './actions';
import { Card } from './card';
import { Corrections } from './corrections';
import { MergeDialog } from './merge';
import { NameForm } from './name';

const PAGE = 200;
/** From here on two count as the same. */
const SAME = 0.5;

const placeOf = (id: string) => names.value.get(videoOf(id)) ?? T.video.unnamed(videoOf(id));

/**
 * The identity that an object belongs to. An identity has the id of its first object: where a
 * correction has moved that to another one, this is where it went.
 */
async function identityOf(object: string): Promise<string | null> {
  try {
    return (await ask(api.GET('/objects/{id}/', { params: { path: { id: object } } }))).cluster ?? null;
  } catch (cause) {
    if (cause instanceof Problem && cause.status === 404) return null;
    throw cause;
  }
}

/** Who looks like it in other videos. */
function Elsewhere({ cluster }: { cluster: Cluster }) {
  const found = useSignal<Cluster[] | null>(null);
  useEffect(() => {
    void attempt(async () => {
      const others = (await similar(cluster, SAME)).filter((other) => videoOf(other.id) !== videoOf(cluster.id));
      wantNames(others.map((other) => videoOf(other.id)));
      found.value = others;
    });
  }, [cluster.id, changes.value]);
  if (!found.value) return null;
  return (
    <section class="strip" aria-label={T.people.elsewhere}>
      <header>
        <h2>{T.people.elsewhere}</h2>
      </header>
      {found.value.length === 0 && <p class="hint">{T.people.elsewhereNone(cluster.type)}</p>}
      {found.value.length > 0 && (
        <ul class="strip-row" tabIndex={0} aria-label={T.people.elsewhere}>
          {found.value.map((other) => (
            <li key={other.id}>
              <Card cluster={other}>
                <span class="hit-place">{placeOf(other.id)}</span>
                <span class="hit-time">{T.people.alike(percent(other.looks_like_confidence ?? 0))}</span>
              </Card>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Whose name it might bear, and a button that gives it that. */
function Guess({ cluster }: { cluster: Cluster }) {
  const alike = cluster.named_alike;
  if (!alike) return null;
  return (
    <p class="guess">
      <a href={link(`people/${encodeURIComponent(alike.cluster)}`)}>
        {T.people.looksLikeIn(alike.name, placeOf(alike.cluster), percent(alike.similarity))}
      </a>
      {mayOperate.value && (
        <Button onClick={() => void rename(cluster, alike.name)}>{T.people.nameSo(alike.name)}</Button>
      )}
    </p>
  );
}

function Appearances({ cluster }: { cluster: Cluster }) {
  const objects = useSignal<VideoObject[] | null>(null);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(false);
  const read = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const query = { limit: PAGE, ...(page && { page }) };
      const got = await ask(api.GET('/clusters/{id}/objects/', { params: { path: { id: cluster.id }, query } }));
      objects.value = page ? [...(objects.value ?? []), ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => void read(null), [cluster]);
  if (!objects.value) return isLoading.value ? <Waiting>{T.people.loading}</Waiting> : null;
  const mayTakeOut = mayOperate.value && cluster.size > 1;
  return (
    <Virtual
      label={T.people.appearancesLabel}
      items={objects.value}
      itemKey={(object) => object.id}
      {...HIT}
      onEnd={() => next.value && !isLoading.value && void read(next.value)}
      render={(object) => (
        <Hit
          object={object}
          action={
            mayTakeOut && (
              <IconButton
                icon="close"
                class="hit-take-out"
                label={T.people.takeOut(T.track(object.type, object.track_id))}
                onClick={() => void takeOut(cluster, object.id)}
              />
            )
          }
        />
      )}
    />
  );
}

export function One({ id }: { id: string }) {
  const video = videoOf(id);
  const type = id.split('-')[2] ?? 'face';
  const cluster = useSignal<Cluster | null>(null);
  const isGone = useSignal(false);
  const isNaming = useSignal(false);
  const isMerging = useSignal(false);
  const read = () =>
    void attempt(async () => {
      try {
        const got = await ask(api.GET('/clusters/{id}/', { params: { path: { id } } }));
        if (got.named_alike) wantNames([videoOf(got.named_alike.cluster)]);
        cluster.value = got;
        isGone.value = false;
      } catch (cause) {
        if (!(cause instanceof Problem && cause.status === 404)) throw cause;
        const now = await identityOf(id);
        if (now === null || now === id) isGone.value = true;
        else location.replace(link(`people/${encodeURIComponent(now)}`));
      }
    });
  useEffect(() => wantNames([video]), [video]);
  useEffect(() => on('video', (changed) => changed.id === video && changed.finished && read()), [id]);
  useEffect(read, [id, changes.value]);
  const back = { href: link('people', { type }), label: T.people.toList };
  const one = cluster.value?.id === id ? cluster.value : null;
  if (isGone.value) {
    return (
      <div class="view">
        <Head title={T.people.one(type)} back={back} />
        <Empty title={T.people.gone}>
          <p>{T.people.goneText}</p>
          <ButtonLink href={link('people', { type, video })}>{T.people.inVideo(placeOf(id))}</ButtonLink>
        </Empty>
        <Corrections video={video} />
      </div>
    );
  }
  const title = one?.name ?? T.people.one(type);
  return (
    <div class="view">
      <Head
        title={title}
        back={back}
        sub={one ? T.people.oneSub(one.size, placeOf(id)) : ' '}
        instead={one && isNaming.value ? <NameForm cluster={one} onDone={() => (isNaming.value = false)} /> : undefined}
        beside={
          one &&
          mayOperate.value &&
          !isNaming.value && (
            <IconButton
              icon="edit"
              label={one.name === null ? T.people.nameIt : T.people.rename(one.name)}
              onClick={() => (isNaming.value = true)}
            />
          )
        }
      >
        {one && mayOperate.value && (
          <Button icon="people" onClick={() => (isMerging.value = true)}>
            {T.people.merge}
          </Button>
        )}
        {one && (
          <ButtonLink icon="search" href={link('search', { object: one.best })}>
            {T.people.where}
          </ButtonLink>
        )}
        <ButtonLink icon="videos" href={link(`videos/${video}`, { t: one?.first_time.toFixed(2) })}>
          {T.people.toVideo}
        </ButtonLink>
      </Head>
      {!one && <Waiting>{T.people.loading}</Waiting>}
      {one && (
        <>
          <Guess cluster={one} />
          <Appearances cluster={one} />
          <Elsewhere cluster={one} />
          {one.corrections.length > 0 && <Corrections video={video} only={one.corrections} />}
          {isMerging.value && <MergeDialog cluster={one} onDone={() => (isMerging.value = false)} />}
        </>
      )}
    </div>
  );
}
