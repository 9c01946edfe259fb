/** A button that opens a few links. Closes at Escape, at a choice, and when the focus leaves it. */
import { useRef } from 'preact/hooks';
import { Icon, type IconName } from './icon';

export interface MenuLink {
  label: string;
  href: string;
  download: string;
}

export function Menu({ icon, label, links }: { icon: IconName; label: string; links: MenuLink[] }) {
  const element = useRef<HTMLDetailsElement>(null);
  const close = () => element.current?.removeAttribute('open');
  return (
    <details
      class="menu"
      ref={element}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return;
        close();
        element.current?.querySelector('summary')?.focus();
      }}
      onFocusOut={(event) => {
        if (!element.current?.contains(event.relatedTarget as Node | null)) close();
      }}
    >
      <summary class="button">
        <Icon name={icon} size={18} />
        <span>{label}</span>
      </summary>
      <ul class="menu-links">
        {links.map((link) => (
          <li key={link.href}>
            <a href={link.href} download={link.download} onClick={() => setTimeout(close)}>
              {link.label}
            </a>
          </li>
        ))}
      </ul>
    </details>
  );
}
