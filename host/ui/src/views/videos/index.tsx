/** The list of videos. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { BASE } from '../../lib/base';
import { report } from '../../lib/notices';
import { route } from '../../lib/route';
import { mayOperate } from '../../lib/session';
import { Button } from '../../parts/button';
import { dropped, holdsFiles, looksLikeVideo } from '../../parts/drop';
import { Head } from '../../parts/frame';
import { Icon } from '../../parts/icon';
import { Empty, Waiting } from '../../parts/status';
import { Virtual } from '../../parts/virtual';
import { T } from '../../texts';
import { process, remove, stop } from './actions';
import { AddDialog } from './add';
import { Filters, fromQuery } from './filters';
import { Row } from './row';
import { filter, follow, ids, isFiltered, isLoading, load, loadMore, selectAll, selected, total, video } from './store';

/** Heights of rows, in rem. */
const ROW = { wide: 7, narrow: 10.5 };
const narrow = matchMedia('(max-width: 44rem)');
const loadOnEnd = () => void loadMore();

function Selection() {
  const chosen = [...selected.value];
  const isAll = chosen.length === ids.value.length && chosen.length > 0;
  return (
    <div class="selection">
      <label class="selection-all">
        <input
          type="checkbox"
          checked={isAll}
          ref={(box) => {
            if (box) box.indeterminate = chosen.length > 0 && !isAll;
          }}
          onChange={(event) => selectAll(event.currentTarget.checked)}
        />
        {chosen.length === 0 ? T.videos.selectAll : T.videos.selected(chosen.length)}
      </label>
      {chosen.length > 0 && (
        <>
          <Button
            kind="quiet"
            icon="play"
            onClick={() =>
              void process(
                chosen,
                chosen.some((id) => video(id)?.value.finished),
              )
            }
          >
            {T.action.process}
          </Button>
          <Button kind="quiet" icon="stop" onClick={() => void stop(chosen)}>
            {T.action.stop}
          </Button>
          <Button kind="quiet" icon="trash" onClick={() => void remove(chosen, null)}>
            {T.action.delete}
          </Button>
        </>
      )}
    </div>
  );
}

function Welcome({ onPick }: { onPick: () => void }) {
  return (
    <div class="welcome">
      <button type="button" class="drop drop-large" onClick={onPick}>
        <Icon name="upload" size={40} />
        <strong>{T.videos.emptyTitle}</strong>
        <span>{T.videos.emptyText}</span>
      </button>
      <div class="welcome-curl">
        <h2>{T.videos.emptyCurlTitle}</h2>
        <pre tabIndex={0}>
          <code>{T.videos.emptyCurl(BASE)}</code>
        </pre>
      </div>
    </div>
  );
}

export function Videos() {
  const adding = useSignal<File[] | null>(null);
  const over = useSignal(false);
  const isNarrow = useSignal(narrow.matches);
  const depth = useRef(0);

  useEffect(() => {
    filter.value = fromQuery(route.peek().query);
    const stopFollowing = follow();
    void load();
    const changed = () => (isNarrow.value = narrow.matches);
    narrow.addEventListener('change', changed);
    return () => {
      stopFollowing();
      narrow.removeEventListener('change', changed);
    };
  }, []);

  const isEmpty = total.value === 0 && !isLoading.value && ids.value.length === 0;
  return (
    <div
      class="view"
      onDragEnter={(event) => {
        if (!holdsFiles(event) || !mayOperate.value) return;
        event.preventDefault();
        depth.current++;
        over.value = true;
      }}
      onDragOver={(event) => {
        if (holdsFiles(event)) event.preventDefault();
      }}
      onDragLeave={() => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) over.value = false;
      }}
      onDrop={(event) => {
        event.preventDefault();
        depth.current = 0;
        over.value = false;
        if (!mayOperate.value || !event.dataTransfer || adding.value) return;
        void dropped(event.dataTransfer).then((files) => (adding.value = files.filter(looksLikeVideo)), report);
      }}
    >
      <Head title={T.nav.videos} sub={total.value === null ? ' ' : T.videos.total(total.value, isFiltered.value)}>
        {mayOperate.value && (
          <Button kind="primary" icon="plus" onClick={() => (adding.value = [])}>
            {T.videos.add}
          </Button>
        )}
      </Head>
      {(!isEmpty || isFiltered.value) && <Filters />}
      {isEmpty ? (
        isFiltered.value ? (
          <Empty title={T.videos.noneMatch}>
            <p>{T.videos.noneMatchText}</p>
          </Empty>
        ) : mayOperate.value ? (
          <Welcome onPick={() => (adding.value = [])} />
        ) : (
          <Empty title={T.videos.nothing} />
        )
      ) : (
        <>
          {mayOperate.value && <Selection />}
          <Virtual
            class="rows"
            label={T.nav.videos}
            items={ids.value}
            itemKey={(id) => id}
            rowHeight={isNarrow.value ? ROW.narrow : ROW.wide}
            gap={0.5}
            onEnd={loadOnEnd}
            render={(id) => {
              const one = video(id);
              return one ? <Row video={one} /> : <></>;
            }}
          />
          {isLoading.value && ids.value.length === 0 && <Waiting>{T.videos.loading}</Waiting>}
        </>
      )}
      {over.value && (
        <div class="drop-cover" aria-hidden="true">
          <Icon name="upload" size={48} />
          <p>{T.videos.dropHere}</p>
        </div>
      )}
      {adding.value && <AddDialog files={adding.value} onClose={() => (adding.value = null)} />}
    </div>
  );
}
