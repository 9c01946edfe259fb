//! One job, from its source to its objects.
//!
//! Owns: the threads of a job and the queues between them, the detection log while it grows, the frames that hold best
//! shots. Frames that came too late to be looked at are dropped where the settings allow it; they are not in the log,
//! where their numbers are missing. Ends when the source does, when its [`Interrupt`] is raised, or at the first failure; the threads are gone
//! when [`run`] returns.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ocellus_core::{
    BestShotType, Clock, CpuLaps, Detection, Error, ErrorKind, FrameRecord, InputImage, NetworkPolicy, ObjectRecord, ObjectType, Point,
    Rect, Region, Result, SettingsSchema, Size, Stage, StreamSettings, VideoId, VideoRecord,
};
use ocellus_detect::{DetectError, Detector, Detectors, Embedders, Looking, RawDetection};
use ocellus_media::{Decoder, Decoding, Frame, Input, Interrupt, Location, MediaError, Scaler};
use ocellus_runtime::{Kind, Plugins};
use ocellus_store::{Archive, DetectionWriter, Embedding, Job, LogHeader, NewObject, Picture};
use tracing::debug;

use crate::{
    analysis::{Analysis, Event, Role, TrackKey, compares_appearances},
    cut::CutDetector,
    identity::{self, Thing},
    live::Live,
    motion::MotionGate,
    outbox::Outbox,
    pace::Pace,
    pictures::{self, Frames, pixels},
    quality::quality_in,
    recording::Recording,
};

/// Frames that wait between two stages.
const QUEUE: usize = 1;
/// Frames that detectors may have under way, at most; each is in memory as pixels.
const UNDER_WAY: usize = 32;
/// Frames after which the figures of the plugins are brought up to date.
const REPORT_EVERY: u64 = 16;
/// The log reaches the disk this often, and before every object that follows from it.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// Objects of one frame that go into the archive at once, at most; their pictures are in memory until then.
const AT_ONCE: usize = 8;

/// What a job works with.
pub(crate) struct Context<'a> {
    pub job: &'a Job,
    pub video: &'a VideoRecord,
    pub input: Input,
    pub detectors: &'a Detectors,
    pub embedders: &'a Embedders,
    pub plugins: &'a Plugins,
    pub clock: &'a dyn Clock,
    pub interrupt: &'a Interrupt,
    pub live: &'a Live,
    /// Keeps the source, where that is asked for.
    pub recording: Option<&'a Recording>,
    /// Where new objects go to be delivered; `None` without a router.
    pub outbox: Option<&'a Outbox>,
}

/// Why a job that did not fail came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    EndOfSource,
    /// Its [`Interrupt`] was raised.
    Interrupted,
}

/// A failure, and whether frames had come through before it.
pub(crate) struct Failure {
    pub error: Error,
    pub kind: FailureKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    NotStarted,
    Interrupted,
    Misconfigured,
}

/// An error of decoding, with the sentence that its user may read.
pub(crate) fn public(error: MediaError) -> Error {
    Error::new(ErrorKind::BadParam, error.to_string()).because(error)
}

