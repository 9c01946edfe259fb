/**
 * The place in a video that is shown, and how it moves: by `<video>` where the browser can play the source,
 * otherwise by exact frames that the server decodes.
 */
import { signal } from '@preact/signals';
import { Problem, isAbort, plain } from '../../lib/api';
import { T } from '../../texts';

const RATES = [0.25, 0.5, 1, 2, 4, 8];
const FRAME_WIDTH = 1280;

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

  private element: HTMLVideoElement | null = null;
  private canvas: HTMLCanvasElement | null = null;
  private wanted: number | null = null;
  private fetching: AbortController | null = null;
  private begin = 0;
  private ended = false;

  constructor(
    private readonly video: number,
    private readonly length: () => number,
    private readonly fps: () => number,
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
      // Some recordings begin at another time than 0, which browsers keep; the API counts from the start.
      this.begin = element.seekable.length > 0 ? element.seekable.start(0) : 0;
      element.currentTime = this.begin + (this.wanted ?? 0);
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
      if (this.wanted === null) return;
      element.currentTime = this.begin + this.wanted;
      this.wanted = null;
    };
    const shown = (_: number, frame: { mediaTime: number }) => {
      if (this.element !== element) return;
      this.time.value = Math.max(0, frame.mediaTime - this.begin);
      element.requestVideoFrameCallback(shown);
    };
    element.requestVideoFrameCallback(shown);
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
    const at = Math.min(Math.max(0, time), Math.max(0, this.length() - 0.001));
    if (this.way.value === 'frames') return this.show(at);
    this.time.value = at;
    const element = this.element;
    if (!element || element.readyState === 0 || element.seeking) this.wanted = at;
    else element.currentTime = this.begin + at;
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
    if (this.time.value >= this.length() - 0.1) this.seek(0);
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
      if (at >= this.length()) {
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
        this.problem.value = cause instanceof Problem ? cause.message : T.problem.page;
        this.isPlaying.value = false;
      } finally {
        this.fetching = null;
        this.isWaiting.value = false;
      }
    }
  }
}
