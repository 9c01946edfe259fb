/** What a video's fields say, for people. */
import { T } from '../texts';
import type { Light } from '../parts/status';
import { decimal, duration } from './format';
import type { Status, Video } from './types';

/** Statuses as people tell them apart. */
export const GROUPS = {
  working: ['STARTING', 'INPROGRESS', 'AWAITING', 'WAITING_FOR_SYNC'],
  done: ['COMPLETED'],
  failed: ['INTERRUPTED', 'MISCONFIGURED', 'NOT_STARTED'],
  idle: ['DISABLED', 'NO_SOURCE'],
} as const satisfies Record<string, readonly Status[]>;
export type Group = keyof typeof GROUPS;

export function nameOf(video: Pick<Video, 'id' | 'name'>): string {
  return video.name?.trim() || T.video.unnamed(video.id);
}

export function isWorking(video: Video): boolean {
  return (GROUPS.working as readonly Status[]).includes(video.health_status.status);
}

export function lightOf(video: Video): Light {
  const { status, code } = video.health_status;
  if (status === 'INPROGRESS' || status === 'STARTING') return 'active';
  // To have no recording yet is no fault.
  if (status === 'NO_SOURCE') return 'gray';
  return code;
}

/** Seconds until a running job ends; null where that is not known. */
export function secondsLeft(video: Video): number | null {
  const { processed_duration: done, processing_fps: fps, frames_processed: frames } = video.health_status.statistic;
  const length = video.source_len;
  if (!length || !done || !fps || !frames) return null;
  const recordedPerSecond = (fps * done) / frames;
  return recordedPerSecond > 0 ? Math.max(0, length - done) / recordedPerSecond : null;
}

/** One sentence: what is going on with a video. */
export function sentence(video: Video): string {
  const { status, msg, statistic } = video.health_status;
  switch (status) {
    case 'INPROGRESS': {
      const left = secondsLeft(video);
      const fps = statistic.processing_fps;
      return T.video.inProgress(fps ? decimal(fps) : null, left === null ? null : duration(left));
    }
    case 'COMPLETED': {
      const all = Object.values(statistic.objects ?? {});
      const failed = all.reduce((sum, one) => sum + (one.failed ?? 0), 0);
      const retrying = all.reduce((sum, one) => sum + (one.retrying ?? 0), 0);
      if (failed > 0) return T.video.undelivered(failed);
      return retrying > 0 ? T.video.retrying(retrying) : T.video.status.COMPLETED;
    }
    default:
      return video.error || msg || T.video.status[status];
  }
}

/** Counts of what was found, by type, without those that were not looked for. */
export function counts(video: Video): { type: string; found: number; identities: number | null }[] {
  const detectors: NonNullable<Video['stream_settings']['detectors']> = video.stream_settings.detectors ?? {};
  return [
    { type: 'face', found: video.face_count, identities: video.face_cluster_count, on: detectors.face !== null },
    { type: 'body', found: video.body_count, identities: video.body_cluster_count, on: detectors.body },
    { type: 'car', found: video.car_count, identities: video.car_cluster_count, on: detectors.car },
  ]
    .filter((entry) => entry.on || entry.found > 0)
    .map(({ type, found, identities }) => ({ type, found, identities }));
}