/// Runs a job over what its log already holds and on to the end of its source.
///
/// `keep_open`: asked when the job is interrupted; true leaves open tracks as they are, for the job to go on later.
pub(crate) fn run(context: &Context<'_>, keep_open: impl Fn() -> bool) -> Result<Ended, Failure> {
    let settings = &context.video.stream_settings;
    let types: Vec<ObjectType> = settings.active().map(|(t, _)| t.clone()).collect();
    let misconfigured = |error: Error| Failure { error, kind: FailureKind::Misconfigured };
    let not_started = |error: Error| Failure { error, kind: FailureKind::NotStarted };

    let detectors = context.detectors.for_types(&types);
    let found: BTreeSet<ObjectType> = detectors.iter().flat_map(|d| d.types().iter().cloned()).collect();
    if let Some(missing) = types.iter().find(|t| !found.contains(*t)) {
        let error = Error::bad_param(format!("stream_settings.detectors.{missing}"), format!("No detector for {missing} is installed."));
        return Err(misconfigured(error));
    }
    if let Some((t, _)) = settings.active().find(|(_, d)| d.track_send_history && d.track_max_duration_frames == 0) {
        let path = format!("stream_settings.detectors.{t}.track_send_history");
        return Err(misconfigured(Error::bad_param(path, format!("track_send_history of {t} needs track_max_duration_frames above 0."))));
    }

    let mut laps = CpuLaps::start(context.live.cpu());
    let mut decoder = match Decoder::open(&context.input, context.interrupt) {
        Ok(decoder) => decoder,
        Err(MediaError::Interrupted) => return Ok(Ended::Interrupted),
        Err(error @ MediaError::Refused { .. }) => return Err(misconfigured(public(error))),
        Err(error) => return Err(not_started(public(error))),
    };
    laps.lap(Stage::Decode);
    let recording = context.recording.map(|r| r.attach(&mut decoder)).transpose().map_err(not_started)?;
    let info = decoder.info().clone();
    // A stream of which nobody knows where it ends brings its own pace.
    let is_live = matches!(context.input.location, Location::Url(_)) && info.duration.is_none();
    context.live.opened(&info);
    laps.lap(Stage::Other);
    let mut analysis = Analysis::open(context.plugins, context.job.id(), settings, info.size, info.frame_rate, false)
        .map_err(|e| misconfigured(plugin_fault(e)))?;
    analysis.follow_candidates();
    laps.lap(Stage::Plugins);

    let compared = settings.active().filter(|(_, s)| compares_appearances(context.plugins, s)).map(|(t, _)| t.clone()).collect::<Vec<_>>();
    let looking = compared.iter().filter_map(|t| context.embedders.for_type(t)).map(|e| (e.name(), e.digest()));
    let header = LogHeader {
        frame_size: info.size,
        frame_rate: info.frame_rate,
        types: types.clone(),
        detectors: detectors.iter().map(|d| (d.name(), d.digest())).chain(looking).map(|(n, d)| (n.to_owned(), d.to_owned())).collect(),
    };
    let (writer, fresh) = context.job.detection_writer(&header).map_err(|e| not_started(e.into()))?;
    if fresh > 0 {
        debug!(video = %context.video.id, frames = fresh, "going on after what the log holds");
    }
    // Read as the frames come by: a log may be longer than memory is large. What is appended meanwhile is not in it.
    let known = context.job.detections().map_err(|e| not_started(e.into()))?;

    let mut stage = Analyse {
        context,
        types: &types,
        compared: &compared,
        writer,
        synced: Instant::now(),
        album: HashMap::new(),
        reported: Vec::new(),
        scaler: Scaler::new(),
        laps,
        frames: 0,
    };
    let mut known = known.into_iter().flatten().peekable();

    let result = thread::scope(|scope| -> Result<Ended> {
        // What they are through with may wait, too, so that they go on while an object is written.
        let under_way = detectors.iter().map(|d| d.depth()).max().unwrap_or(1).min(UNDER_WAY) + QUEUE;
        let (to_detect, decoded) = sync_channel(QUEUE);
        let (to_log, shown) = sync_channel(under_way);
        let spawned = &detectors;
        let pace = Pace::new(settings, is_live, context.interrupt);
        let decode = thread::Builder::new().name("decode".into()).spawn_scoped(scope, move || {
            decode(&mut decoder, spawned, context, fresh, pace, &to_detect);
            recording.iter().for_each(|r| r.take_from(&mut decoder));
            decoder.soft_errors()
        });
        let decode = decode.map_err(Error::internal)?;
        thread::Builder::new()
            .name("detect".into())
            .spawn_scoped(scope, move || show(spawned, context, &decoded, &to_log))
            .map_err(Error::internal)?;

        let mut ended = Ok(());
        for item in shown {
            let step = item.and_then(|(shown, looking)| {
                let seen = seen(looking, settings.rot)?;
                let index = shown.frame.index();
                let record = match known.next_if(|record| record.as_ref().map_or(true, |r| r.index == index)) {
                    Some(record) => record?,
                    // It was dropped when the job ran before.
                    None if index < fresh => {
                        context.live.update(|s| s.frames_dropped += 1);
                        return Ok(());
                    }
                    None => stage.log(&shown, seen)?,
                };
                stage.frame(&shown.frame, &record, &mut analysis)
            });
            if step.is_err() {
                ended = step;
                break;
            }
            if context.interrupt.is_raised() {
                break;
            }
        }
        // The queues are closed by now; the other threads find that out at their next frame.
        if let Ok(soft_errors) = decode.join() {
            context.live.update(|s| s.decoding_soft_errors = soft_errors);
        }
        ended.map(|()| if context.interrupt.is_raised() { Ended::Interrupted } else { Ended::EndOfSource })
    });
    let suspended = context.interrupt.is_raised() && keep_open();
    let flushed = if suspended {
        stage.sync()
    } else {
        stage.laps.lap(Stage::Other);
        let events = analysis.finish().map_err(plugin_fault);
        stage.laps.lap(Stage::Plugins);
        events.and_then(|e| stage.handle(None, e)).and_then(|()| stage.sync())
    };
    context.live.update(|s| s.plugins = analysis.report());
    stage.laps.lap(Stage::Other);
    let frames = stage.frames;
    match (result, flushed) {
        // A source that fails because it was told to is no failure.
        (Err(_), _) if context.interrupt.is_raised() => Ok(Ended::Interrupted),
        (Ok(Ended::EndOfSource), Ok(())) if frames == 0 => {
            Err(not_started(Error::new(ErrorKind::BadParam, "No frame of the video could be decoded.")))
        }
        (Ok(ended), Ok(())) => Ok(ended),
        (Err(error), _) | (_, Err(error)) => {
            let kind = if frames == 0 { FailureKind::NotStarted } else { FailureKind::Interrupted };
            Err(Failure { error, kind })
        }
    }
}

