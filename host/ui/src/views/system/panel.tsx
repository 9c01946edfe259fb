/** What the panels of the system are made of. */
import type { ComponentChildren } from 'preact';

export function Panel({
  title,
  children,
  action,
}: {
  title: string;
  children: ComponentChildren;
  /** Beside the title. */
  action?: ComponentChildren;
}) {
  return (
    <section class="panel" aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        {action}
      </header>
      {children}
    </section>
  );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
