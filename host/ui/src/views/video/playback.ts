/**
 * The place in a video that is shown, and how it moves: by `<video>` where the browser can play the
 * source, otherwise by exact frames that the server decodes.
 */
import { signal } from '@preact/signals';
import { Problem, isAbort, plain } from '../../lib/api';
import { T } from '../../texts';

const RATES = [0.25, 0.5, 1, 2, 4, 8];
const FRAME_WIDTH = 1280;
const SHIFT_S = 0.5;

export class Playback {
  /** Seconds from the start of the source. */
  readonly time = signal(0);
  readonly isPlaying = signal(false);
  readonly rate = signal(1);
  readonly way = signal<'native' | 'frames'>('native');
  /** What keeps a picture from being shown. */
  readonly problem = signal<string | null>(null);
  readonly isWaiting = signal(true);
  readonly isMuted = signal(true);
  /** Of the picture, in pixels; null before the first. */
  readonly size = signal<{ width: number; height: number } | null>(null);
  /** Seconds, as far as the player knows. */
  readonly duration = signal<number | null>(null);

  private element: HTMLVideoElement | null = null;
  private canvas: HTMLCanvasElement | null = null;
  private wanted: number | null = null;
  private fetching: AbortController | null = null;
  /** The player's time at the start of the source. */
  private begin = 0;
  /** The player's time that was asked for last. */
  private sought = 0;
  private ended = false;

  constructor(
    private readonly video: number,
    private readonly length: () => number,
    private readonly fps: () => number,
    /** Seconds of the source as the server counts them; null before it was processed. */
    private readonly recorded: () => number | null,
    start: number,
    forceFrames: boolean,
  ) {
    this.time.value = start;
    this.wanted = start;
    if (forceFrames) this.way.value = 'frames';
  }

  close(): void {
    this.ended = true;
    this.fetching?.abort();
    this.element?.pause();
  }

  /** Plays by this element, until it turns out that the browser cannot. */
  attach(element: HTMLVideoElement | null): void {
    this.element = element;
    if (!element) return;
    element.onloadedmetadata = () => {
      if (element.videoWidth === 0) return this.useFrames();
      this.size.value = { width: element.videoWidth, height: element.videoHeight };
      if (Number.isFinite(element.duration)) this.duration.value = element.duration;
      this.begin = element.seekable.length > 0 ? element.seekable.start(0) : 0;
      this.move(this.wanted ?? 0);
      this.wanted = null;
      element.playbackRate = this.rate.value;
    };
    element.onloadeddata = () => (this.isWaiting.value = false);
    element.onwaiting = () => (this.isWaiting.value = true);
    element.onplaying = () => (this.isWaiting.value = false);
    element.onplay = () => (this.isPlaying.value = true);
    element.onpause = () => (this.isPlaying.value = false);
    element.onerror = () => this.useFrames();
    element.onseeked = () => {
      this.isWaiting.value = false;
      // A player that cannot show a place goes to another, as in recordings that begin without a
      // key frame.
      if (Math.abs(element.currentTime - this.sought) > SHIFT_S && !this.isPlaying.value) {
        this.time.value = this.sought - this.begin;
        return this.useFrames();
      }
      if (this.wanted === null) return;
      this.move(this.wanted);
      this.wanted = null;
    };
    const shown = (mediaTime: number) => {
      if (this.element !== element) return;
      this.findBegin(mediaTime);
      // One that was on its way before a seek is not the place that is shown.
      const isOld = element.seeking && Math.abs(mediaTime - this.sought) > SHIFT_S;
      if (!isOld) this.time.value = Math.max(0, mediaTime - this.begin);
    };
    if (!('requestVideoFrameCallback' in element)) {
      // Older browsers tell the place a few times a second.
      (element as HTMLVideoElement).ontimeupdate = () => shown((element as HTMLVideoElement).currentTime);
      return;
    }
    const next = (_: number, frame: { mediaTime: number }) => {
      shown(frame.mediaTime);
      if (this.element === element) element.requestVideoFrameCallback(next);
    };
    element.requestVideoFrameCallback(next);
  }

  /** Where frames are drawn that the server decodes. */
  attachCanvas(canvas: HTMLCanvasElement | null): void {
    this.canvas = canvas;
    if (canvas && this.way.value === 'frames') this.show(this.time.value);
  }

  private useFrames(): void {
    this.element?.removeAttribute('src');
    this.element = null;
    this.way.value = 'frames';
    this.isPlaying.value = false;
  }

