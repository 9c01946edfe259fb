/** Search: who or what looks like a picture, and where. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { percent } from '../../lib/format';
import { requery, route } from '../../lib/route';
import { Button } from '../../parts/button';
import { Segments } from '../../parts/field';
import { Head } from '../../parts/frame';
import { Hit, HIT } from '../../parts/hit';
import { Icon } from '../../parts/icon';
import { Empty, Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { Query } from './query';
import {
  again,
  byObject,
  byPicture,
  hits,
  histogram,
  isBusy,
  object,
  picture,
  problem,
  result,
  threshold,
  type,
  videos,
} from './state';

function Threshold() {
  const bins = histogram.value;
  const most = Math.max(1, ...bins);
  return (
    <div class="threshold">
      <div class="threshold-head">
        <label for="threshold">{T.search.threshold(percent(threshold.value))}</label>
        <strong aria-live="polite">
          {T.search.count(hits.value.length, result.value?.results.length ?? 0, videos.value)}
        </strong>
      </div>
      <div class="histogram" aria-hidden="true">
        {bins.map((number, i) => (
          <span
            key={i}
            class={(i + 0.5) / bins.length >= threshold.value ? 'histogram-in' : ''}
            style={{ height: number === 0 ? '1px' : `${8 + (92 * Math.log1p(number)) / Math.log1p(most)}%` }}
          />
        ))}
      </div>
      <input
        id="threshold"
        type="range"
        min={0}
        max={1}
        step={0.01}
        value={threshold.value}
        aria-valuetext={percent(threshold.value)}
        onInput={(event) => (threshold.value = Number(event.currentTarget.value))}
      />
      <p class="hint">{T.search.thresholdHint}</p>
    </div>
  );
}

function Ask({ onPick }: { onPick: () => void }) {
  return (
    <div class="search-ask">
      <button type="button" class="drop drop-large" onClick={onPick}>
        <Icon name="picture" size={40} />
        <strong>{T.search.drop}</strong>
        <span>{T.search.dropText}</span>
      </button>
    </div>
  );
}

export function Search() {
  const picker = useRef<HTMLInputElement>(null);
  const over = useSignal(false);
  const asked = route.value.query.get('object');

  useEffect(() => {
    if (asked) byObject(asked);
  }, [asked]);

  useEffect(() => {
    const paste = (event: ClipboardEvent) => {
      const file = [...(event.clipboardData?.files ?? [])].find((candidate) => candidate.type.startsWith('image/'));
      if (file) take(file);
    };
    document.addEventListener('paste', paste);
    return () => document.removeEventListener('paste', paste);
  }, []);

  const take = (file: File | undefined) => {
    if (!file) return;
    requery({});
    type.value = '';
    byPicture(file);
  };

  const found = result.value;
  return (
    <div
      class="view"
      onDragOver={(event) => {
        event.preventDefault();
        over.value = true;
      }}
      onDragLeave={() => (over.value = false)}
      onDrop={(event) => {
        event.preventDefault();
        over.value = false;
        take(event.dataTransfer?.files[0]);
      }}
    >
      <Head title={T.nav.search} sub={T.search.sub}>
        {picture.value && (
          <Button icon="picture" onClick={() => picker.current?.click()}>
            {T.search.pick}
          </Button>
        )}
      </Head>
      <input
        ref={picker}
        type="file"
        accept="image/*"
        hidden
        onChange={(event) => {
          take(event.currentTarget.files?.[0]);
          event.currentTarget.value = '';
        }}
      />
      {!picture.value && isBusy.value && <Waiting>{T.search.busy}</Waiting>}
      {!picture.value && !isBusy.value && !problem.value && <Ask onPick={() => picker.current?.click()} />}
      {!picture.value && problem.value && <Empty title={problem.value} />}
      {picture.value && (
        <div class="search-columns">
          <aside class="search-side">
            <Query />
            <Segments
              label={T.search.type}
              value={type.value}
              onChange={again}
              options={[
                { value: '', label: T.search.anyType },
                ...['face', 'body', 'car'].map((each) => ({ value: each, label: T.type(each) })),
              ]}
            />
            {found && <Threshold />}
          </aside>
          <section class="search-hits" aria-label={T.search.hits}>
            {problem.value && <Empty title={problem.value} />}
            {!found && isBusy.value && <Waiting>{T.search.busy}</Waiting>}
            {found && hits.value.length === 0 && (
              <Empty title={T.search.none}>
                <p>{found.results.length > 0 ? T.search.noneText : T.search.nothing}</p>
              </Empty>
            )}
            {hits.value.length > 0 && (
              <Virtual
                label={T.search.hits}
                items={hits.value}
                itemKey={(hit) => hit.object.id}
                {...HIT}
                render={(hit) => (
                  <Hit object={hit.object} mark={hit.object.id === object.value?.id ? T.search.itself : undefined}>
                    {percent(hit.similarity)}
                  </Hit>
                )}
              />
            )}
          </section>
        </div>
      )}
      {over.value && (
        <div class="drop-cover" aria-hidden="true">
          <Icon name="picture" size={48} />
          <p>{T.search.dropHere}</p>
        </div>
      )}
    </div>
  );
}
