/** A list or grid of which only what is in sight exists. Scrolls with the page's main area. */
import type { ComponentChildren, VNode } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

const OVERSCAN_PX = 600;

interface Props<Item> {
  items: readonly Item[];
  /** Height of a row, gap included, in rem. */
  rowHeight: number;
  /** Narrowest width of a column in rem; without it there is one. */
  columnWidth?: number;
  /** In rem. */
  gap?: number;
  label: string;
  key: (item: Item) => string | number;
  render: (item: Item, index: number) => VNode;
  /** Called when the end comes near. */
  onEnd?: () => void;
  /** Index of the item to bring into sight when it changes. */
  reveal?: number | null;
  after?: ComponentChildren;
  class?: string;
}

function rem(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
}

/** The nearest ancestor that scrolls. */
export function scroller(element: HTMLElement): HTMLElement {
  for (let at = element.parentElement; at; at = at.parentElement) {
    const overflow = getComputedStyle(at).overflowY;
    if (overflow === 'auto' || overflow === 'scroll') return at;
  }
  return document.documentElement;
}

export function Virtual<Item>(props: Omit<Props<Item>, 'key'> & { itemKey: Props<Item>['key'] }) {
  const { items, onEnd, reveal } = props;
  const element = useRef<HTMLUListElement>(null);
  const [view, setView] = useState({ first: 0, last: 10, columns: 1, rem: rem() });
  const rowHeight = props.rowHeight * view.rem;
  const gap = (props.gap ?? 0) * view.rem;
  const columnWidth = (props.columnWidth ?? 0) * view.rem;

  useLayoutEffect(() => {
    const list = element.current;
    if (!list) return;
    const area = scroller(list);
    const measure = () => {
      const width = list.clientWidth;
      const columns = columnWidth ? Math.max(1, Math.floor((width + gap) / (columnWidth + gap))) : 1;
      const top = list.getBoundingClientRect().top;
      const above = area === document.documentElement ? 0 : area.getBoundingClientRect().top;
      const hidden = above - top;
      const rows = Math.ceil(items.length / columns);
      const first = Math.max(0, Math.floor((hidden - OVERSCAN_PX) / rowHeight));
      const last = Math.min(rows, Math.ceil((hidden + area.clientHeight + OVERSCAN_PX) / rowHeight));
      const now = { first, last, columns, rem: rem() };
      setView((old) =>
        Object.entries(old).every(([name, value]) => now[name as keyof typeof now] === value) ? old : now,
      );
      if (onEnd && last >= rows - 1) onEnd();
    };
    measure();
    const resized = new ResizeObserver(measure);
    resized.observe(list);
    resized.observe(area);
    const target = area === document.documentElement ? window : area;
    target.addEventListener('scroll', measure, { passive: true });
    return () => {
      resized.disconnect();
      target.removeEventListener('scroll', measure);
    };
  }, [items, items.length, rowHeight, columnWidth, gap, onEnd]);

  const { columns } = view;
  useLayoutEffect(() => {
    const list = element.current;
    if (!list || reveal === null || reveal === undefined || reveal < 0) return;
    const area = scroller(list);
    if (area === document.documentElement) return;
    const top = list.offsetTop + Math.floor(reveal / columns) * rowHeight;
    if (top < area.scrollTop || top + rowHeight > area.scrollTop + area.clientHeight) {
      area.scrollTo({ top: Math.max(0, top - area.clientHeight / 3), behavior: 'smooth' });
    }
  }, [reveal, columns]);

  const rows = Math.ceil(items.length / columns);
  const from = view.first * columns;
  const shown = items.slice(from, view.last * columns);
  return (
    <ul
      ref={element}
      class={`virtual${props.class ? ` ${props.class}` : ''}`}
      aria-label={props.label}
      style={{ height: `${Math.max(0, rows * rowHeight - gap)}px` }}
    >
      {shown.map((item, i) => {
        const index = from + i;
        const column = index % columns;
        const share = 100 / columns;
        const inset = (gap * (columns - 1)) / columns;
        return (
          <li
            key={props.itemKey(item)}
            aria-setsize={items.length}
            aria-posinset={index + 1}
            style={{
              top: `${Math.floor(index / columns) * rowHeight}px`,
              left: `calc(${column * share}% + ${(column * gap) / columns}px)`,
              width: `calc(${share}% - ${inset}px)`,
              height: `${rowHeight - gap}px`,
            }}
          >
            {props.render(item, index)}
          </li>
        );
      })}
    </ul>
  );
}
