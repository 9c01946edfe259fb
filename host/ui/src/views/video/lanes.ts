/** Where the bars of a timeline are: a lane for each type, tracks that overlap in rows of it. */
import type { VideoObject } from '../../lib/types';

export interface Bar {
  object: VideoObject;
  row: number;
}

export interface Lane {
  type: string;
  bars: Bar[];
  rows: number;
  top: number;
  height: number;
  barHeight: number;
}

const LANE_MIN = 30;
const LANE_MAX = 84;
const PADDING = 6;
const BAR_MAX = 10;
const BAR_MIN = 2;

/** Lanes of objects that are ordered by when they begin; heights in CSS pixels, from `top` down. */
export function lanes(objects: VideoObject[], types: string[], top: number, scale: number): Lane[] {
  let y = top;
  return types.map((type) => {
    const free: number[] = [];
    const bars: Bar[] = [];
    for (const object of objects) {
      if (object.type !== type) continue;
      let row = free.findIndex((end) => end <= object.first_time);
      if (row < 0) row = free.push(0) - 1;
      free[row] = object.last_time + 0.05;
      bars.push({ object, row });
    }
    const rows = Math.max(1, free.length);
    const ideal = rows * (BAR_MAX + 2) * scale + 2 * PADDING * scale;
    const height = Math.min(LANE_MAX * scale, Math.max(LANE_MIN * scale, ideal));
    const barHeight = Math.max(BAR_MIN, (height - 2 * PADDING * scale) / rows - 2 * scale);
    const lane = { type, bars, rows, top: y, height, barHeight: Math.min(barHeight, BAR_MAX * scale) };
    y += height;
    return lane;
  });
}

/** The top of a row of a lane. */
export function rowTop(lane: Lane, row: number): number {
  const used =
    lane.rows > 1 ? (lane.height - lane.barHeight * lane.rows) / (lane.rows + 1) : (lane.height - lane.barHeight) / 2;
  return lane.top + used + row * (lane.barHeight + used);
}

/** The bar at a place; one that is a little beside it, too, since short tracks are thin. */
export function barAt(all: Lane[], y: number, time: number, tolerance: number): VideoObject | null {
  const lane = all.find((candidate) => y >= candidate.top && y < candidate.top + candidate.height);
  if (!lane) return null;
  let best: { object: VideoObject; distance: number } | null = null;
  for (const bar of lane.bars) {
    const { first_time: first, last_time: last } = bar.object;
    if (time < first - tolerance || time > last + tolerance) continue;
    const distance = Math.abs(rowTop(lane, bar.row) + lane.barHeight / 2 - y);
    if (!best || distance < best.distance) best = { object: bar.object, distance };
  }
  return best?.object ?? null;
}

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Seconds between two marks of the ruler, so that their labels have room. */
export function rulerStep(secondsPerPixel: number, room: number): number {
  return STEPS.find((step) => step / secondsPerPixel >= room) ?? 28800;
}
