/** Where a track's box is at a time. */
import type { Box } from '../../lib/types';

/** Longest gap between two boxes over which a box is shown: frames without motion have none. */
const GAP_S = 1.1;

export interface ShownBox {
  track: number;
  type: string;
  object: string | null;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * The box of a track at a time, between those of its frames; none before its first and after its
 * last.
 */
export function boxAt(
  boxes: Box[],
  time: number,
  halfFrame: number,
): Omit<ShownBox, 'track' | 'type' | 'object'> | null {
  let low = 0;
  let high = boxes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((boxes[middle]?.[0] ?? 0) <= time) low = middle + 1;
    else high = middle;
  }
  const before = boxes[low - 1];
  const after = boxes[low];
  if (before && after && after[0] - before[0] <= GAP_S) {
    const share = (time - before[0]) / (after[0] - before[0]);
    const mix = (i: 1 | 2 | 3 | 4) => before[i] + (after[i] - before[i]) * share;
    return { left: mix(1), top: mix(2), right: mix(3), bottom: mix(4) };
  }
  const near = before && time - before[0] <= halfFrame ? before : after && after[0] - time <= halfFrame ? after : null;
  return near && { left: near[1], top: near[2], right: near[3], bottom: near[4] };
}
