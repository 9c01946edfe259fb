/** Dark and light: as the system has it, until somebody chooses. Kept in the browser. */
import { effect, signal } from '@preact/signals';

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'ocellus.theme';

function kept(): Theme {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

export const theme = signal<Theme>(kept());

const system = matchMedia('(prefers-color-scheme: dark)');
/** Counts changes of what is shown, for those who draw with colours that they read. */
export const palette = signal(0);
system.addEventListener('change', () => palette.value++);

effect(() => {
  const root = document.documentElement;
  if (theme.value === 'system') {
    delete root.dataset['theme'];
    localStorage.removeItem(KEY);
  } else {
    root.dataset['theme'] = theme.value;
    localStorage.setItem(KEY, theme.value);
  }
  palette.value = palette.peek() + 1;
});

export function isDark(): boolean {
  return theme.value === 'dark' || (theme.value === 'system' && system.matches);
}

/** The colour that a custom property stands for, for a canvas. */
export function colour(property: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${property})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
