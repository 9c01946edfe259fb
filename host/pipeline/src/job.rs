//! One job, from its source to its objects.
//!
//! Owns: the threads of a job and the queues between them, the detection log while it grows, the frames that hold best
//! shots. Ends when the source does, when its [`Interrupt`] is raised, or at the first failure; the threads are gone
//! when [`run`] returns.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ocellus_core::{
    Clock, Detection, Error, ErrorKind, FrameRecord, InputImage, NetworkPolicy, ObjectRecord, ObjectType, Point, Rect, Region, Result,
    ShotSummary, Size, StreamSettings, VideoId, VideoRecord,
};
use ocellus_detect::{Detector, Detectors, RawDetection};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, MediaError, SHARPNESS_SIZE, Scaler};
use ocellus_runtime::Plugins;
use ocellus_store::{Appended, Archive, DetectionWriter, Job, LogHeader, Picture};
use tracing::debug;

use crate::{
    analysis::{Analysis, Event, TrackKey},
    cut::CutDetector,
    delivery::Outgoing,
    live::Live,
    quality::quality,
    recording::Recording,
};

/// Frames that wait between two stages.
const QUEUE: usize = 4;
/// Frames that are shown to a detector at once, where that many are waiting.
const BATCH: usize = 4;
/// The log reaches the disk this often, and before every object that follows from it.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// A crop shows this much more than the box on every side, so that a person can tell what it is.
const CROP_MARGIN: f32 = 0.15;

