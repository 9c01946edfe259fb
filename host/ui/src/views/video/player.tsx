/** The picture of a video with the boxes over it, and its controls. */
import { useSignal } from '@preact/signals';
import { useCallback, useEffect, useRef } from 'preact/hooks';
import { address } from '../../lib/base';
import { clock } from '../../lib/format';
import { note } from '../../lib/notices';
import { link } from '../../lib/route';
import { IconButton } from '../../parts/button';
import { Waiting } from '../../parts/status';
import { T } from '../../texts';
import type { VideoModel } from './model';
import { draw, drawDropped, hit, type Point } from './overlay';
import { useDropped } from './dropped';
import type { Playback } from './playback';
import type { ShownBox } from './boxes';
import type { TrackReader } from './tracks';

interface Props {
  model: VideoModel;
  playback: Playback;
  tracks: TrackReader;
  /** Counts the times that boxes have come. */
  boxesCame: { value: number };
  showBoxes: { value: boolean };
  /** Shows what was dropped in the frame, and why. */
  showDropped: { value: boolean };
  onSelect: (object: string) => void;
}

export function Stage({ model, playback, tracks, boxesCame, showBoxes, showDropped, onSelect }: Props) {
  const overlay = useRef<HTMLCanvasElement>(null);
  const shown = useRef<ShownBox[]>([]);
  const resized = useSignal(0);
  const pointer = useSignal<Point | null>(null);
  const dropped = useDropped(model, playback, showDropped.value);
  const video = model.video.value;
  const width = video?.frame_width ?? playback.size.value?.width ?? 16;
  const height = video?.frame_height ?? playback.size.value?.height ?? 9;

  useEffect(() => {
    const canvas = overlay.current;
    if (!canvas) return;
    const observer = new ResizeObserver(() => resized.value++);
    observer.observe(canvas);
    return () => observer.disconnect();
  }, []);

  // What is read here is what the boxes depend on.
  const inputs = [
    playback.time.value,
    boxesCame.value,
    showBoxes.value,
    model.selected.value,
    resized.value,
    model.objects.value,
  ];
  useEffect(() => {
    const canvas = overlay.current;
    if (!canvas) return;
    shown.current = showBoxes.value ? tracks.at(playback.time.value, 0.6 / model.fps.value) : [];
    const byId = new Map(model.objects.value.map((object) => [object.id, object]));
    const hue = (box: ShownBox) => {
      const object = box.object ? byId.get(box.object) : undefined;
      return object ? model.hue(object) : model.hueOfTrack(box.type, box.track);
    };
    // While the job runs, a track without an object is one that goes on.
    const isFaint = (box: ShownBox) => box.object === null && Boolean(video?.finished);
    draw(canvas, { width, height }, shown.current, hue, isFaint, model.selected.value);
    drawDropped(canvas, { width, height }, dropped, pointer.value);
  }, [...inputs, dropped, pointer.value, width, height]);

  const at = (event: MouseEvent): Point => {
    const area = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return {
      x: ((event.clientX - area.left) / area.width) * width,
      y: ((event.clientY - area.top) / area.height) * height,
    };
  };
  const click = (event: MouseEvent) => {
    const { x, y } = at(event);
    const box = hit(shown.current, x, y);
    if (box?.object) onSelect(box.object);
    else if (!showDropped.value) playback.toggle();
  };

  const native = playback.way.value === 'native';
  // The same functions at each drawing: other ones would be attached anew with each frame.
  const attach = useCallback((element: HTMLVideoElement | null) => playback.attach(element), [playback]);
  const attachCanvas = useCallback((element: HTMLCanvasElement | null) => playback.attachCanvas(element), [playback]);
  return (
    <div
      class="stage"
      style={{ aspectRatio: `${width} / ${height}`, '--ratio': width / height }}
      onClick={click}
      onPointerMove={(event) => showDropped.value && (pointer.value = at(event))}
      onPointerLeave={() => (pointer.value = null)}
    >
      {native ? (
        <video
          key="native"
          class="stage-picture"
          ref={attach}
          src={address(`/videos/${model.id}/source_file/`)}
          poster={address(`/videos/${model.id}/screenshot/`, { width: 1280 })}
          preload="auto"
          playsInline
          muted={playback.isMuted.value}
          aria-label={T.player.picture}
        />
      ) : (
        <canvas key="frames" class="stage-picture" ref={attachCanvas} role="img" aria-label={T.player.picture} />
      )}
      <canvas class="stage-boxes" ref={overlay} aria-hidden="true" />
      {playback.problem.value && <p class="stage-problem">{playback.problem.value}</p>}
      {playback.isWaiting.value && !playback.problem.value && (
        <div class="stage-waiting">
          <Waiting>{T.player.loading}</Waiting>
        </div>
      )}
    </div>
  );
}

export function Controls({
  model,
  playback,
  showBoxes,
  showDropped,
  onFullscreen,
}: Pick<Props, 'model' | 'playback' | 'showBoxes' | 'showDropped'> & { onFullscreen: () => void }) {
  const playing = playback.isPlaying.value;
  const share = () => {
    const url = new URL(location.href);
    url.hash = link(`videos/${model.id}`, { t: playback.time.value.toFixed(2) });
    const show = () => (location.hash = url.hash);
    // Browsers have a clipboard for pages by https only; elsewhere the address shows the link.
    if (!navigator.clipboard) return void show();
    void navigator.clipboard.writeText(url.href).then(() => note(T.player.copied), show);
  };
  return (
    <div class="controls" role="group" aria-label={T.player.controls}>
      <IconButton icon="stepBack" label={T.player.back} onClick={() => playback.step(-1)} />
      <IconButton
        icon={playing ? 'pause' : 'play'}
        class="controls-play"
        label={playing ? T.player.pause : T.player.play}
        onClick={() => playback.toggle()}
      />
      <IconButton icon="stepForward" label={T.player.forward} onClick={() => playback.step(1)} />
      <p class="controls-time">
        <strong>{clock(playback.time.value, true)}</strong>
        <span class="controls-length"> / {clock(model.length.value)}</span>
      </p>
      <label class="controls-rate">
        <span class="visually-hidden">{T.player.speed}</span>
        <select
          class="input"
          value={String(playback.rate.value)}
          onChange={(event) => playback.setRate(Number(event.currentTarget.value))}
        >
          {[0.25, 0.5, 1, 2, 4, 8].map((rate) => (
            <option key={rate} value={String(rate)}>
              {rate}×
            </option>
          ))}
        </select>
      </label>
      <span class="controls-space" />
      {playback.way.value === 'frames' && (
        <span class="badge" title={T.player.framesLong}>
          {T.player.frames}
        </span>
      )}
      {playback.way.value === 'native' && (
        <IconButton
          icon={playback.isMuted.value ? 'muted' : 'sound'}
          class="controls-sound"
          label={playback.isMuted.value ? T.player.unmute : T.player.mute}
          onClick={() => (playback.isMuted.value = !playback.isMuted.value)}
        />
      )}
      <IconButton
        icon="boxes"
        label={T.player.boxes}
        pressed={showBoxes.value}
        onClick={() => (showBoxes.value = !showBoxes.value)}
      />
      {model.video.value?.finished && (
        <IconButton
          icon="why"
          label={T.player.why}
          pressed={showDropped.value}
          onClick={() => (showDropped.value = !showDropped.value)}
        />
      )}
      <IconButton icon="link" label={T.player.link} onClick={share} />
      <IconButton icon="full" label={T.player.full} onClick={onFullscreen} />
    </div>
  );
}
