/** What is looked for: the picture, with what was found in it; a part of it can be drawn. */
import { useSignal } from '@preact/signals';
import { useRef } from 'preact/hooks';
import { requery } from '../../lib/route';
import { Button } from '../../parts/button';
import { T } from '../../texts';
import { byPart, clear, isBusy, picture, result } from './state';

const SMALLEST = 12;

export function Query() {
  const image = useRef<HTMLImageElement>(null);
  const size = useSignal({ width: 1, height: 1 });
  const drawn = useSignal<{ x0: number; y0: number; x1: number; y1: number } | null>(null);
  const shown = picture.value;
  if (!shown) return null;

  const found = result.value?.looked_for;
  const percent = (value: number, of: number) => `${(value / of) * 100}%`;
  const box = (left: number, top: number, right: number, bottom: number) => ({
    left: percent(left, size.value.width),
    top: percent(top, size.value.height),
    width: percent(right - left, size.value.width),
    height: percent(bottom - top, size.value.height),
  });
  const at = (event: PointerEvent) => {
    const area = image.current?.getBoundingClientRect();
    if (!area) return { x: 0, y: 0 };
    const clamp = (value: number) => Math.min(1, Math.max(0, value));
    return {
      x: clamp((event.clientX - area.left) / area.width) * size.value.width,
      y: clamp((event.clientY - area.top) / area.height) * size.value.height,
    };
  };
  const end = () => {
    const part = drawn.value;
    drawn.value = null;
    if (!part) return;
    const width = Math.abs(part.x1 - part.x0);
    const height = Math.abs(part.y1 - part.y0);
    if (width < SMALLEST || height < SMALLEST) return;
    requery({});
    void byPart(Math.min(part.x0, part.x1), Math.min(part.y0, part.y1), width, height);
  };
  const part = drawn.value;
  return (
    <div class="query">
      <div
        class="query-picture"
        onPointerDown={(event) => {
          event.preventDefault();
          event.currentTarget.setPointerCapture(event.pointerId);
          const { x, y } = at(event);
          drawn.value = { x0: x, y0: y, x1: x, y1: y };
        }}
        onPointerMove={(event) => {
          if (!drawn.value) return;
          const { x, y } = at(event);
          drawn.value = { ...drawn.value, x1: x, y1: y };
        }}
        onPointerUp={end}
        onPointerCancel={() => (drawn.value = null)}
      >
        <img
          ref={image}
          src={shown.url}
          alt={T.search.picture}
          draggable={false}
          onLoad={(event) =>
            (size.value = { width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })
          }
        />
        {found && !part && (
          <span
            class="query-found"
            style={box(found.bbox[0] ?? 0, found.bbox[1] ?? 0, found.bbox[2] ?? 0, found.bbox[3] ?? 0)}
          />
        )}
        {part && (
          <span
            class="query-part"
            style={box(
              Math.min(part.x0, part.x1),
              Math.min(part.y0, part.y1),
              Math.max(part.x0, part.x1),
              Math.max(part.y0, part.y1),
            )}
          />
        )}
      </div>
      <p class="hint">{isBusy.value ? T.search.busy : found ? T.search.lookedFor(T.typeOne(found.type)) : ' '}</p>
      <p class="hint">{T.search.crop}</p>
      <Button
        icon="close"
        onClick={() => {
          clear();
          requery({});
        }}
      >
        {T.search.another}
      </Button>
    </div>
  );
}