fn plugin_fault(error: ocellus_runtime::PluginError) -> Error {
    Error::new(ErrorKind::BadParam, error.to_string())
}

/// A frame, and what was found out about it while it was decoded.
struct Shown {
    frame: Frame,
    /// A cut lies before it.
    cut: bool,
    /// Nothing moved in it.
    still: bool,
    /// When it was taken, where the source says so; microseconds since the Unix epoch.
    taken_us: Option<i64>,
}

/// A frame on its way to the detectors, with a picture for each; without pictures where the log knows it already.
type Decoded = Result<(Shown, Vec<InputImage>)>;
/// A frame that detectors look at.
type LookedAt<'a> = Result<(Shown, Vec<Looking<'a>>)>;

/// `fresh`: the first frame that the log does not know of.
fn decode(
    decoder: &mut Decoder,
    detectors: &[Arc<Detector>],
    context: &Context<'_>,
    fresh: u64,
    mut pace: Pace<'_>,
    out: &SyncSender<Decoded>,
) {
    let settings = &context.video.stream_settings;
    let mut laps = CpuLaps::start(context.live.cpu());
    let mut scale = Scale { detectors, rot: settings.rot, scaler: Scaler::new(), cuts: CutDetector::default() };
    let mut gate = MotionGate::new(settings.imotion_threshold);
    // A frame with a cut before it was dropped: the one after it has to tell.
    let mut lost_cut = false;
    loop {
        laps.lap(Stage::Other);
        let frame = match decoder.next_frame() {
            Ok(None) => return,
            Ok(Some(frame)) => frame,
            Err(error) => {
                let _ = out.send(Err(public(error)));
                return;
            }
        };
        let known = frame.index() < fresh;
        let mut still = false;
        if !known {
            pace.wait_for(&frame);
            still = gate.is_still(&frame, settings.rot.map_or(frame.size().to_rect(), Region::to_rect));
        }
        laps.lap(Stage::Decode);
        let (mut cut, mut inputs) = (lost_cut, Vec::new());
        // The last frame in the log is what the first new one is compared with.
        if !still && frame.index() + 1 >= fresh {
            let looked_at = match scale.look(&frame, &mut laps) {
                Ok(looked_at) => looked_at,
                Err(error) => {
                    let _ = out.send(Err(error));
                    return;
                }
            };
            cut |= looked_at.0;
            if !known {
                inputs = looked_at.1;
            }
        }
        let taken_us = decoder.taken_us(frame.time()).filter(|_| settings.use_rtsp_time);
        let item = Ok((Shown { frame, cut, still, taken_us }, inputs));
        if known || !pace.may_drop() {
            if out.send(item).is_err() {
                return;
            }
            continue;
        }
        lost_cut = match out.try_send(item) {
            Ok(()) => false,
            Err(TrySendError::Full(_)) => {
                context.live.update(|s| s.frames_dropped += 1);
                // Nobody saw it, so that nothing can be still since.
                gate.forget();
                cut
            }
            Err(TrySendError::Disconnected(_)) => return,
        };
    }
}

