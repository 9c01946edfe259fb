/** Labelled inputs. */
import type { Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

export function Field(props: {
  label: string;
  hint?: string;
  error?: string | null;
  children: (attributes: {
    id: string;
    'aria-describedby': string | undefined;
    'aria-invalid': boolean;
  }) => ComponentChildren;
}) {
  const id = useId();
  const described = props.error || props.hint ? `${id}-hint` : undefined;
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      {props.children({ id, 'aria-describedby': described, 'aria-invalid': Boolean(props.error) })}
      {described && (
        <p id={described} class={props.error ? 'hint hint-error' : 'hint'}>
          {props.error || props.hint}
        </p>
      )}
    </div>
  );
}

/** A line of text. */
export function TextField({
  label,
  hint,
  error = null,
  value,
  type = 'text',
  ...more
}: {
  label: string;
  hint?: string;
  error?: string | null;
  value: Signal<string>;
  /** The types of JSX know no union of these. */
  type?: 'text' | 'url' | 'password';
  placeholder?: string;
  autocomplete?: string;
  autocapitalize?: 'none';
  maxLength?: number;
  required?: boolean;
}) {
  return (
    <Field label={label} error={error} {...(hint !== undefined && { hint })}>
      {(attributes) => (
        <input
          {...more}
          {...attributes}
          class="input"
          type={type as 'text'}
          value={value.value}
          onInput={(event) => (value.value = event.currentTarget.value)}
        />
      )}
    </Field>
  );
}

export function Choice(props: {
  label: string;
  hint?: string;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="choice">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        disabled={props.disabled ?? false}
        aria-describedby={props.hint ? `${id}-hint` : undefined}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <div>
        <label for={id}>{props.label}</label>
        {props.hint && (
          <p id={`${id}-hint`} class="hint">
            {props.hint}
          </p>
        )}
      </div>
    </div>
  );
}

/** One of a few, all in sight. */
export function Segments<Value extends string>(props: {
  label: string;
  value: Value;
  options: readonly { value: Value; label: string }[];
  onChange: (value: Value) => void;
}) {
  const name = useId();
  return (
    <fieldset class="segments">
      <legend class="visually-hidden">{props.label}</legend>
      {props.options.map((option) => (
        <label key={option.value} class="segment">
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === props.value}
            onChange={() => props.onChange(option.value)}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}
