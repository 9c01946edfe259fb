/** The form of an object type's or the plugins' settings, made from their schema. */
import { useId } from 'preact/hooks';
import { IconButton } from '../../parts/button';
import { Choice } from '../../parts/field';
import { T } from '../../texts';
import { FILTERS, isWhole, kindOf, labelOf, type Field, type Form, type Property } from './schema';
import type { Tuning } from './state';

function Input({
  id,
  described,
  property,
  value,
  span,
  onChange,
}: {
  id: string;
  described: string;
  property: Property;
  value: unknown;
  /** The greatest number that makes sense, for sliders of pixels. */
  span: number | null;
  onChange: (value: unknown) => void;
}) {
  const kind = kindOf(property);
  if (kind === 'choice') {
    return (
      <select
        id={id}
        class="input"
        aria-describedby={described}
        value={String(value)}
        onChange={(event) => onChange(event.currentTarget.value)}
      >
        {property.enum?.map((each) => (
          <option key={String(each)} value={String(each)}>
            {String(each) || T.tune.nothing}
          </option>
        ))}
      </select>
    );
  }
  if (kind === 'text') {
    return (
      <input
        id={id}
        class="input"
        aria-describedby={described}
        maxLength={property.maxLength}
        placeholder={property.format === 'region' ? T.tune.region : undefined}
        value={String(value ?? '')}
        onChange={(event) => onChange(event.currentTarget.value.trim())}
      />
    );
  }
  const number = Number(value ?? 0);
  const greatest = kind === 'share' ? 1 : span;
  const step = kind === 'share' ? 0.01 : isWhole(property) ? 1 : 0.1;
  const change = (text: string) => {
    const parsed = Number(text);
    if (text !== '' && Number.isFinite(parsed)) onChange(parsed);
  };
  return (
    <div class="tune-number">
      {greatest !== null && (
        <input
          type="range"
          aria-label={T.tune.slider}
          tabIndex={-1}
          min={property.minimum ?? 0}
          max={greatest}
          step={step}
          value={Math.min(number, greatest)}
          onInput={(event) => change(event.currentTarget.value)}
        />
      )}
      <input
        id={id}
        class="input"
        type="number"
        aria-describedby={described}
        min={property.minimum}
        max={property.maximum}
        step={isWhole(property) ? 1 : 'any'}
        value={number}
        onInput={(event) => change(event.currentTarget.value)}
      />
    </div>
  );
}

/** Which filter plugins see the detections, as boxes to check. */
function Filters({ tuning }: { tuning: Tuning }) {
  const chosen = String(tuning.value(FILTERS, '')).split(',').filter(Boolean);
  return (
    <>
      {tuning.filters.value.map((name) => (
        <Choice
          key={name}
          label={name}
          checked={chosen.includes(name)}
          onChange={(isOn) =>
            tuning.set(FILTERS, (isOn ? [...chosen, name] : chosen.filter((other) => other !== name)).join(','), '')
          }
        />
      ))}
    </>
  );
}

/** The greatest value of a number that makes sense, for its slider. */
function spanOf(key: string, tuning: Tuning): number | null {
  const video = tuning.video.value;
  if (/_size$/.test(key)) return Math.max(video?.frame_width ?? 0, video?.frame_height ?? 0) || null;
  if (/interval$/.test(key)) return 10;
  return /min_duration/.test(key) ? 100 : null;
}

function Setting({ tuning, field }: { tuning: Tuning; field: Field }) {
  const { path, key, property } = field;
  const id = useId();
  const value = tuning.value(path, property.default);
  const isChanged = tuning.isDifferent(path);
  const refused = tuning.refused.value;
  const error = refused?.param === `stream_settings.${path}` ? refused.text : null;
  const change = (to: unknown) => tuning.set(path, to, property.default);
  const isBoolean = kindOf(property) === 'boolean';
  const isFilters = path === FILTERS;
  return (
    <div class={isChanged ? 'setting setting-changed' : 'setting'}>
      {!isFilters && (
        <div class="setting-head">
          {isBoolean && (
            <input
              id={id}
              type="checkbox"
              aria-describedby={`${id}-hint`}
              checked={Boolean(value)}
              onChange={(event) => change(event.currentTarget.checked)}
            />
          )}
          <label for={id} title={key}>
            {labelOf(key)}
          </label>
          {isChanged && (
            <IconButton
              icon="retry"
              class="setting-reset"
              label={T.tune.undo(labelOf(key))}
              onClick={() => tuning.undo(path)}
            />
          )}
        </div>
      )}
      {isFilters && <Filters tuning={tuning} />}
      {!isBoolean && !isFilters && (
        <Input
          id={id}
          described={`${id}-hint`}
          property={property}
          value={value}
          span={spanOf(key, tuning)}
          onChange={change}
        />
      )}
      <p id={`${id}-hint`} class={error ? 'hint hint-error' : 'hint'}>
        {error ?? property.description}
      </p>
    </div>
  );
}

export function SettingsForm({ tuning, forms }: { tuning: Tuning; forms: Form[] }) {
  return (
    <div class="tune-form">
      {forms.map((form, index) => (
        <details key={form.title} class="fold tune-section" open={index < 2 && form.fields.length > 0}>
          <summary>{form.title}</summary>
          <div class="tune-fields">
            {form.fields.map((field) => (
              <Setting key={field.path} tuning={tuning} field={field} />
            ))}
          </div>
        </details>
      ))}
    </div>
  );
}
