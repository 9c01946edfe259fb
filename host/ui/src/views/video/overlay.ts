/** Boxes and track numbers, drawn over a picture. */
import { onPicture } from '../../lib/identity';
import type { Decision } from '../../lib/types';
import { T } from '../../texts';
import type { ShownBox } from './boxes';

const DROPPED = '#ffb4ab';
const FEW = 2;

/** In pixels of the frame. */
export interface Point {
  x: number;
  y: number;
}

export interface Frame {
  width: number;
  height: number;
}

/** Draws the boxes of a frame on a canvas that lies over the whole of it. */
export function draw(
  canvas: HTMLCanvasElement,
  frame: Frame,
  boxes: ShownBox[],
  hue: (box: ShownBox) => number,
  /** Tracks that gave no object: too short, or dropped. */
  isFaint: (box: ShownBox) => boolean,
  selected: string | null,
): void {
  const scale = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * scale);
  const height = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d');
  if (!context || frame.width === 0) return;
  context.clearRect(0, 0, width, height);
  const x = width / frame.width;
  const y = height / frame.height;
  const line = Math.max(2 * scale, width / 700);
  const size = Math.max(11 * scale, Math.min(16 * scale, width / 70));
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  for (const box of boxes) {
    const colour = onPicture(hue(box));
    const faint = isFaint(box);
    context.globalAlpha = faint ? 0.45 : 1;
    const isSelected = box.object !== null && box.object === selected;
    const left = box.left * x;
    const top = box.top * y;
    const w = (box.right - box.left) * x;
    const h = (box.bottom - box.top) * y;
    const round = Math.min(6 * scale, w / 4, h / 4);
    // A dark line below the coloured one: it is seen on a picture of any brightness.
    context.strokeStyle = 'rgb(0 0 0 / 45%)';
    context.lineWidth = (isSelected ? 2 : 1) * line + 2 * scale;
    context.beginPath();
    context.roundRect(left, top, w, h, round);
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = (isSelected ? 2 : 1) * line;
    context.stroke();
    if (faint) continue;

    const text = T.track(box.type, box.track);
    const textWidth = context.measureText(text).width + size * 0.9;
    const textHeight = size * 1.5;
    const textLeft = Math.min(Math.max(0, left - line / 2), width - textWidth);
    const textTop = top - textHeight >= 0 ? top - textHeight - line / 2 : Math.min(top + line, height - textHeight);
    context.fillStyle = colour;
    context.beginPath();
    context.roundRect(textLeft, textTop, textWidth, textHeight, 4 * scale);
    context.fill();
    context.fillStyle = '#10171a';
    context.fillText(text, textLeft + size * 0.45, textTop + textHeight / 2 + scale / 2);
  }
  context.globalAlpha = 1;
}

/**
 * Draws what was dropped in a frame; at the pointer, or where there are few, with the rule that
 * dropped it.
 */
export function drawDropped(canvas: HTMLCanvasElement, frame: Frame, dropped: Decision[], pointer: Point | null): void {
  const scale = window.devicePixelRatio || 1;
  const context = canvas.getContext('2d');
  if (!context || frame.width === 0) return;
  const x = canvas.width / frame.width;
  const y = canvas.height / frame.height;
  const size = 11 * scale;
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = 'middle';
  for (const { bbox, type, plugin, rule, value } of dropped) {
    const [left = 0, top = 0, right = 0, bottom = 0] = bbox;
    const width = (right - left) * x;
    context.setLineDash([5 * scale, 4 * scale]);
    context.lineWidth = 2 * scale;
    context.strokeStyle = DROPPED;
    context.strokeRect(left * x, top * y, width, (bottom - top) * y);
    context.setLineDash([]);
    const isMeant = pointer && pointer.x >= left && pointer.x <= right && pointer.y >= top && pointer.y <= bottom;
    if (!isMeant && dropped.length > FEW) continue;
    const text = `${T.typeOne(type)}: ${T.tune.reason(plugin, rule, value, null)}`;
    const textWidth = context.measureText(text).width + size;
    const textLeft = Math.max(0, Math.min(left * x, canvas.width - textWidth));
    const textTop = Math.min(bottom * y + 2 * scale, canvas.height - size * 1.6);
    context.fillStyle = DROPPED;
    context.fillRect(textLeft, textTop, textWidth, size * 1.6);
    context.fillStyle = '#2a0b09';
    context.fillText(text, textLeft + size / 2, textTop + size * 0.8);
  }
}

/** The smallest box at a point of the frame. */
export function hit(boxes: ShownBox[], x: number, y: number): ShownBox | null {
  const area = (box: ShownBox) => (box.right - box.left) * (box.bottom - box.top);
  return (
    boxes
      .filter((box) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom)
      .sort((a, b) => area(a) - area(b))[0] ?? null
  );
}
