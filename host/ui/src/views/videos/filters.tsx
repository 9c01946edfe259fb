/** The filters of the list, kept in the address. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { api, ask, Problem } from '../../lib/api';
import { clock } from '../../lib/format';
import { videoOfObject } from '../../lib/names';
import { attempt, report } from '../../lib/notices';
import { link, requery } from '../../lib/route';
import { GROUPS, type Group } from '../../lib/video';
import { Button } from '../../parts/button';
import { Icon } from '../../parts/icon';
import type { VideoObject } from '../../lib/types';
import { T } from '../../texts';
import { filter, isFiltered, load, NO_FILTER, type Filter } from './store';

const TYPING_MS = 200;

export function fromQuery(query: URLSearchParams): Filter {
  const group = query.get('status') ?? '';
  const router = query.get('router') ?? '';
  return {
    name: query.get('name') ?? '',
    group: group in GROUPS ? (group as Group) : '',
    camera: /^-?\d+$/.test(query.get('camera') ?? '') ? (query.get('camera') ?? '') : '',
    router: router === 'yes' || router === 'no' ? router : '',
    since: query.get('since') ?? '',
    until: query.get('until') ?? '',
  };
}

function change(part: Partial<Filter>): void {
  const now = { ...filter.value, ...part };
  filter.value = now;
  const { name, camera, router, since, until } = now;
  requery({ status: now.group, name, camera, router, since, until });
  void load();
}

/** Leads to an object whose id stands in the place of a name. */
function ObjectLink({ id }: { id: string }) {
  const found = useSignal<VideoObject | null>(null);
  const isMissing = useSignal(false);
  useEffect(() => {
    let isOld = false;
    found.value = null;
    isMissing.value = false;
    ask(api.GET('/objects/{id}/', { params: { path: { id } } })).then(
      (object) => !isOld && (found.value = object),
      (cause: unknown) => {
        if (isOld) return;
        if (cause instanceof Problem && cause.status === 404) isMissing.value = true;
        else report(cause);
      },
    );
    return () => {
      isOld = true;
    };
  }, [id]);
  const object = found.value;
  return (
    <p class="filter-object" role="status">
      {isMissing.value && T.filter.noObject(id)}
      {object && (
        <a href={link(`videos/${videoOfObject(id)}`, { t: object.best_time.toFixed(2) })}>
          {T.filter.toObject(T.track(object.type, object.track_id), clock(object.best_time, true))}
        </a>
      )}
    </p>
  );
}

export function Filters() {
  const cameras = useSignal<{ id: number; name: string }[]>([]);
  useEffect(() => {
    void attempt(async () => (cameras.value = (await ask(api.GET('/camera-groups/'))).results));
  }, []);
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const { name, group, camera, router, since, until } = filter.value;
  return (
    <div class="filters" role="search" aria-label={T.filter.label}>
      <label class="search-input">
        <span class="visually-hidden">{T.filter.name}</span>
        <Icon name="search" size={18} />
        <input
          type="search"
          class="input"
          placeholder={T.filter.name}
          value={name}
          onInput={(event) => {
            const value = event.currentTarget.value;
            clearTimeout(typing.current);
            typing.current = setTimeout(() => change({ name: value }), TYPING_MS);
          }}
        />
      </label>
      <label>
        <span class="visually-hidden">{T.filter.status}</span>
        <select
          class="input"
          value={group}
          onChange={(event) => change({ group: event.currentTarget.value as Group | '' })}
        >
          <option value="">{T.filter.any}</option>
          {(Object.keys(GROUPS) as Group[]).map((each) => (
            <option key={each} value={each}>
              {T.filter.group[each]}
            </option>
          ))}
        </select>
      </label>
      {cameras.value.length > 1 && (
        <label>
          <span class="visually-hidden">{T.filter.camera}</span>
          <select class="input" value={camera} onChange={(event) => change({ camera: event.currentTarget.value })}>
            <option value="">{T.filter.anyCamera}</option>
            {cameras.value.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
      <label>
        <span class="visually-hidden">{T.filter.router}</span>
        <select
          class="input"
          value={router}
          onChange={(event) => change({ router: event.currentTarget.value as Filter['router'] })}
        >
          <option value="">{T.filter.anyRouter}</option>
          <option value="yes">{T.filter.withRouter}</option>
          <option value="no">{T.filter.withoutRouter}</option>
        </select>
      </label>
      <div class="dates">
        <label class="date-input">
          <span>{T.filter.since}</span>
          <input
            type="date"
            class="input"
            value={since}
            max={until || undefined}
            onChange={(event) => change({ since: event.currentTarget.value })}
          />
        </label>
        <label class="date-input">
          <span>{T.filter.until}</span>
          <input
            type="date"
            class="input"
            value={until}
            min={since || undefined}
            onChange={(event) => change({ until: event.currentTarget.value })}
          />
        </label>
      </div>
      {isFiltered.value && (
        <Button kind="quiet" icon="close" onClick={() => change(NO_FILTER)}>
          {T.filter.clear}
        </Button>
      )}
      {videoOfObject(name) !== null && <ObjectLink id={name.trim()} />}
    </div>
  );
}
