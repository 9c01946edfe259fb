/** What is tuned: the settings of a video, changes to them, and what a replay with them gives. */
import { batch, computed, signal } from '@preact/signals';
import { api, ask, isAbort, Problem } from '../../lib/api';
import { report } from '../../lib/notices';
import type { Replay, StreamSettings, Video } from '../../lib/types';
import { FILTERS, readForms, type Forms } from './schema';

const TYPING_MS = 90;

type Tree = { [key: string]: unknown };

function at(tree: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((part, key) => (part as Tree | null | undefined)?.[key], tree);
}

/** Puts values at dotted paths into a tree. */
function grow(tree: Tree, values: ReadonlyMap<string, unknown>): Tree {
  for (const [path, value] of values) {
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let part = tree;
    for (const key of keys) part = (part[key] ??= {}) as Tree;
    part[last] = value;
  }
  return tree;
}

export class Tuning {
  readonly video = signal<Video | null>(null);
  readonly forms = signal<Forms>({});
  readonly failure = signal<string | null>(null);
  /** Filter plugins that are installed. */
  readonly filters = signal<string[]>([]);
  /** Changed values, by the dotted path of the setting. */
  readonly changes = signal<ReadonlyMap<string, unknown>>(new Map());
  readonly replay = signal<Replay | null>(null);
  readonly isReplaying = signal(false);
  /** Milliseconds from the change to the answer. */
  readonly took = signal<number | null>(null);
  /** What is wrong with a value: the dotted path, and the API's words. */
  readonly refused = signal<{ param: string; text: string } | null>(null);

  readonly isChanged = computed(() => this.changes.value.size > 0);
  /** Types that the video was searched for. */
  readonly types = computed(() =>
    Object.entries(this.video.value?.stream_settings.detectors ?? {})
      .filter(([, settings]) => settings)
      .map(([type]) => type),
  );

  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;

  constructor(readonly id: number) {}

  async load(): Promise<void> {
    try {
      const [video, forms, plugins] = await Promise.all([
        ask(api.GET('/videos/{id}/', { params: { path: { id: this.id } } })),
        readForms(),
        ask(api.GET('/plugins/')),
      ]);
      const filters = plugins.results.filter((plugin) => plugin.kind === 'filter' && plugin.role === 'serves');
      batch(() => {
        this.video.value = video;
        this.forms.value = forms;
        this.filters.value = filters.flatMap((plugin) => plugin.name ?? []);
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

  /** What the video has, or else the default. */
  private stored(path: string, fallback?: unknown): unknown {
    return at(this.video.value?.stream_settings, path) ?? fallback;
  }

  value(path: string, fallback?: unknown): unknown {
    return this.changes.value.has(path) ? this.changes.value.get(path) : this.stored(path, fallback);
  }

  isDifferent(path: string): boolean {
    return this.changes.value.has(path);
  }

  set(path: string, value: unknown, fallback?: unknown): void {
    const changes = new Map(this.changes.value);
    if (value === this.stored(path, fallback)) changes.delete(path);
    else changes.set(path, value);
    this.changes.value = changes;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.run(), TYPING_MS);
  }

  /** Back to what the video has. */
  undo(path: string): void {
    this.set(path, this.stored(path));
  }

  reset(): void {
    this.changes.value = new Map();
    void this.run();
  }

  /** The video's settings with the changes: all of them, since the job may have had others. */
  private settings(): StreamSettings {
    const stored = this.video.value?.stream_settings as Tree | undefined;
    const detectors = Object.fromEntries(this.types.value.map((type) => [type, this.stored(`detectors.${type}`)]));
    const kept = {
      detectors,
      [FILTERS]: stored?.[FILTERS] ?? '',
      ...(stored?.['plugins'] ? { plugins: stored['plugins'] } : {}),
    };
    return grow(structuredClone(kept), this.changes.value) as StreamSettings;
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
        body: { stream_settings: grow({}, this.changes.value) as StreamSettings },
      }),
    );
    batch(() => {
      this.video.value = video;
      this.changes.value = new Map();
    });
  }
}
