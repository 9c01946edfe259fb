/** Buttons and links that look like them. An icon alone has its name as label and tooltip. */
import type { ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon';

interface Look {
  icon?: IconName;
  kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  class?: string;
  children?: ComponentChildren;
}

function classes({ kind = 'plain', class: more }: Look): string {
  return `button button-${kind}${more ? ` ${more}` : ''}`;
}

export function Button(
  props: Look & {
    onClick?: (event: MouseEvent) => void;
    disabled?: boolean;
    type?: 'button' | 'submit';
    pressed?: boolean;
  },
) {
  const { icon, onClick, disabled = false, type = 'button', pressed, children } = props;
  return (
    <button class={classes(props)} type={type} disabled={disabled} onClick={onClick} aria-pressed={pressed}>
      {icon && <Icon name={icon} size={18} />}
      <span>{children}</span>
    </button>
  );
}

export function ButtonLink(props: Look & { href: string; download?: string }) {
  return (
    <a class={classes(props)} href={props.href} download={props.download}>
      {props.icon && <Icon name={props.icon} size={18} />}
      <span>{props.children}</span>
    </a>
  );
}

export function IconButton(props: {
  icon: IconName;
  label: string;
  onClick?: (event: MouseEvent) => void;
  disabled?: boolean;
  pressed?: boolean;
  class?: string;
}) {
  const { icon, label, onClick, disabled = false, pressed } = props;
  return (
    <button
      type="button"
      class={`icon-button${props.class ? ` ${props.class}` : ''}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
