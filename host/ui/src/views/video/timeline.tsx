/** The timeline: tracks as bars in a lane for each type, in the colours of their identities. */
import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { clock } from '../../lib/format';
import { onPage } from '../../lib/identity';
import { colour, palette } from '../../lib/theme';
import type { VideoObject } from '../../lib/types';
import { isWorking } from '../../lib/video';
import { IconButton } from '../../parts/button';
import { Icon, typeIcon } from '../../parts/icon';
import { Thumbnail } from '../../parts/picture';
import { T } from '../../texts';
import { barAt, lanes, rowTop, rulerStep } from './lanes';
import type { VideoModel } from './model';
import type { Playback } from './playback';

const RULER = 24;
const SHORTEST_S = 0.5;
const ZOOM = 1.6;

export function Timeline({
  model,
  playback,
  onSelect,
}: {
  model: VideoModel;
  playback: Playback;
  onSelect: (object: string) => void;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  /** The part that is shown, in seconds; all of it without one. */
  const part = useSignal<{ from: number; to: number } | null>(null);
  const hover = useSignal<{ x: number; time: number; object: VideoObject | null } | null>(null);
  const length = Math.max(model.length.value, 0.1);
  const { from, to } = part.value ?? { from: 0, to: length };
  const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
  const ruler = RULER * rem;
  const objects = model.objects.value;
  const types = model.types.value;
  const rows = useMemo(() => lanes(objects, types, ruler, rem), [objects, types, ruler, rem]);
  const height = rows.reduce((sum, lane) => sum + lane.height, ruler);

  const xOf = (time: number) => ((time - from) / (to - from)) * width.value;
  const timeOf = (x: number) => from + (x / Math.max(1, width.value)) * (to - from);

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const observer = new ResizeObserver(() => (width.value = element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext('2d');
    if (!element || !context || width.value === 0) return;
    const dpr = devicePixelRatio || 1;
    element.width = Math.round(width.value * dpr);
    element.height = Math.round(height * dpr);
    context.scale(dpr, dpr);
    const line = colour('--line');
    const muted = colour('--muted');
    const text = colour('--text');
    context.font = `${11 * rem}px system-ui, sans-serif`;
    context.textBaseline = 'middle';
    const step = rulerStep((to - from) / width.value, 72 * rem);
    for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
      const x = Math.round(xOf(time)) + 0.5;
      context.fillStyle = line;
      context.fillRect(x, 0, 1, height);
      context.fillStyle = muted;
      if (x < width.value - 32 * rem) context.fillText(clock(time, step < 1), x + 5 * rem, ruler / 2);
    }
    for (const lane of rows) {
      context.fillStyle = line;
      context.fillRect(0, Math.round(lane.top), width.value, 1);
      for (const { object, row } of lane.bars) {
        if (object.last_time < from || object.first_time > to) continue;
        const left = Math.max(-4, xOf(object.first_time));
        const right = Math.min(width.value + 4, xOf(object.last_time));
        const top = rowTop(lane, row);
        context.fillStyle = onPage(model.hue(object));
        context.beginPath();
        context.roundRect(left, top, Math.max(3 * rem, right - left), lane.barHeight, Math.min(3, lane.barHeight / 2));
        context.fill();
        if (object.id === model.selected.value) {
          context.strokeStyle = text;
          context.lineWidth = 2;
          context.stroke();
        }
      }
    }
  }, [rows, width.value, height, from, to, model.selected.value, palette.value, rem]);

  const zoom = (factor: number, around: number) => {
    const span = Math.min(length, Math.max(SHORTEST_S, (to - from) / factor));
    if (span >= length) {
      part.value = null;
      return;
    }
    const share = (around - from) / (to - from);
    show(around - share * span, span);
  };
  const show = (start: number, span: number) => {
    const first = Math.min(Math.max(0, start), length - span);
    part.value = { from: first, to: first + span };
  };

  // The part follows the place that is shown when that leaves it.
  const now = playback.time.value;
  useEffect(() => {
    if (part.value && (now < from || now > to)) show(now - (to - from) * 0.1, to - from);
  }, [now]);

  const point = (event: PointerEvent | WheelEvent) => {
    const area = canvas.current?.getBoundingClientRect();
    return { x: event.clientX - (area?.left ?? 0), y: event.clientY - (area?.top ?? 0) };
  };
  const wheel = (event: WheelEvent) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(event.deltaY < 0 ? ZOOM : 1 / ZOOM, timeOf(point(event).x));
    } else if (part.value && (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) {
      event.preventDefault();
      const by = event.shiftKey ? event.deltaY : event.deltaX;
      show(from + (by / width.value) * (to - from), to - from);
    }
  };
  const move = (event: PointerEvent) => {
    const { x, y } = point(event);
    const time = timeOf(x);
    hover.value = { x, time, object: barAt(rows, y, time, ((to - from) / width.value) * 4) };
    if (event.buttons & 1) playback.seek(time);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === '+' || event.key === '=') zoom(ZOOM, now);
    else if (event.key === '-') zoom(1 / ZOOM, now);
  };

  const playhead = xOf(now);
  const video = model.video.value;
  // What a running job has not come to yet.
  const ahead =
    video && isWorking(video) ? Math.max(0, xOf(video.health_status.statistic.processed_duration ?? 0)) : Infinity;
  return (
    <section class="timeline" aria-label={T.timeline.label}>
      <div class="timeline-labels">
        <div class="timeline-zoom" style={{ height: `${ruler}px` }}>
          <IconButton
            icon="zoomOut"
            label={T.timeline.zoomOut}
            disabled={!part.value}
            onClick={() => zoom(1 / ZOOM, now)}
          />
          <IconButton
            icon="zoomIn"
            label={T.timeline.zoomIn}
            disabled={to - from <= SHORTEST_S}
            onClick={() => zoom(ZOOM, now)}
          />
        </div>
        {rows.map((lane) => (
          <div key={lane.type} style={{ height: `${lane.height}px` }} title={T.typeCount(lane.type, lane.bars.length)}>
            <Icon name={typeIcon(lane.type)} size={18} />
            <span>{T.type(lane.type)}</span>
          </div>
        ))}
      </div>
      <div
        class="timeline-area"
        role="slider"
        tabIndex={0}
        aria-label={T.timeline.place}
        aria-valuemin={0}
        aria-valuemax={Math.round(length * 10) / 10}
        aria-valuenow={Math.round(now * 10) / 10}
        aria-valuetext={T.timeline.value(clock(now, true), clock(length))}
        onKeyDown={key}
        onWheel={wheel}
        onPointerMove={move}
        onPointerLeave={() => (hover.value = null)}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          const { x, y } = point(event);
          playback.seek(timeOf(x));
          const object = barAt(rows, y, timeOf(x), ((to - from) / width.value) * 4);
          if (object) onSelect(object.id);
        }}
      >
        <canvas ref={canvas} style={{ height: `${height}px` }} />
        {ahead < width.value && <div class="timeline-ahead" style={{ left: `${ahead}px` }} title={T.timeline.ahead} />}
        {playhead >= -1 && playhead <= width.value + 1 && (
          <div class="timeline-playhead" style={{ transform: `translateX(${playhead}px)` }} />
        )}
        {hover.value && (
          <div
            class="timeline-hover"
            style={{ left: `${Math.min(Math.max(hover.value.x, 60 * rem), width.value - 60 * rem)}px` }}
          >
            {hover.value.object && <Thumbnail id={hover.value.object.id} type={hover.value.object.type} alt="" />}
            <span>
              {hover.value.object && `${T.track(hover.value.object.type, hover.value.object.track_id)} · `}
              {clock(hover.value.time, true)}
            </span>
          </div>
        )}
      </div>
    </section>
  );
}
