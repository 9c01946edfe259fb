/** The objects of a video as cards, in step with the place that is shown. */
import { useComputed, useSignal } from '@preact/signals';
import { useMemo } from 'preact/hooks';
import { clock, percent } from '../../lib/format';
import { onPage } from '../../lib/identity';
import { link } from '../../lib/route';
import type { VideoObject } from '../../lib/types';
import { IconButton } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Thumbnail } from '../../parts/picture';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import type { VideoModel } from './model';
import type { Playback } from './playback';

function isAt(object: VideoObject, time: number, slack: number): boolean {
  return object.first_time - slack <= time && time <= object.last_time + slack;
}

export function Card(props: {
  object: VideoObject;
  hue: number;
  isNow: boolean;
  isSelected: boolean;
  onOpen: () => void;
}) {
  const { object, hue, isNow, isSelected, onOpen } = props;
  const name = T.track(object.type, object.track_id);
  const facts = [
    ...Object.entries(object.attributes).map(([key, value]) => `${key}: ${value}`),
    ...Object.entries(object.features).map(([key, feature]) => `${key}: ${feature.name}`),
  ];
  return (
    <article
      class={`card${isNow ? ' card-now' : ''}${isSelected ? ' card-selected' : ''}`}
      style={{ '--identity': onPage(hue) }}
    >
      <button type="button" class="card-open" onClick={onOpen} title={T.card.open(clock(object.best_time, true))}>
        <Thumbnail id={object.id} type={object.type} alt="" />
        <span class="card-text">
          <strong>{name}</strong>
          <span>
            {clock(object.first_time, true)} – {clock(object.last_time, true)}
          </span>
          <span class="card-facts">
            {facts.length > 0 ? facts.join(', ') : T.card.quality(percent(object.quality))}
          </span>
        </span>
      </button>
      <div class="card-actions">
        <IconButton
          icon="search"
          label={T.card.where(name)}
          onClick={() => (location.hash = link('search', { object: object.id }))}
        />
        {object.cluster && (
          <IconButton
            icon="people"
            label={T.card.identity(name)}
            onClick={() => (location.hash = link(`people/${encodeURIComponent(object.cluster ?? '')}`))}
          />
        )}
      </div>
    </article>
  );
}

export function Cards({
  model,
  playback,
  follow,
  onSelect,
}: {
  model: VideoModel;
  playback: Playback;
  follow: boolean;
  onSelect: (object: string) => void;
}) {
  const type = useSignal('');
  const objects = model.objects.value;
  const shown = useMemo(
    () => (type.value ? objects.filter((object) => object.type === type.value) : objects),
    [objects, type.value],
  );
  // Ten times a second are enough for cards.
  const time = useComputed(() => Math.round(playback.time.value * 10) / 10).value;
  const slack = Math.max(0.06, 0.6 / model.fps.value);
  // The last to begin before now: what is in sight in the list while the video plays.
  const current = useMemo(() => {
    let found = -1;
    for (let i = 0; i < shown.length; i++) {
      const object = shown[i];
      if (!object || object.first_time > time + slack) break;
      if (isAt(object, time, slack)) {
        found = i;
        break;
      }
    }
    return found;
  }, [shown, time]);
  const selectedIndex = useMemo(
    () => shown.findIndex((object) => object.id === model.selected.value),
    [shown, model.selected.value],
  );

  const types = model.types.value;
  const options = useMemo(
    () => [
      { value: '', label: T.card.all(objects.length) },
      ...types.map((each) => ({
        value: each,
        label: T.card.ofType(T.type(each), objects.filter((object) => object.type === each).length),
      })),
    ],
    [objects, types],
  );
  return (
    <section class="cards" aria-label={T.card.label}>
      {types.length > 1 && (
        <Segments
          label={T.card.types}
          value={type.value}
          options={options}
          onChange={(value) => (type.value = value)}
        />
      )}
      <div class="cards-list">
        {objects.length === 0 ? (
          <p class="cards-none">
            {model.isLoading.value ? T.card.loading : model.video.value?.finished ? T.card.none : T.card.noneYet}
          </p>
        ) : (
          <Virtual
            label={T.card.label}
            items={shown}
            itemKey={(object) => object.id}
            rowHeight={6.25}
            columnWidth={17}
            gap={0.5}
            reveal={follow ? (selectedIndex >= 0 && !playback.isPlaying.value ? selectedIndex : current) : null}
            render={(object) => (
              <Card
                object={object}
                hue={model.hue(object)}
                isNow={isAt(object, time, slack)}
                isSelected={object.id === model.selected.value}
                onOpen={() => {
                  onSelect(object.id);
                  playback.pause();
                  playback.seek(object.best_time);
                }}
              />
            )}
          />
        )}
      </div>
    </section>
  );
}