/// What a job works with.
pub(crate) struct Context<'a> {
    pub job: &'a Job,
    pub video: &'a VideoRecord,
    pub input: Input,
    pub detectors: &'a Detectors,
    pub plugins: &'a Plugins,
    pub clock: &'a dyn Clock,
    pub interrupt: &'a Interrupt,
    pub live: &'a Live,
    /// Keeps the source, where that is asked for.
    pub recording: Option<&'a Recording>,
    /// Where new objects go to be posted; `None` without a router.
    pub outgoing: Option<&'a Outgoing>,
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

    let mut decoder = Decoder::open(&context.input, context.interrupt).map_err(|error| match error {
        MediaError::Refused { .. } => misconfigured(public(error)),
        error => not_started(public(error)),
    })?;
    let recording = context.recording.map(|r| r.attach(&mut decoder)).transpose().map_err(not_started)?;
    let info = decoder.info().clone();
    context.live.opened(&info);
    let mut analysis = Analysis::open(context.plugins, context.job.id(), settings, info.size, info.frame_rate)
        .map_err(|e| misconfigured(plugin_fault(e)))?;

    let header = LogHeader {
        frame_size: info.size,
        types: types.clone(),
        detectors: detectors.iter().map(|d| (d.name().to_owned(), d.digest().to_owned())).collect(),
    };
    let (writer, logged) = context.job.detection_writer(&header).map_err(|e| not_started(e.into()))?;
    if logged > 0 {
        debug!(video = %context.video.id, frames = logged, "going on after what the log holds");
    }
    let known = context.job.detections().map_err(|e| not_started(e.into()))?;

    let mut stage = Analyse { context, types: &types, writer, synced: Instant::now(), album: HashMap::new(), frames: 0 };
    let mut known = known.into_iter().flatten().take(logged as usize);

    let result = thread::scope(|scope| -> Result<Ended> {
        let (to_detect, decoded) = sync_channel(QUEUE);
        let (to_log, detected) = sync_channel(QUEUE);
        let (spawned, rot) = (&detectors, settings.rot);
        let decode = thread::Builder::new().name("decode".into()).spawn_scoped(scope, move || {
            decode(&mut decoder, spawned, rot, logged, &to_detect);
            recording.iter().for_each(|r| r.take_from(&mut decoder));
            decoder.soft_errors()
        });
        let decode = decode.map_err(Error::internal)?;
        thread::Builder::new()
            .name("detect".into())
            .spawn_scoped(scope, move || detect(spawned, rot, &decoded, &to_log))
            .map_err(Error::internal)?;

        let mut ended = Ok(());
        for item in detected {
            let step = item.and_then(|(shown, seen)| {
                let record = match known.next() {
                    Some(record) => record?,
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
        analysis.finish().map_err(plugin_fault).and_then(|e| stage.handle(None, e)).and_then(|()| stage.sync())
    };
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
    Error::new(ErrorKind::BadParam, error.to_string()).because(error)
}

/// A frame, and whether a cut lies before it.
struct Shown {
    frame: Frame,
    cut: bool,
}

/// A frame on its way to the detectors, with a picture for each; without pictures where the log knows it already.
type Decoded = Result<(Shown, Vec<InputImage>)>;
/// A frame and what was seen in it.
type Detected = Result<(Shown, Vec<RawDetection>)>;

fn decode(decoder: &mut Decoder, detectors: &[Arc<Detector>], rot: Option<Region>, logged: u64, out: &SyncSender<Decoded>) {
    let mut scaler = Scaler::new();
    let mut cuts = CutDetector::default();
    loop {
        let item = match decoder.next_frame() {
            Ok(None) => return,
            // The last frame in the log is what the first new one is compared with.
            Ok(Some(frame)) if frame.index() + 1 < logged => Ok((Shown { frame, cut: false }, Vec::new())),
            Ok(Some(frame)) => {
                let looked_at = rot.map_or(frame.size(), |r| Size { width: r.width, height: r.height });
                let inputs: Result<Vec<_>, _> = detectors.iter().map(|d| scaler.input(&frame, &d.input(looked_at), rot)).collect();
                inputs.map_err(public).map(|mut inputs| {
                    let cut = inputs.first().is_some_and(|i| cuts.is_cut(i));
                    if frame.index() < logged {
                        inputs.clear();
                    }
                    (Shown { frame, cut }, inputs)
                })
            }
            Err(error) => Err(public(error)),
        };
        let last = item.is_err();
        if out.send(item).is_err() || last {
            return;
        }
    }
}

fn detect(detectors: &[Arc<Detector>], rot: Option<Region>, frames: &Receiver<Decoded>, out: &SyncSender<Detected>) {
    while let Ok(first) = frames.recv() {
        let mut waiting = vec![first];
        while waiting.len() < BATCH
            && let Ok(next) = frames.try_recv()
        {
            waiting.push(next);
        }
        let mut failed = None;
        let mut batch = Vec::with_capacity(waiting.len());
        let mut inputs: Vec<Vec<_>> = detectors.iter().map(|_| Vec::new()).collect();
        for item in waiting {
            match item {
                Ok((frame, pictures)) => {
                    let looked_at = !pictures.is_empty();
                    inputs.iter_mut().zip(pictures).for_each(|(i, p)| i.push(p));
                    batch.push((frame, looked_at, Vec::new()));
                }
                Err(error) => failed = Some(error),
            }
        }
        for (detector, pictures) in detectors.iter().zip(inputs) {
            if pictures.is_empty() {
                continue;
            }
            match detector.detect(pictures) {
                Ok(found) => {
                    batch.iter_mut().filter(|(_, looked_at, _)| *looked_at).zip(found).for_each(|((_, _, seen), f)| seen.extend(f))
                }
                Err(error) => {
                    let _ =
                        out.send(Err(Error::new(ErrorKind::Internal, format!("The detector {} failed.", detector.name())).because(error)));
                    return;
                }
            }
        }
        for (frame, _, mut seen) in batch {
            if let Some(rot) = rot {
                seen.iter_mut().for_each(|d| shift(d, rot));
            }
            if out.send(Ok((frame, seen))).is_err() {
                return;
            }
        }
        if let Some(error) = failed {
            let _ = out.send(Err(error));
            return;
        }
    }
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
    writer: DetectionWriter,
    synced: Instant,
    /// The frames that hold the best shots of open tracks.
    album: HashMap<TrackKey, Frame>,
    frames: u64,
}

impl Analyse<'_> {
    /// Measures what later stages want to know of the pixels, and writes the frame down.
    fn log(&mut self, Shown { frame, cut }: &Shown, raw: Vec<RawDetection>) -> Result<FrameRecord> {
        let mut seen: Vec<(ObjectType, Vec<Detection>)> = self.types.iter().map(|t| (t.clone(), Vec::new())).collect();
        for RawDetection { object_type, rect, score, landmarks } in raw {
            let Some((_, list)) = seen.iter_mut().find(|(t, _)| *t == object_type) else { continue };
            let sharpness = frame.luma(rect, SHARPNESS_SIZE).map_or(0.0, |grey| ocellus_media::sharpness(&grey, SHARPNESS_SIZE));
            let quality = quality(&object_type, &rect, score, sharpness, landmarks.as_ref(), frame.size());
            list.push(Detection { rect, score, quality, landmarks, appearance: Vec::new() });
        }
        let wall_us = self.context.clock.now().as_microsecond();
        let record = FrameRecord { index: frame.index(), time: frame.time(), wall_us, cut: *cut, still: false, seen };
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
        let events = analysis.frame(record, frame.size()).map_err(plugin_fault)?;
        self.handle(Some(frame), events)?;
        self.context.live.frame(record, frame.size());
        Ok(())
    }

    /// `frame` is the one that the events follow from; there is none at the end of a source.
    fn handle(&mut self, frame: Option<&Frame>, events: Vec<Event>) -> Result<()> {
        for event in events {
            match event {
                Event::Best(track) => {
                    if let Some(frame) = frame {
                        self.album.insert(track, frame.clone());
                    }
                }
                Event::Dropped(track) => {
                    self.album.remove(&track);
                }
                Event::Object(object) => self.report(&object)?,
            }
        }
        Ok(())
    }

    fn report(&mut self, object: &ObjectRecord) -> Result<()> {
        let track = (object.id.object_type.clone(), object.id.track);
        let frame = self.album.remove(&track).ok_or_else(|| Error::internal(format!("no frame was kept for {}", object.id)))?;
        self.sync()?;
        let pictures = pictures(&frame, object, &self.context.video.stream_settings)?;
        let pictures: Vec<(Picture, &[u8])> = pictures.iter().map(|(p, bytes)| (*p, bytes.as_slice())).collect();
        let appended = self.context.job.append_object(object, &pictures)?;
        self.context.live.object(&object.id.object_type);
        // An object that the archive knew already was handed over when the job was taken up again.
        if let (Appended::New, Some(outgoing)) = (appended, self.context.outgoing) {
            outgoing.send(object.id.clone());
        }
        Ok(())
    }
}

fn pictures(frame: &Frame, object: &ObjectRecord, settings: &StreamSettings) -> Result<Vec<(Picture, Vec<u8>)>> {
    let quality = settings.detectors.get(&object.id.object_type).and_then(Option::as_ref).map_or(95, |d| d.jpeg_quality);
    let crop = crop(&object.best);
    let thumbnail = frame.jpeg(Some(crop), None, quality).map_err(Error::internal)?;
    let fullframe = frame.jpeg(None, None, quality).map_err(Error::internal)?;
    Ok(vec![(Picture::Thumbnail, thumbnail), (Picture::Fullframe, fullframe)])
}

/// What an object's thumbnail shows; may reach over the frame's edge.
pub(crate) fn crop(shot: &ShotSummary) -> Rect {
    let [left, top, right, bottom] = shot.bbox.map(|v| v as f32);
    Rect::new(left, top, right, bottom).padded(CROP_MARGIN)
}

/// Where a video's pixels come from; `network` is where a URL may lead.
pub(crate) fn input(archive: &Archive, video: &VideoRecord, network: &NetworkPolicy) -> Result<Input> {
    let location = match (&video.url, video.file_size) {
        (_, Some(_)) => Location::File(archive.source_path(video.id)),
        (Some(url), None) => Location::Url(url.clone()),
        (None, None) => return Err(no_source(video.id)),
    };
    let settings = &video.stream_settings;
    let options = ocellus_media::parse_options(&settings.ffmpeg_params)
        .map_err(|e| Error::bad_param("stream_settings.ffmpeg_params", e.to_string()))?;
    Ok(Input {
        location,
        format: (!settings.ffmpeg_format.is_empty()).then(|| settings.ffmpeg_format.clone()),
        options,
        network: network.clone(),
        transform: settings.video_transform,
        threads: thread::available_parallelism().map_or(1, usize::from),
    })
}

fn no_source(id: VideoId) -> Error {
    Error::new(ErrorKind::NotFound, "The video has neither a file nor a URL.").because(format!("video {id}"))
}
