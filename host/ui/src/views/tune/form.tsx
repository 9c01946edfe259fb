/** The form of a type's settings, made from their schema. */
import { useId } from 'preact/hooks';
import { IconButton } from '../../parts/button';
import { T } from '../../texts';
import { isWhole, kindOf, labelOf, type Form, type Property } from './schema';
import type { Tuning } from './state';

function Input({ id, described, property, value, span, onChange }: {
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
      <select id={id} class="input" aria-describedby={described} value={String(value)} onChange={(event) => onChange(event.currentTarget.value)}>
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
        <input type="range" aria-label={T.tune.slider} tabIndex={-1} min={property.minimum ?? 0} max={greatest} step={step} value={Math.min(number, greatest)} onInput={(event) => change(event.currentTarget.value)} />
      )}
      <input id={id} class="input" type="number" aria-describedby={described} min={property.minimum} max={property.maximum} step={isWhole(property) ? 1 : 'any'} value={number} onInput={(event) => change(event.currentTarget.value)} />
    </div>
  );
}

function Setting({ tuning, type, name, property }: { tuning: Tuning; type: string; name: string; property: Property }) {
  const id = useId();
  const value = tuning.value(type, name);
  const isChanged = tuning.isDifferent(type, name);
  const refused = tuning.refused.value;
  const error = refused?.param === `stream_settings.detectors.${type}.${name}` ? refused.text : null;
  const change = (to: unknown) => tuning.set(type, name, to);
  const video = tuning.video.value;
  const span = /_size$/.test(name) ? Math.max(video?.frame_width ?? 0, video?.frame_height ?? 0) || null : /interval$/.test(name) ? 10 : /min_duration/.test(name) ? 100 : null;
  const isBoolean = kindOf(property) === 'boolean';
  return (
    <div class={isChanged ? 'setting setting-changed' : 'setting'}>
      <div class="setting-head">
        {isBoolean && <input id={id} type="checkbox" aria-describedby={`${id}-hint`} checked={Boolean(value)} onChange={(event) => change(event.currentTarget.checked)} />}
        <label for={id} title={name}>
          {labelOf(name)}
        </label>
        {isChanged && <IconButton icon="retry" class="setting-reset" label={T.tune.undo(labelOf(name))} onClick={() => tuning.set(type, name, (video?.stream_settings.detectors as Record<string, Record<string, unknown>>)?.[type]?.[name])} />}
      </div>
      {!isBoolean && <Input id={id} described={`${id}-hint`} property={property} value={value} span={span} onChange={change} />}
      <p id={`${id}-hint`} class={error ? 'hint hint-error' : 'hint'}>
        {error ?? property.description}
      </p>
    </div>
  );
}

export function TypeForm({ tuning, type, forms }: { tuning: Tuning; type: string; forms: Form[] }) {
  return (
    <div class="tune-form">
      {forms.map((form, index) => (
        <details key={form.section} class="fold tune-section" open={index < 2}>
          <summary>{T.tune.section[form.section]}</summary>
          <div class="tune-fields">
            {form.fields.map(({ key, property }) => (
              <Setting key={key} tuning={tuning} type={type} name={key} property={property} />
            ))}
          </div>
        </details>
      ))}
    </div>
  );
}
