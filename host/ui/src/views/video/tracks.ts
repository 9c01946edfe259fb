/** Boxes of tracks, read in pieces of a few seconds around the place that is shown. */
import { plain } from '../../lib/api';
import type { Track, Tracks } from '../../lib/types';
import { boxAt, type ShownBox } from './boxes';

const PIECE_S = 10;
/** Pieces overlap, so that a box between two of their frames can be interpolated. */
const MARGIN_S = 1;
const MOST_PIECES = 40;

export class TrackReader {
  private readonly pieces = new Map<number, Track[]>();
  /** With how far the processing was when a piece was asked for. */
  private readonly asked = new Map<number, number>();
  private processed = Infinity;
  private stop = new AbortController();

  /** `changed` is called when boxes have come. */
  constructor(
    private readonly video: number,
    private readonly changed: () => void,
  ) {}

  clear(): void {
    this.stop.abort();
    this.stop = new AbortController();
    this.pieces.clear();
    this.asked.clear();
  }

  /**
   * A running job has come so far: pieces that were asked for before it came to their end are asked
   * for again.
   */
  progress(seconds: number): void {
    this.processed = seconds;
    for (const [piece, then] of this.asked) {
      if (then < (piece + 1) * PIECE_S + MARGIN_S && then < seconds) this.asked.delete(piece);
    }
  }

  /** The boxes at a time. Those that are not there are asked for, and the piece after them. */
  at(time: number, halfFrame: number): ShownBox[] {
    const piece = Math.max(0, Math.floor(time / PIECE_S));
    this.want(piece);
    if (time - piece * PIECE_S > PIECE_S / 2) this.want(piece + 1);
    const boxes: ShownBox[] = [];
    for (const track of this.pieces.get(piece) ?? []) {
      const box = boxAt(track.boxes, time, halfFrame);
      if (box) boxes.push({ track: track.id, type: track.type, object: track.object, ...box });
    }
    return boxes;
  }

  private want(piece: number): void {
    if (this.asked.has(piece)) return;
    this.asked.set(piece, this.processed);
    void this.read(piece, this.stop.signal);
  }

  private async read(piece: number, signal: AbortSignal): Promise<void> {
    const to = (piece + 1) * PIECE_S + MARGIN_S;
    let from: number | null = Math.max(0, piece * PIECE_S - MARGIN_S);
    const tracks = new Map<string, Track>();
    try {
      while (from !== null && from < to) {
        const response = await plain(`/videos/${this.video}/tracks/?from=${from}&to=${to}`, { signal });
        const some = (await response.json()) as Tracks;
        for (const track of some.tracks) {
          const key = `${track.type}/${track.id}`;
          const there = tracks.get(key);
          if (there) there.boxes.push(...track.boxes.filter((box) => (box[0] ?? -1) > (there.boxes.at(-1)?.[0] ?? -1)));
          else tracks.set(key, track);
        }
        // Never twice from the same place, whatever the answer says.
        from = some.to !== null && some.to > from ? some.to : null;
      }
    } catch {
      // A video that is being processed may have no tracks to show yet: it is asked again when it
      // has changed.
      return;
    }
    if (signal.aborted) return;
    this.pieces.set(piece, [...tracks.values()]);
    for (const oldest of this.pieces.keys()) {
      if (this.pieces.size <= MOST_PIECES) break;
      this.pieces.delete(oldest);
      this.asked.delete(oldest);
    }
    this.changed();
  }
}
