/** The filters of the list, kept in the address. */
import { useRef } from 'preact/hooks';
import { requery } from '../../lib/route';
import { GROUPS, type Group } from '../../lib/video';
import { Button } from '../../parts/button';
import { Icon } from '../../parts/icon';
import { T } from '../../texts';
import { filter, isFiltered, load, NO_FILTER, type Filter } from './store';

const TYPING_MS = 200;

export function fromQuery(query: URLSearchParams): Filter {
  const group = query.get('status') ?? '';
  return {
    name: query.get('name') ?? '',
    group: group in GROUPS ? (group as Group) : '',
    since: query.get('since') ?? '',
    until: query.get('until') ?? '',
  };
}

function change(part: Partial<Filter>): void {
  const now = { ...filter.value, ...part };
  filter.value = now;
  requery({ status: now.group, name: now.name, since: now.since, until: now.until });
  void load();
}

export function Filters() {
  const typing = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const { name, group, since, until } = filter.value;
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
    </div>
  );
}
