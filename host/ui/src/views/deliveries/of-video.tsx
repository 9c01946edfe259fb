/** The deliveries of one video: state, last answer, retry. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask, cursor } from '../../lib/api';
import { fullDate } from '../../lib/format';
import { on } from '../../lib/live';
import { attempt, note } from '../../lib/notices';
import { link, requery, route } from '../../lib/route';
import { mayOperate } from '../../lib/session';
import type { Delivery, DeliveryState, Video } from '../../lib/types';
import { nameOf } from '../../lib/video';
import { Button, ButtonLink, IconButton } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Head } from '../../parts/frame';
import { Thumbnail } from '../../parts/picture';
import { Badge, Empty, Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';

const PAGE = 200;
const STATES: DeliveryState[] = ['pending', 'retrying', 'failed', 'posted'];
const LIGHTS: Record<DeliveryState, string> = { pending: 'plain', retrying: 'yellow', failed: 'red', posted: 'green' };

function Line({ delivery, onRetry }: { delivery: Delivery; onRetry: () => void }) {
  const type = delivery.id.split('-')[2] ?? '';
  const track = Number(delivery.id.split('-').at(-2));
  const name = T.track(type, track);
  return (
    <article class="line line-delivery">
      <Thumbnail id={delivery.id} type={type} alt="" />
      <span class="line-main">
        <strong>{name}</strong>
        <span>
          <Badge kind={LIGHTS[delivery.state]}>{T.deliveries.state[delivery.state]}</Badge>{' '}
          <span class="muted line-attempts">{T.deliveries.attempts(delivery.attempts)}</span>
        </span>
      </span>
      <span class="line-reason" title={delivery.reason ?? undefined}>
        {T.deliveries.answer(delivery.last_status, delivery.reason)}
        {delivery.next_try && <span class="muted">{T.deliveries.next(fullDate(delivery.next_try))}</span>}
      </span>
      {mayOperate.value && delivery.state !== 'posted' && (
        <IconButton icon="retry" label={T.deliveries.retry(name)} onClick={onRetry} />
      )}
    </article>
  );
}

export function OfVideo({ id }: { id: number }) {
  const video = useSignal<Video | null>(null);
  const deliveries = useSignal<Delivery[]>([]);
  const next = useSignal<string | null>(null);
  const isLoading = useSignal(true);
  const state = STATES.find((each) => each === route.value.query.get('state')) ?? '';

  const read = async (page: string | null) => {
    isLoading.value = true;
    await attempt(async () => {
      const query = { limit: PAGE, ...(state && { state: [state] }), ...(page && { page }) };
      const got = await ask(api.GET('/videos/{id}/deliveries/', { params: { path: { id }, query } }));
      deliveries.value = page ? [...deliveries.value, ...got.results] : got.results;
      next.value = cursor(got.next_page);
    });
    isLoading.value = false;
  };
  const replace = (one: Delivery) =>
    (deliveries.value = deliveries.value.map((other) => (other.id === one.id ? one : other)));
  useEffect(() => {
    void attempt(async () => (video.value = await ask(api.GET('/videos/{id}/', { params: { path: { id } } }))));
  }, []);
  useEffect(() => {
    void read(null);
    const ends = [
      on('delivery', (changed) => {
        if (changed.video !== id) return;
        const there = deliveries.value.find((one) => one.id === changed.object);
        if (!there) return void (state === '' && !next.value && read(null));
        replace({
          ...there,
          state: changed.state,
          attempts: changed.attempts ?? there.attempts,
          last_status: changed.last_status ?? changed.status ?? there.last_status,
          reason: changed.reason ?? (changed.state === 'posted' ? null : there.reason),
          next_try: changed.next_try ?? null,
        });
      }),
      on('video', (changed) => changed.id === id && (video.value = changed)),
      on('reset', () => void read(null)),
    ];
    return () => ends.forEach((end) => end());
  }, [state]);

  const retry = (one: Delivery) =>
    void attempt(async () =>
      replace(await ask(api.POST('/deliveries/{id}/retry/', { params: { path: { id: one.id } } }))),
    );
  const retryAll = () =>
    void attempt(async () => {
      const { retried } = await ask(api.POST('/videos/{id}/deliveries/retry/', { params: { path: { id } } }));
      note(T.deliveries.retried(retried));
      await read(null);
    });
  return (
    <div class="view">
      <Head
        title={video.value ? T.deliveries.title(nameOf(video.value)) : T.nav.deliveries}
        sub={video.value?.router_url ?? ' '}
        back={{ href: link('deliveries'), label: T.deliveries.toList }}
      >
        <ButtonLink icon="videos" href={link(`videos/${id}`)}>
          {T.people.toVideo}
        </ButtonLink>
        {mayOperate.value && (
          <Button icon="retry" onClick={retryAll}>
            {T.deliveries.retryAll}
          </Button>
        )}
      </Head>
      <div class="people-types">
        <Segments<DeliveryState | ''>
          label={T.deliveries.states}
          value={state}
          onChange={(value) => requery({ state: value })}
          options={[
            { value: '', label: T.deliveries.all },
            ...STATES.map((value) => ({ value, label: T.deliveries.state[value] })),
          ]}
        />
      </div>
      {deliveries.value.length === 0 ? (
        isLoading.value ? (
          <Waiting>{T.deliveries.loading}</Waiting>
        ) : (
          <Empty title={T.deliveries.noneHere} />
        )
      ) : (
        <Virtual
          label={T.nav.deliveries}
          items={deliveries.value}
          itemKey={(delivery) => delivery.id}
          rowHeight={5.25}
          gap={0.5}
          onEnd={() => next.value && !isLoading.value && void read(next.value)}
          render={(delivery) => <Line delivery={delivery} onRetry={() => retry(delivery)} />}
        />
      )}
    </div>
  );
}
