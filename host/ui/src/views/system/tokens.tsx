/** The tokens: who has access, adding one, revoking one. For administrators. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { api, ask } from '../../lib/api';
import { date, fullDate } from '../../lib/format';
import { attempt, note } from '../../lib/notices';
import type { Token } from '../../lib/types';
import { Button, IconButton } from '../../parts/button';
import { confirm, Dialog } from '../../parts/dialog';
import { Field, TextField } from '../../parts/field';
import { Waiting } from '../../parts/status';
import { T } from '../../texts';
import { Panel } from './panel';

const ADMIN = 1;
const SCOPES = ['read', 'operate', 'admin'] as const;
type Scope = (typeof SCOPES)[number];
/** Days for which a token is valid; null for ever. */
const LIVES = [30, 90, 365, null] as const;
const DAY_MS = 86_400_000;
const SECRET_ID = 'new-token';

function Time({ of, none }: { of: string | null; none: string }) {
  return of === null ? (
    <>{none}</>
  ) : (
    <time dateTime={of} title={fullDate(of)}>
      {date(of)}
    </time>
  );
}

/** What was added is shown once: its secret is nowhere else. */
function Secret({ name, secret, onClose }: { name: string; secret: string; onClose: () => void }) {
  const copy = () =>
    void attempt(async () => {
      await navigator.clipboard.writeText(secret);
      note(T.system.tokens.copied);
    });
  return (
    <Dialog title={T.system.tokens.secretTitle(name)} onClose={onClose}>
      <div class="add">
        <p>{T.system.tokens.secretText}</p>
        <div class="field">
          <label for={SECRET_ID}>{T.system.tokens.secret}</label>
          <input
            id={SECRET_ID}
            class="input secret"
            readOnly
            value={secret}
            onFocus={(event) => event.currentTarget.select()}
          />
        </div>
        <div class="dialog-actions">
          {/* Browsers have a clipboard for pages only where the connection is encrypted, or local. */}
          {window.isSecureContext && <Button onClick={copy}>{T.system.tokens.copy}</Button>}
          <Button kind="primary" onClick={onClose}>
            {T.system.tokens.done}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function Add({ onClose, onAdded }: { onClose: () => void; onAdded: (name: string, secret: string) => void }) {
  const name = useSignal('');
  const scope = useSignal<Scope>('read');
  const life = useSignal(1);
  const error = useSignal<string | null>(null);
  const isBusy = useSignal(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    const days = LIVES[life.value] ?? null;
    const expires = days === null ? null : new Date(Date.now() + days * DAY_MS).toISOString();
    isBusy.value = true;
    error.value = null;
    try {
      const body = { name: name.value.trim(), scope: scope.value, expires };
      const { token, secret } = await ask(api.POST('/tokens/', { body }));
      onAdded(token.name, secret);
    } catch (cause) {
      error.value = cause instanceof Error ? cause.message : String(cause);
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <Dialog title={T.system.tokens.addTitle} onClose={onClose}>
      <form class="add" onSubmit={(event) => void submit(event)}>
        <TextField
          label={T.system.tokens.name}
          hint={T.system.tokens.nameHint}
          error={error.value}
          value={name}
          autocomplete="off"
          autocapitalize="none"
          maxLength={64}
          required
        />
        <Field label={T.system.tokens.scope} hint={T.system.tokens.scopeHints[scope.value]}>
          {(attributes) => (
            <select
              {...attributes}
              class="input"
              value={scope.value}
              onChange={(event) => (scope.value = event.currentTarget.value as Scope)}
            >
              {SCOPES.map((each) => (
                <option key={each} value={each}>
                  {T.system.tokens.scopes[each]}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label={T.system.tokens.end}>
          {(attributes) => (
            <select
              {...attributes}
              class="input"
              value={life.value}
              onChange={(event) => (life.value = Number(event.currentTarget.value))}
            >
              {LIVES.map((days, index) => (
                <option key={index} value={index}>
                  {T.system.tokens.days(days)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div class="dialog-actions">
          <Button onClick={onClose}>{T.cancel}</Button>
          <Button kind="primary" type="submit" disabled={isBusy.value || !name.value.trim()}>
            {isBusy.value ? T.system.tokens.adding : T.system.tokens.add}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function Table({ tokens, onRevoke }: { tokens: Token[]; onRevoke: (token: Token) => void }) {
  const own = tokens.filter((token) => token.session_of === null);
  const sessions = (id: number) => tokens.filter((token) => token.session_of === id).length;
  if (own.length === 0) return <p>{T.system.tokens.none}</p>;
  return (
    <div class="table-scroll">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">{T.system.tokens.name}</th>
            <th scope="col">{T.system.tokens.scopeColumn}</th>
            <th scope="col">{T.system.tokens.usedColumn}</th>
            <th scope="col">{T.system.tokens.endColumn}</th>
            <th scope="col">
              <span class="visually-hidden">{T.system.tokens.revokeAction}</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {own.map((token) => (
            <tr key={token.id}>
              <th scope="row">
                {token.name} <span class="muted">{T.system.tokens.sessions(sessions(token.id))}</span>
              </th>
              <td>{T.system.tokens.scopes[token.scope as Scope]}</td>
              <td>
                <Time of={token.last_used} none={T.system.tokens.never} />
              </td>
              <td>
                {token.expires !== null && new Date(token.expires) <= new Date() ? (
                  T.system.tokens.expired
                ) : (
                  <Time of={token.expires} none={T.system.tokens.never} />
                )}
              </td>
              <td class="table-action">
                <IconButton icon="trash" label={T.system.tokens.revoke(token.name)} onClick={() => onRevoke(token)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Tokens() {
  const tokens = useSignal<Token[] | null>(null);
  const isAdding = useSignal(false);
  const added = useSignal<{ name: string; secret: string } | null>(null);
  const read = () => attempt(async () => (tokens.value = (await ask(api.GET('/tokens/'))).results));
  useEffect(() => void read(), []);
  const remove = (id: number) => ask(api.DELETE('/tokens/{id}/', { params: { path: { id } } }));
  const revoke = async ({ id, name }: Token) => {
    const { revokeTitle, revokeText, revokeAction } = T.system.tokens;
    if (!(await confirm(revokeTitle(name), revokeText, revokeAction))) return;
    if (await attempt(() => remove(id))) note(T.system.tokens.revoked(name));
    await read();
  };
  const endSessions = async () => {
    const { endSessionsTitle, endSessionsText, endSessions } = T.system.tokens;
    if (!(await confirm(endSessionsTitle, endSessionsText, endSessions))) return;
    await attempt(() => remove(ADMIN));
    await read();
  };
  const ofAdmin = tokens.value?.filter((token) => token.session_of === ADMIN).length ?? 0;
  return (
    <Panel
      title={T.system.tokens.title}
      action={
        <Button icon="plus" onClick={() => (isAdding.value = true)}>
          {T.system.tokens.add}
        </Button>
      }
    >
      <p class="hint">{T.system.tokens.hint}</p>
      {tokens.value ? (
        <Table tokens={tokens.value} onRevoke={(token) => void revoke(token)} />
      ) : (
        <Waiting>{T.system.loading}</Waiting>
      )}
      {ofAdmin > 0 && (
        <p class="row-inline">
          <span class="muted">{T.system.tokens.sessionsOfAdmin(ofAdmin)}</span>
          <button type="button" class="text-button" onClick={() => void endSessions()}>
            {T.system.tokens.endSessions}
          </button>
        </p>
      )}
      {isAdding.value && (
        <Add
          onClose={() => (isAdding.value = false)}
          onAdded={(name, secret) => {
            isAdding.value = false;
            added.value = { name, secret };
            void read();
          }}
        />
      )}
      {added.value && <Secret {...added.value} onClose={() => (added.value = null)} />}
    </Panel>
  );
}
