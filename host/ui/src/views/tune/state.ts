/** What is tuned: the settings of a video, changes to them, and what a replay with them gives. */
import { batch, computed, signal } from '@preact/signals';
import { api, ask, isAbort, Problem } from '../../lib/api';
import { report } from '../../lib/notices';
import type { Replay, StreamSettings, Video } from '../../lib/types';
import { readForms, type Forms } from './schema';

const TYPING_MS = 90;

type Values = Record<string, unknown>;

export class Tuning {
  readonly video = signal<Video | null>(null);
  readonly forms = signal<Forms>({});
  readonly failure = signal<string | null>(null);
  /** Changed values, by type and key. */
  readonly changes = signal<Record<string, Values>>({});
  readonly replay = signal<Replay | null>(null);
  readonly isReplaying = signal(false);
  /** Milliseconds from the change to the answer. */
  readonly took = signal<number | null>(null);
  /** What is wrong with a value: the dotted path, and the API's words. */
  readonly refused = signal<{ param: string; text: string } | null>(null);

  readonly isChanged = computed(() => Object.values(this.changes.value).some((values) => Object.keys(values).length > 0));
  /** Types that the video was searched for. */
  readonly types = computed(() => Object.entries(this.detectors()).filter(([, settings]) => settings).map(([type]) => type));

  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;

  constructor(readonly id: number) {}

  private detectors(): Record<string, Values | null> {
    return (this.video.value?.stream_settings.detectors ?? {}) as Record<string, Values | null>;
  }

  async load(): Promise<void> {
    try {
      const [video, forms] = await Promise.all([
        ask(api.GET('/videos/{id}/', { params: { path: { id: this.id } } })),
        readForms(),
      ]);
      batch(() => {
        this.video.value = video;
        this.forms.value = forms;
      });
      await this.run();
    } catch (cause) {
      if (cause instanceof Problem) this.failure.value = cause.message;
      else report(cause);
    }
  }

  close(): void {
    clearTimeout(this.timer);
    this.running?.abort();
  }

  value(type: string, key: string): unknown {
    const changed = this.changes.value[type];
    return changed && key in changed ? changed[key] : this.detectors()[type]?.[key];
  }

  isDifferent(type: string, key: string): boolean {
    return key in (this.changes.value[type] ?? {});
  }

  set(type: string, key: string, value: unknown): void {
    const values = { ...this.changes.value[type] };
    if (value === this.detectors()[type]?.[key]) delete values[key];
    else values[key] = value;
    this.changes.value = { ...this.changes.value, [type]: values };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), TYPING_MS);
  }

  reset(): void {
    this.changes.value = {};
    void this.run();
  }

  /** The video's settings with the changes: all of them, since the job may have had others. */
  private settings(): StreamSettings {
    const detectors = Object.fromEntries(
      this.types.value.map((type) => [type, { ...this.detectors()[type], ...this.changes.value[type] }]),
    );
    return { detectors } as StreamSettings;
  }

  async run(): Promise<void> {
    this.running?.abort();
    const mine = new AbortController();
    this.running = mine;
    this.isReplaying.value = true;
    const began = performance.now();
    try {
      const replay = await ask(
        api.POST('/videos/{id}/replay/', {
          params: { path: { id: this.id } },
          body: { stream_settings: this.settings() },
          signal: mine.signal,
        }),
      );
      batch(() => {
        this.replay.value = replay;
        this.took.value = performance.now() - began;
        this.refused.value = null;
        this.failure.value = null;
      });
    } catch (cause) {
      if (isAbort(cause)) return;
      if (cause instanceof Problem && cause.param) this.refused.value = { param: cause.param, text: cause.message };
      else if (cause instanceof Problem) this.failure.value = cause.message;
      else report(cause);
    } finally {
      if (this.running === mine) this.isReplaying.value = false;
    }
  }

  /** Writes the changes into the video's settings. */
  async keep(): Promise<void> {
    const video = await ask(
      api.PATCH('/videos/{id}/', {
        params: { path: { id: this.id } },
        body: { stream_settings: { detectors: this.changes.value } as StreamSettings },
      }),
    );
    batch(() => {
      this.video.value = video;
      this.changes.value = {};
    });
  }
}