/// Makes the pictures that detectors look at.
struct Scale<'a> {
    detectors: &'a [Arc<Detector>],
    rot: Option<Region>,
    scaler: Scaler,
    cuts: CutDetector,
}

impl Scale<'_> {
    /// Whether a cut lies before the frame, and a picture for each detector.
    fn look(&mut self, frame: &Frame, laps: &mut CpuLaps<'_>) -> Result<(bool, Vec<InputImage>)> {
        let looked_at = self.rot.map_or(frame.size(), |r| Size { width: r.width, height: r.height });
        let mut inputs: Vec<InputImage> = Vec::with_capacity(self.detectors.len());
        for detector in self.detectors {
            let spec = detector.input(looked_at);
            let input = match inputs.iter().find(|made| made.spec == spec) {
                Some(made) => made.clone(),
                None => self.scaler.input(frame, &spec, self.rot).map_err(public)?,
            };
            inputs.push(input);
        }
        laps.lap(Stage::Scale);
        let cut = inputs.first().is_some_and(|i| self.cuts.is_cut(i));
        laps.lap(Stage::Measure);
        Ok((cut, inputs))
    }
}

/// Shows the detectors what was decoded, as fast as they take it; who waits for what they find is behind `out`.
fn show<'a>(detectors: &'a [Arc<Detector>], context: &Context<'_>, frames: &Receiver<Decoded>, out: &SyncSender<LookedAt<'a>>) {
    let meter = context.live.cpu();
    let mut laps = CpuLaps::start(meter);
    while let Ok(item) = frames.recv() {
        let shown = item.and_then(|(frame, pictures)| {
            let looking = detectors.iter().zip(pictures).map(|(detector, picture)| detector.begin(picture, meter));
            Ok((frame, looking.collect::<Result<Vec<_>, _>>().map_err(failed)?))
        });
        let failed = shown.is_err();
        let gone = out.send(shown).is_err();
        laps.lap(Stage::Other);
        if failed || gone {
            return;
        }
    }
}

/// What all detectors found in a frame.
fn seen(looking: Vec<Looking<'_>>, rot: Option<Region>) -> Result<Vec<RawDetection>> {
    let mut seen = Vec::new();
    for looking in looking {
        seen.extend(looking.wait().map_err(failed)?);
    }
    if let Some(rot) = rot {
        seen.iter_mut().for_each(|d| shift(d, rot));
    }
    Ok(seen)
}

fn failed(error: DetectError) -> Error {
    Error::new(ErrorKind::Internal, format!("The detector {} failed.", error.detector())).because(error)
}

/// From the region of tracking's coordinates to the frame's.
fn shift(detection: &mut RawDetection, rot: Region) {
    let (dx, dy) = (rot.x.max(0) as f32, rot.y.max(0) as f32);
    let r = &mut detection.rect;
    *r = Rect::new(r.left + dx, r.top + dy, r.right + dx, r.bottom + dy);
    for p in detection.landmarks.iter_mut().flatten() {
        *p = Point { x: p.x + dx, y: p.y + dy };
    }
}

/// The last stage: log, analysis, archive.
struct Analyse<'a> {
    context: &'a Context<'a>,
    types: &'a [ObjectType],
    /// Those of them whose trackers compare what detections look like.
    compared: &'a [ObjectType],
    writer: DetectionWriter,
    synced: Instant,
    /// The frames that are kept for open tracks.
    album: HashMap<(TrackKey, Role), Frame>,
    /// Objects that are not in the archive yet.
    reported: Vec<NewObject>,
    scaler: Scaler,
    /// Of the thread that this runs on.
    laps: CpuLaps<'a>,
    frames: u64,
}

