/** A video and the objects in it, kept up to date by events while the view is shown. */
import { computed, signal } from '@preact/signals';
import { all, api, ask, isAbort } from '../../lib/api';
import { Identities } from '../../lib/identity';
import { on, opened } from '../../lib/live';
import { report } from '../../lib/notices';
import type { Video, VideoObject } from '../../lib/types';

const PAGE = 1000;
const KNOWN_TYPES = ['face', 'body', 'car'];
const DEFAULT_FPS = 25;

/** Objects of one track have all but the last number of their ids in common. */
function trackOf(object: VideoObject): string {
  return object.id.slice(0, object.id.lastIndexOf('-'));
}

export class VideoModel {
  readonly video = signal<Video | null>(null);
  readonly failure = signal<unknown>(null);
  /** One for each track: the shot of its end where there is one. Ordered by when they begin. */
  readonly objects = signal<VideoObject[]>([]);
  readonly isLoading = signal(true);
  readonly selected = signal<string | null>(null);
  private readonly identities = new Identities();
  /** Seconds, as the player has it: for a video that was not processed yet. */
  readonly played = signal<number | null>(null);
  /** Counts changes of the tracks, for those who keep boxes of them. */
  readonly revision = signal(0);

  /** Types that were looked for or found. */
  readonly types = computed(() => {
    const looked = Object.entries(this.video.value?.stream_settings.detectors ?? {}).filter(([, settings]) => settings);
    const found = new Set([...looked.map(([type]) => type), ...this.objects.value.map((object) => object.type)]);
    return [...found].sort((a, b) => KNOWN_TYPES.indexOf(a) - KNOWN_TYPES.indexOf(b));
  });
  /** Seconds: of the source, or as far as is known. */
  readonly length = computed(() => {
    const video = this.video.value;
    const last = this.objects.value.reduce((most, object) => Math.max(most, object.last_time), 0);
    const done = video?.health_status.statistic.processed_duration ?? 0;
    return video?.source_len ?? this.played.value ?? Math.max(last, done);
  });
  readonly fps = computed(() => {
    const { frames_processed: frames, processed_duration: seconds } = this.video.value?.health_status.statistic ?? {};
    return frames && seconds && frames > 1 ? Math.min(120, Math.max(1, frames / seconds)) : DEFAULT_FPS;
  });

  private readonly byTrack = new Map<string, VideoObject>();
  private begun: string | null = null;
  private readonly stop = new AbortController();
  private readonly ends: (() => void)[] = [];

  constructor(readonly id: number) {
    this.ends.push(
      on('video', (video) => video.id === id && this.changed(video)),
      on('object', (object) => object.id.startsWith(`${id}-`) && this.put([object])),
      on('reset', () => void this.load()),
    );
  }

  close(): void {
    this.stop.abort();
    this.ends.forEach((end) => end());
  }

  async load(): Promise<void> {
    try {
      await opened();
      const { signal: ended } = this.stop;
      const path = { id: this.id };
      const video = await ask(api.GET('/videos/{id}/', { params: { path }, signal: ended }));
      this.begun = video.processing_start_date;
      this.video.value = video;
      this.byTrack.clear();
      await all(
        async (page) =>
          ask(
            api.GET('/videos/{id}/objects/', {
              params: { path, query: { limit: PAGE, ...(page && { page }) } },
              signal: ended,
            }),
          ),
        undefined,
        (objects) => this.put(objects.slice(-PAGE)),
      );
      if (this.byTrack.size === 0) this.objects.value = [];
    } catch (cause) {
      if (isAbort(cause)) return;
      if (this.video.value) report(cause);
      else this.failure.value = cause;
    } finally {
      this.isLoading.value = false;
    }
  }

  /** That of its identity; before that is known, of its track, as `hueOfTrack`. */
  hue(object: Pick<VideoObject, 'type' | 'track_id' | 'cluster'>): number {
    return object.cluster ? this.identities.hue(object.cluster) : this.hueOfTrack(object.type, object.track_id);
  }

  hueOfTrack(type: string, track: number): number {
    return this.identities.hue(`${type}/${track}`);
  }

  private changed(video: Video): void {
    const before = this.video.value;
    this.video.value = video;
    if (video.processing_start_date !== this.begun) {
      // Processed anew: what was found before is gone.
      this.begun = video.processing_start_date;
      this.byTrack.clear();
      this.objects.value = [];
      this.revision.value++;
    } else if (video.finished && !before?.finished) {
      // Identities are known at the end.
      this.revision.value++;
      void this.load();
    }
  }

  private put(objects: VideoObject[]): void {
    for (const object of objects) {
      const there = this.byTrack.get(trackOf(object));
      if (!there || there.bs_type !== 'overall' || object.bs_type === 'overall')
        this.byTrack.set(trackOf(object), object);
    }
    const ordered = [...this.byTrack.values()].sort((a, b) => a.first_time - b.first_time || a.track_id - b.track_id);
    for (const object of ordered) this.hue(object);
    this.objects.value = ordered;
  }
}
