/** What stands around each view: navigation, theme, connection, who is logged in. */
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { useSignal } from '@preact/signals';
import { connection } from '../lib/live';
import { attempt } from '../lib/notices';
import { link, route } from '../lib/route';
import { logOut, session } from '../lib/session';
import { theme, type Theme } from '../lib/theme';
import { T } from '../texts';
import { Button, IconButton } from './button';
import { Dialog } from './dialog';
import { Icon, Mark, type IconName } from './icon';
import { Segments } from './field';

type ViewName = keyof typeof T.nav;
const VIEWS: { name: ViewName; icon: IconName }[] = [
  { name: 'videos', icon: 'videos' },
  { name: 'search', icon: 'search' },
  { name: 'people', icon: 'people' },
  { name: 'tune', icon: 'tune' },
  { name: 'deliveries', icon: 'deliveries' },
  { name: 'plugins', icon: 'plugins' },
  { name: 'system', icon: 'system' },
];
/** What a phone has room for at its lower edge; the others are behind "More". */
const FIRST_ON_PHONE = 4;

function Entry({ name, icon, onClick }: { name: ViewName; icon: IconName; onClick?: () => void }) {
  const current = (route.value.path[0] ?? 'videos') === name;
  return (
    <a class="nav-link" href={link(name)} aria-current={current ? 'page' : undefined} onClick={onClick}>
      <Icon name={icon} />
      <span>{T.nav[name]}</span>
    </a>
  );
}

function Connection() {
  const state = connection.value;
  return (
    <p class={`connection connection-${state}`} role="status" title={T.connection[state].long}>
      <span class="connection-dot" aria-hidden="true" />
      {T.connection[state].short}
    </p>
  );
}

function ThemeChoice() {
  return (
    <Segments<Theme>
      label={T.theme.label}
      value={theme.value}
      onChange={(value) => (theme.value = value)}
      options={[
        { value: 'light', label: T.theme.light },
        { value: 'system', label: T.theme.system },
        { value: 'dark', label: T.theme.dark },
      ]}
    />
  );
}

function Account() {
  return (
    <div class="account">
      <span class="account-name" title={T.account.scopes(session.value?.scopes ?? [])}>
        {session.value?.name}
      </span>
      <IconButton icon="logout" label={T.account.logOut} onClick={() => void attempt(logOut)} />
    </div>
  );
}

export function Frame({ children }: { children: ComponentChildren }) {
  const more = useSignal(false);
  const main = useRef<HTMLElement>(null);
  const view = route.value.path.join('/');
  const first = useRef(view);
  useEffect(() => {
    if (first.current === view) return;
    first.current = '';
    // As a new page would: from its top, and told to who listens to it.
    main.current?.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [view]);
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        {T.skip}
      </button>
      <nav class="nav" aria-label={T.nav_label}>
        <a class="brand" href={link('videos')}>
          <Mark />
          <span>Ocellus</span>
        </a>
        <div class="nav-links">
          {VIEWS.map((entry, index) => (
            <div key={entry.name} class={index < FIRST_ON_PHONE ? '' : 'nav-wide'}>
              <Entry {...entry} />
            </div>
          ))}
          <div class="nav-narrow">
            <button type="button" class="nav-link" onClick={() => (more.value = true)}>
              <Icon name="more" />
              <span>{T.more}</span>
            </button>
          </div>
        </div>
        <div class="nav-foot">
          <Connection />
          <ThemeChoice />
          <Account />
        </div>
      </nav>
      <main class="main" ref={main} tabIndex={-1}>
        {children}
      </main>
      {more.value && (
        <Dialog title={T.more} onClose={() => (more.value = false)}>
          <div class="more-links">
            {VIEWS.slice(FIRST_ON_PHONE).map((entry) => (
              <Entry key={entry.name} {...entry} onClick={() => (more.value = false)} />
            ))}
          </div>
          <Connection />
          <ThemeChoice />
          <Account />
          <Button onClick={() => (more.value = false)}>{T.close}</Button>
        </Dialog>
      )}
    </div>
  );
}

/** Characters of a line below a title from which a phone gives it the whole width. */
const LONG_SUB = 40;

/** The head of a view: its title, what is to be done, and the page's title. */
export function Head(props: {
  title: string;
  sub?: ComponentChildren;
  back?: { href: string; label: string };
  /** In place of the title, while it is edited. */
  instead?: ComponentChildren;
  /** Beside the title. */
  beside?: ComponentChildren;
  children?: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${props.title} · Ocellus`;
  }, [props.title]);
  const isLong = typeof props.sub === 'string' && props.sub.length > LONG_SUB;
  return (
    <header class={isLong ? 'head head-long' : 'head'}>
      <div class="head-title">
        {props.back && (
          <a class="head-back" href={props.back.href} aria-label={props.back.label} title={props.back.label}>
            <Icon name="back" />
          </a>
        )}
        <div>
          <div class="head-line">
            <h1 class={props.instead ? 'visually-hidden' : undefined}>{props.title}</h1>
            {props.instead}
            {props.beside}
          </div>
          {props.sub && <div class="head-sub">{props.sub}</div>}
        </div>
      </div>
      {props.children && <div class="head-actions">{props.children}</div>}
    </header>
  );
}