impl Analyse<'_> {
    /// Measures what later stages want to know of the pixels, and writes the frame down.
    fn log(&mut self, Shown { frame, cut, still, taken_us }: &Shown, raw: Vec<RawDetection>) -> Result<FrameRecord> {
        self.laps.lap(Stage::Other);
        let mut seen: Vec<(ObjectType, Vec<Detection>)> = self.types.iter().map(|t| (t.clone(), Vec::new())).collect();
        for raw in raw {
            let Some((_, list)) = seen.iter_mut().find(|(t, _)| *t == raw.object_type) else { continue };
            let quality = quality_in(frame, &raw);
            let RawDetection { rect, score, landmarks, .. } = raw;
            list.push(Detection { rect, score, quality, landmarks, appearance: Vec::new() });
        }
        for (object_type, seen) in &mut seen {
            let worth = self.compared.contains(object_type);
            identity::describe(self.context.embedders, frame, object_type, worth, seen, self.context.live.cpu())?;
        }
        self.laps.lap(Stage::Measure);
        let wall_us = taken_us.unwrap_or_else(|| self.context.clock.now().as_microsecond());
        let record = FrameRecord { index: frame.index(), time: frame.time(), wall_us, cut: *cut, still: *still, seen };
        self.writer.append(&record)?;
        if self.synced.elapsed() > SYNC_EVERY {
            self.sync()?;
        }
        Ok(record)
    }

    fn sync(&mut self) -> Result<()> {
        self.synced = Instant::now();
        Ok(self.writer.sync()?)
    }

    fn frame(&mut self, frame: &Frame, record: &FrameRecord, analysis: &mut Analysis) -> Result<()> {
        self.frames += 1;
        self.laps.lap(Stage::Other);
        let events = analysis.frame(record, frame.size(), Some(pixels(frame))).map_err(plugin_fault)?;
        self.laps.lap(Stage::Plugins);
        self.handle(Some(frame), events)?;
        self.context.live.frame(record, frame.size());
        if self.frames.is_multiple_of(REPORT_EVERY) {
            self.context.live.update(|s| s.plugins = analysis.report());
        }
        Ok(())
    }

    /// `frame` is the one that the events follow from; there is none at the end of a source.
    fn handle(&mut self, frame: Option<&Frame>, events: Vec<Event>) -> Result<()> {
        self.embed(frame, &events)?;
        let handled = events.into_iter().try_for_each(|event| self.event(frame, event));
        // What came before a failure is kept.
        self.keep_objects().and(handled)
    }

    fn event(&mut self, frame: Option<&Frame>, event: Event) -> Result<()> {
        match event {
            Event::Keep(track, role) => {
                if let Some(frame) = frame {
                    self.album.insert((track, role), frame.clone());
                }
            }
            Event::Dropped(track) => self.forget(&track),
            Event::Object(object) => self.report(*object)?,
            // Only a replay asks for those.
            Event::Decided(_) => {}
        }
        Ok(())
    }

    /// Keeps what the objects look like whose tracks these events end, all at once.
    fn embed(&mut self, frame: Option<&Frame>, events: &[Event]) -> Result<()> {
        let ended = events.iter().enumerate().filter_map(|(n, event)| match event {
            Event::Object(object) if object.bs_type == BestShotType::Overall && !self.context.job.knows(&object.id) => Some((n, object)),
            _ => None,
        });
        let best_frame = |n: usize, object: &ObjectRecord| {
            let key = (object.id.object_type.clone(), object.id.track);
            // The best one may be this one, which is kept only by the events before.
            let is_this = events.iter().take(n).any(|e| matches!(e, Event::Keep(track, Role::Best) if *track == key));
            if is_this { frame } else { self.album.get(&(key, Role::Best)) }
        };
        let things: Vec<_> = ended.filter_map(|(n, object)| Some((object, best_frame(n, object)?))).collect();
        let shown: Vec<_> = things.iter().map(|(object, frame)| Thing::object(frame, object)).collect();
        self.laps.lap(Stage::Other);
        let rows = identity::rows(self.context.embedders, &shown, self.context.live.cpu())?;
        self.laps.lap(Stage::Embed);
        let embeddings = things.iter().zip(rows).filter_map(|((object, _), row)| {
            let (source, _) = identity::measure(self.context.embedders, &object.id.object_type);
            Some(Embedding { object: object.id.clone(), source: source.to_owned(), row: row? })
        });
        let embeddings: Vec<_> = embeddings.collect();
        if embeddings.is_empty() { Ok(()) } else { Ok(self.context.job.append_embeddings(&embeddings)?) }
    }

    fn forget(&mut self, track: &TrackKey) {
        self.album.retain(|(kept, _), _| kept != track);
    }

    /// Makes the pictures of an object; it goes into the archive with the others of its frame.
    fn report(&mut self, object: ObjectRecord) -> Result<()> {
        let key = (object.id.object_type.clone(), object.id.track);
        let ends = object.end_of_track;
        // One that the archive knows already was taken up with what else was undelivered.
        if self.context.job.knows(&object.id) {
            self.context.live.object(&object.id.object_type);
        } else {
            let pictures = self.pictures(&key, &object)?;
            self.reported.push(NewObject { record: object, pictures });
        }
        if ends {
            self.forget(&key);
        }
        if self.reported.len() < AT_ONCE { Ok(()) } else { self.keep_objects() }
    }

    fn pictures(&mut self, key: &TrackKey, object: &ObjectRecord) -> Result<Vec<(Picture, Vec<u8>)>> {
        let role = if object.bs_type == BestShotType::Overall { Role::Best } else { Role::Window };
        let kept = |role| self.album.get(&(key.clone(), role));
        let best = kept(role).ok_or_else(|| Error::internal(format!("no frame was kept for {}", object.id)))?;
        let end = |role| kept(role).filter(|_| object.end_of_track);
        let settings = &self.context.video.stream_settings;
        let detector = settings.detector(&object.id.object_type).ok_or_else(|| Error::internal(format!("{} is off", object.id)))?;
        self.laps.lap(Stage::Other);
        let frames = Frames { best, first: end(Role::First), last: end(Role::Last) };
        let pictures = pictures::make(&mut self.scaler, &frames, object, settings, detector)?;
        self.laps.lap(Stage::Pictures);
        Ok(pictures)
    }

    /// Puts what was reported into the archive, after the log that it follows from, and has it delivered.
    fn keep_objects(&mut self) -> Result<()> {
        if self.reported.is_empty() {
            return Ok(());
        }
        self.sync()?;
        let objects = std::mem::take(&mut self.reported);
        let new = self.context.job.append_objects(&objects)?;
        objects.iter().for_each(|object| self.context.live.object(&object.record.id.object_type));
        if let Some(outbox) = self.context.outbox {
            new.into_iter().for_each(|(id, number)| outbox.add(id, number));
        }
        Ok(())
    }
}

