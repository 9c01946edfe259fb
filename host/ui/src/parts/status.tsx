/** Small signs of state: lights, bars, words. */
import type { ComponentChildren } from 'preact';

export type Light = 'green' | 'yellow' | 'red' | 'gray' | 'active';

/** Colour is never alone: a sentence stands beside the light, and its shape differs. */
export function StatusLight({ light }: { light: Light }) {
  return <span class={`light light-${light}`} aria-hidden="true" />;
}

/** How far something is. Without a share it is under way, who knows how far. */
export function Progress({ share, label }: { share: number | null; label: string }) {
  return (
    <span
      class={share === null ? 'progress progress-unknown' : 'progress'}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : Math.round(share * 100)}
    >
      <span class="progress-bar" style={{ transform: `scaleX(${share ?? 1})` }} />
    </span>
  );
}

/** What is being waited for, in words. */
export function Waiting({ children }: { children: ComponentChildren }) {
  return (
    <p class="waiting" role="status">
      <span class="waiting-dot" aria-hidden="true" />
      {children}
    </p>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Badge({ children, kind = 'plain' }: { children: ComponentChildren; kind?: string }) {
  return <span class={`badge badge-${kind}`}>{children}</span>;
}