  seek(time: number): void {
    const length = this.length();
    const at = Math.max(0, length > 0 ? Math.min(time, length - 0.001) : time);
    if (this.way.value === 'frames') return this.show(at);
    this.time.value = at;
    const element = this.element;
    if (!element || element.readyState === 0 || element.seeking) this.wanted = at;
    else this.move(at);
  }

  private move(time: number): void {
    if (!this.element) return;
    this.sought = this.begin + time;
    this.element.currentTime = this.sought;
  }

  /**
   * Recordings that begin at another time than 0 keep it in players; the API counts from their
   * start. Known by a first frame that comes long after what was asked for, by as much as the
   * player's duration is longer.
   */
  private findBegin(mediaTime: number): void {
    const duration = this.duration.value;
    const length = this.recorded();
    if (!duration || !length || mediaTime - this.sought < SHIFT_S) return;
    if (Math.abs(duration - length - mediaTime) > SHIFT_S / 2) return;
    const wanted = this.sought - this.begin;
    this.begin = mediaTime;
    this.move(wanted);
  }

  /** To the next frame or the one before. */
  step(frames: number): void {
    this.pause();
    const period = 1 / this.fps();
    // The middle of the frame, so that rounding does not fall into the one beside it.
    const number = Math.round(this.time.value / period) + frames;
    this.seek(number * period + (this.way.value === 'native' ? period * 0.3 : -period * 0.3));
  }

  toggle(): void {
    if (this.isPlaying.value) this.pause();
    else this.play();
  }

  play(): void {
    if (this.length() > 0 && this.time.value >= this.length() - 0.1) this.seek(0);
    if (this.way.value === 'native') {
      void this.element?.play().catch(() => this.pause());
    } else if (!this.isPlaying.value) {
      this.isPlaying.value = true;
      this.run();
    }
  }

  pause(): void {
    if (this.way.value === 'native') this.element?.pause();
    this.isPlaying.value = false;
  }

  faster(): void {
    this.setRate(RATES[Math.min(RATES.length - 1, RATES.indexOf(this.rate.value) + 1)] ?? 1);
  }

  slower(): void {
    this.setRate(RATES[Math.max(0, RATES.indexOf(this.rate.value) - 1)] ?? 1);
  }

  setRate(rate: number): void {
    this.rate.value = rate;
    if (this.element) this.element.playbackRate = rate;
  }

  /** Plays by frames of the server: as many as come, at the speed of the clock. */
  private run(): void {
    let last = performance.now();
    let at = this.time.value;
    const tick = (now: number) => {
      if (this.ended || !this.isPlaying.value) return;
      // A seek on the way counts from where it led to.
      if (Math.abs(this.time.value - at) > 1.5 * this.rate.value) at = this.time.value;
      at += ((now - last) / 1000) * this.rate.value;
      last = now;
      if (this.length() > 0 && at >= this.length()) {
        this.isPlaying.value = false;
        return;
      }
      if (!this.fetching) this.show(at);
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  private show(time: number): void {
    this.wanted = time;
    if (!this.fetching) void this.fetchWanted();
  }

  private async fetchWanted(): Promise<void> {
    while (this.wanted !== null && !this.ended && this.canvas) {
      const time = this.wanted;
      this.wanted = null;
      this.fetching = new AbortController();
      try {
        const width = Math.min(FRAME_WIDTH, Math.round(this.canvas.clientWidth * devicePixelRatio) || FRAME_WIDTH);
        const response = await plain(`/videos/${this.video}/frame/?time=${time.toFixed(3)}&width=${width}`, {
          signal: this.fetching.signal,
        });
        const picture = await createImageBitmap(await response.blob());
        this.size.value ??= { width: picture.width, height: picture.height };
        if (this.canvas) {
          this.canvas.width = picture.width;
          this.canvas.height = picture.height;
          this.canvas.getContext('2d')?.drawImage(picture, 0, 0);
        }
        picture.close();
        this.time.value = time;
        this.problem.value = null;
      } catch (cause) {
        if (isAbort(cause)) return;
        // The last frame is a little before the end of the source.
        if (!(cause instanceof Problem && cause.status === 404 && this.size.value)) {
          this.problem.value = cause instanceof Problem ? cause.message : T.problem.page;
        }
        this.isPlaying.value = false;
      } finally {
        this.fetching = null;
        this.isWaiting.value = false;
      }
    }
  }
}
