/** What was dropped in the frame that is shown: asked for when the picture stands still. */
import { useEffect, useState } from 'preact/hooks';
import { api, ask } from '../../lib/api';
import { note, report } from '../../lib/notices';
import type { Decision } from '../../lib/types';
import { T } from '../../texts';
import type { VideoModel } from './model';
import type { Playback } from './playback';

const MOST = 100;
const STANDING_MS = 150;
const NONE: Decision[] = [];

export function useDropped(model: VideoModel, playback: Playback, isOn: boolean): Decision[] {
  const [dropped, setDropped] = useState(NONE);
  const frame = Math.round(playback.time.value * model.fps.value);
  const stands = isOn && !playback.isPlaying.value;
  useEffect(() => {
    setDropped(NONE);
    if (!stands) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      const params = { path: { id: model.id }, query: { frame, limit: MOST } };
      ask(api.GET('/videos/{id}/decisions/', { params, signal: stop.signal })).then(({ results }) => {
        setDropped(results);
        if (results.length === 0) note(T.player.nothingDropped);
      }, report);
    }, STANDING_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [stands, frame]);
  return dropped;
}
