/** Log-in: by user name and password, or by a token. */
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { logIn } from '../lib/session';
import { Button } from '../parts/button';
import { Segments, TextField } from '../parts/field';
import { Mark } from '../parts/icon';
import { T } from '../texts';

type Way = 'token' | 'password';

export function Login() {
  const way = useSignal<Way>('password');
  const name = useSignal('');
  const secret = useSignal('');
  const error = useSignal<string | null>(null);
  const busy = useSignal(false);
  useEffect(() => {
    document.title = `${T.login.title} · Ocellus`;
  }, []);

  const submit = async (event: Event) => {
    event.preventDefault();
    busy.value = true;
    error.value = null;
    try {
      const text = secret.value.trim();
      await logIn(way.value === 'token' ? { token: text } : { username: name.value.trim(), password: text });
    } catch (cause) {
      error.value = cause instanceof Error ? cause.message : String(cause);
    } finally {
      busy.value = false;
    }
  };

  return (
    <main class="alone">
      <form class="login" onSubmit={(event) => void submit(event)}>
        <div class="login-brand">
          <Mark size={56} />
          <h1>Ocellus</h1>
          <p>{T.login.what}</p>
        </div>
        <Segments<Way>
          label={T.login.way}
          value={way.value}
          onChange={(value) => {
            way.value = value;
            error.value = null;
          }}
          options={[
            { value: 'password', label: T.login.byPassword },
            { value: 'token', label: T.login.byToken },
          ]}
        />
        {way.value === 'password' && (
          <TextField label={T.login.user} value={name} autocomplete="username" autocapitalize="none" required />
        )}
        <TextField
          key={way.value}
          label={way.value === 'token' ? T.login.token : T.login.password}
          hint={way.value === 'token' ? T.login.tokenHint : T.login.passwordHint}
          error={error.value}
          value={secret}
          type="password"
          autocomplete="current-password"
          required
        />
        <Button type="submit" kind="primary" disabled={busy.value}>
          {busy.value ? T.login.busy : T.login.action}
        </Button>
      </form>
    </main>
  );
}
