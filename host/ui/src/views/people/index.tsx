/** People and things: the identities of videos as cards, and all appearances of one. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask, cursor } from '../../lib/api';
import { names, videoOf, wantNames } from '../../lib/names';
import { attempt } from '../../lib/notices';
import { link } from '../../lib/route';
import type { VideoObject } from '../../lib/types';
import { ButtonLink } from '../../parts/button';
import { Head } from '../../parts/frame';
import { Hit, HIT } from '../../parts/hit';
import { Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { List } from './list';

const PAGE = 200;

function One({ cluster }: { cluster: string }) {
  const video = videoOf(cluster);
  const objects = useSignal<VideoObject[] | null>(null);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(false);
  const read = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const got = await ask(
        api.GET('/clusters/{id}/objects/', {
          params: { path: { id: cluster }, query: { limit: PAGE, ...(page && { page }) } },
        }),
      );
      objects.value = page ? [...(objects.value ?? []), ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  useEffect(() => {
    objects.value = null;
    wantNames([video]);
    void read(null);
  }, [cluster]);
  const first = objects.value?.[0];
  const best = objects.value?.reduce((a, b) => (b.quality > a.quality ? b : a));
  const type = cluster.split('-')[2] ?? 'face';
  return (
    <div class="view">
      <Head
        title={T.people.one(type)}
        back={{ href: link('people', { type }), label: T.people.toList }}
        sub={
          objects.value && first
            ? T.people.oneSub(
                objects.value.length + (next.value ? 1 : 0),
                Boolean(next.value),
                names.value.get(video) ?? T.video.unnamed(video),
              )
            : ' '
        }
      >
        {best && (
          <ButtonLink icon="search" href={link('search', { object: best.id })}>
            {T.people.where}
          </ButtonLink>
        )}
        <ButtonLink icon="videos" href={link(`videos/${video}`, { t: first?.best_time.toFixed(2) })}>
          {T.people.toVideo}
        </ButtonLink>
      </Head>
      {!objects.value && isLoading.value && <Waiting>{T.people.loading}</Waiting>}
      {objects.value && (
        <Virtual
          label={T.people.appearancesLabel}
          items={objects.value}
          itemKey={(object) => object.id}
          {...HIT}
          onEnd={() => next.value && !isLoading.value && void read(next.value)}
          render={(object) => <Hit object={object} />}
        />
      )}
    </div>
  );
}

export function People({ cluster }: { cluster: string | null }) {
  return cluster ? <One cluster={cluster} /> : <List />;
}
