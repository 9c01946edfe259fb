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
  const before = placed(boxes[low - 1]);
  const after = placed(boxes[low]);
  if (before && after && after.time - before.time <= GAP_S) {
    const share = (time - before.time) / (after.time - before.time);
    const mix = (side: 'left' | 'top' | 'right' | 'bottom') => before[side] + (after[side] - before[side]) * share;
    return { left: mix('left'), top: mix('top'), right: mix('right'), bottom: mix('bottom') };
  }
  const near =
    before && time - before.time <= halfFrame ? before : after && after.time - time <= halfFrame ? after : null;
  return near && { left: near.left, top: near.top, right: near.right, bottom: near.bottom };
}

function placed(box: Box | undefined) {
  const [time, left, top, right, bottom] = box ?? [];
  if (time === undefined || left === undefined || top === undefined) return null;
  if (right === undefined || bottom === undefined) return null;
  return { time, left, top, right, bottom };
}
