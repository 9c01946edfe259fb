/** One video: its picture with boxes, its timeline, and cards of what is in it. */
import { useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { address } from '../../lib/base';
import { bytes, clock, fullDate } from '../../lib/format';
import { go, link, requery, route } from '../../lib/route';
import { mayOperate } from '../../lib/session';
import type { Video } from '../../lib/types';
import { isWorking, lightOf, nameOf, sentence } from '../../lib/video';
import { Button, ButtonLink, IconButton } from '../../parts/button';
import { Head } from '../../parts/frame';
import { Menu } from '../../parts/menu';
import { Empty, Progress, StatusLight, Waiting } from '../../parts/status';
import { T } from '../../texts';
import { process, remove, stop } from '../videos/actions';
import { Cards } from './cards';
import { press } from './keys';
import { VideoModel } from './model';
import { Controls, Stage } from './player';
import { Playback } from './playback';
import { Rename } from './rename';
import { Timeline } from './timeline';
import { TrackReader } from './tracks';

const STANDING_MS = 300;
const wide = matchMedia('(min-width: 72rem)');

export function VideoView({ id }: { id: number }) {
  const model = useMemo(() => new VideoModel(id), [id]);
  useEffect(() => {
    void model.load();
    return () => model.close();
  }, [model]);

  const back = { href: link('videos'), label: T.player.toList };
  if (model.failure.value) {
    return (
      <div class="view">
        <Head title={T.video.unnamed(id)} back={back} />
        <Empty title={model.failure.value instanceof Error ? model.failure.value.message : T.problem.page} />
      </div>
    );
  }
  const video = model.video.value;
  return video ? <Loaded model={model} video={video} /> : <Waiting>{T.player.loadingVideo}</Waiting>;
}

function Loaded({ model, video }: { model: VideoModel; video: Video }) {
  const boxesCame = useSignal(0);
  const showBoxes = useSignal(true);
  const showDropped = useSignal(false);
  const isWide = useSignal(wide.matches);
  const view = useRef<HTMLDivElement>(null);
  const stage = useRef<HTMLDivElement>(null);
  const tracks = useMemo(() => new TrackReader(model.id, () => boxesCame.value++), [model]);
  const playback = useMemo(() => {
    const start = Number(route.peek().query.get('t')) || 0;
    // The browser knows nothing of what the settings do to the picture.
    const transformed = Boolean(video.stream_settings.video_transform);
    const recorded = () => model.video.value?.source_len ?? null;
    return new Playback(
      model.id,
      () => model.length.value,
      () => model.fps.value,
      recorded,
      start,
      transformed || video.file_size === 0,
    );
  }, [model]);

  const fullscreen = () =>
    void (document.fullscreenElement ? document.exitFullscreen() : stage.current?.requestFullscreen());

  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (press(event, playback, () => (showBoxes.value = !showBoxes.value), fullscreen)) event.preventDefault();
    };
    const changed = () => (isWide.value = wide.matches);
    document.addEventListener('keydown', key);
    wide.addEventListener('change', changed);
    return () => {
      document.removeEventListener('keydown', key);
      wide.removeEventListener('change', changed);
      playback.close();
    };
  }, [playback]);

  const duration = playback.duration.value;
  useEffect(() => {
    model.played.value = duration;
  }, [duration]);

  useEffect(() => {
    if (model.revision.value === 0) return;
    tracks.clear();
    boxesCame.value++;
  }, [model.revision.value]);

  const processed = isWorking(video) ? (video.health_status.statistic.processed_duration ?? 0) : Infinity;
  useEffect(() => {
    tracks.progress(processed);
    boxesCame.value++;
  }, [processed]);

  // Another second in the address, by a link to one: go there.
  const asked = route.value.query.get('t');
  useEffect(() => {
    if (asked !== null && Math.abs(Number(asked) - playback.time.peek()) > 0.02) playback.seek(Number(asked));
  }, [asked]);

  // The address says where one is, once the picture stands still. Not drawn with: it changes with
  // each frame.
  useSignalEffect(() => {
    const time = playback.time.value;
    if (playback.isPlaying.value) return;
    const timer = setTimeout(() => {
      if (route.peek().path[1] === String(model.id)) requery({ t: time > 0 ? time.toFixed(2) : null });
    }, STANDING_MS);
    return () => clearTimeout(timer);
  });

  const select = (object: string) => (model.selected.value = object);
  const working = isWorking(video);
  const name = nameOf(video);
  const renaming = useSignal(false);
  const objectsAs = (format: string, ending: string) => ({
    label: T.player.objectsAs[format] ?? format,
    href: address(`/videos/${model.id}/objects/`, { format }),
    download: `${name}.${ending}`,
  });
  const downloads = [
    ...(video.file_size > 0
      ? [{ label: T.player.recording, href: address(`/videos/${model.id}/source_file/`), download: name }]
      : []),
    ...(video.finished
      ? [
          objectsAs('csv', 'csv'),
          objectsAs('jsonl', 'jsonl'),
          objectsAs('coco', 'json'),
          objectsAs('mot', 'txt'),
          objectsAs('vtt', 'vtt'),
        ]
      : []),
  ];
  const facts = [
    video.source_len !== null && clock(video.source_len),
    video.frame_width !== null && `${video.frame_width} × ${video.frame_height}`,
    video.file_size > 0 && bytes(video.file_size),
    fullDate(video.created_date),
  ].filter(Boolean);

  return (
    <div class="view video-view" ref={view}>
      <Head
        title={name}
        back={{ href: link('videos'), label: T.player.toList }}
        beside={
          mayOperate.value && <IconButton icon="edit" label={T.player.rename} onClick={() => (renaming.value = true)} />
        }
        sub={
          <span class="video-sub">
            <span class="video-state">
              <StatusLight light={lightOf(video)} /> {sentence(video)}
            </span>
            <span>{facts.join(' · ')}</span>
          </span>
        }
      >
        {video.finished && (
          <ButtonLink icon="tune" href={link(`tune/${model.id}`)}>
            {T.nav.tune}
          </ButtonLink>
        )}
        {downloads.length > 0 && <Menu icon="download" label={T.player.download} links={downloads} />}
        {mayOperate.value &&
          (working ? (
            <Button icon="stop" onClick={() => void stop([model.id])}>
              {T.action.stop}
            </Button>
          ) : (
            <Button
              icon={video.finished ? 'retry' : 'play'}
              disabled={video.file_size === 0 && !video.url}
              onClick={() => void process([model.id], video.finished)}
            >
              {video.finished ? T.player.again : T.action.process}
            </Button>
          ))}
        {mayOperate.value && (
          <Button icon="trash" onClick={() => void remove([model.id], name).then((done) => done && go('videos'))}>
            {T.action.delete}
          </Button>
        )}
      </Head>
      {renaming.value && (
        <Rename
          video={video}
          onDone={(changed) => {
            renaming.value = false;
            if (changed) model.video.value = changed;
          }}
        />
      )}
      {working && <Progress share={video.progress ?? null} label={T.video.progress} />}
      <div class="video-columns">
        <div class="video-main">
          <div class="video-stage" ref={stage}>
            {video.file_size === 0 && !video.url ? (
              <Empty title={T.video.status.NO_SOURCE} />
            ) : (
              <Stage
                model={model}
                playback={playback}
                tracks={tracks}
                boxesCame={boxesCame}
                showBoxes={showBoxes}
                showDropped={showDropped}
                onSelect={select}
              />
            )}
          </div>
          <Controls
            model={model}
            playback={playback}
            showBoxes={showBoxes}
            showDropped={showDropped}
            onFullscreen={fullscreen}
          />
          <Timeline model={model} playback={playback} onSelect={select} />
          <p class="hint keys">{T.player.keys}</p>
        </div>
        <Cards model={model} playback={playback} follow={isWide.value} onSelect={select} />
      </div>
    </div>
  );
}