/// The schema of settings that jobs can be run by, for these object types and plugins.
pub fn settings_schema(types: &[ObjectType], plugins: &Plugins) -> Result<SettingsSchema> {
    let schemas: Vec<_> = plugins.list().into_iter().filter_map(|p| Some((p.name?, p.schema?))).collect();
    let schema = SettingsSchema::new(types, &plugins.names(Kind::Tracker), &plugins.names(Kind::Filter))?;
    Ok(schema.with_routers(&plugins.names(Kind::Router))?.with_plugins(&schemas)?.checked_by(check_settings))
}

/// Refuses what FFmpeg may not be told, before anything is stored.
fn check_settings(settings: &StreamSettings) -> Result<()> {
    options(settings)?;
    let format = &settings.ffmpeg_format;
    if format.is_empty() {
        return Ok(());
    }
    ocellus_media::check_format(format).map_err(|e| Error::bad_param("stream_settings.ffmpeg_format", e.to_string()))
}

fn options(settings: &StreamSettings) -> Result<Vec<(String, String)>> {
    ocellus_media::parse_options(&settings.ffmpeg_params)
        .map_err(|e| Error::bad_param(format!("stream_settings.ffmpeg_params.{}", e.index), format!("{e}.")))
}

/// Where a video's pixels come from; `network` is where a URL may lead.
pub(crate) fn input(archive: &Archive, video: &VideoRecord, network: &NetworkPolicy) -> Result<Input> {
    let location = match (&video.url, video.file_size) {
        (_, Some(_)) => Location::File(archive.source_path(video.id)),
        (Some(url), None) => Location::Url(url.clone()),
        (None, None) => return Err(no_source(video.id)),
    };
    read(location, &video.stream_settings, network)
}

/// A source as the settings want it decoded.
pub(crate) fn read(location: Location, settings: &StreamSettings, network: &NetworkPolicy) -> Result<Input> {
    let options = options(settings)?;
    Ok(Input {
        location,
        format: (!settings.ffmpeg_format.is_empty()).then(|| settings.ffmpeg_format.clone()),
        options,
        network: network.clone(),
        transform: settings.video_transform,
        threads: 0,
        decoding: Decoding::Software,
    })
}

fn no_source(id: VideoId) -> Error {
    Error::new(ErrorKind::NotFound, "The video has neither a file nor a URL.").because(format!("video {id}"))
}
