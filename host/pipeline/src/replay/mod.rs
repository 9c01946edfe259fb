//! Replay of a finished job from its detection log: without detectors, and without decoding except
//! for filters that read crops.
//!
//! Guarantees: with the settings and the plugins of the job, the objects are those of the job, byte
//! for byte; results of attribute networks are copied. Nothing is stored and nothing is delivered.
//! At a gap in the log all tracks end, as in the job.

mod diff;

use std::{
    cell::Cell,
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
    time::{Duration, Instant},
};

use ocellus_core::{
    Error, ErrorKind, NetworkPolicy, ObjectRecord, ObjectType, PluginUse, Result, StreamSettings, TrackId,
};
use ocellus_media::{Frame, Interrupt, Location};
use ocellus_runtime::Plugins;
use ocellus_store::{DetectionRecord, Gap, StoredJob, TrackFrame};
use sha2::{Digest, Sha256};

pub use self::diff::{Change, Diff, UnmatchedObject};
use crate::{
    analysis::{Analysis, Decision, DecisionStage, Event, take_boxes},
    features,
    frame_reader::FrameReader,
    job_spec::JobSpec,
    pictures::pixels,
    source::{FramePosition, read},
};

/// Result of a replay.
#[derive(Debug)]
pub struct Replay {
    /// Frames of the log.
    pub frames: u64,
    /// Wall-clock time of the run.
    pub took: Duration,
    /// In order of creation.
    pub objects: Vec<ObjectRecord>,
    /// Usage of each plugin, by its name.
    pub plugins: BTreeMap<String, PluginUse>,
}

impl Replay {
    /// SHA-256, in hex, of the objects as lines of JSON.
    pub fn digest(&self) -> String {
        digest(&self.objects)
    }
}

fn digest(objects: &[ObjectRecord]) -> String {
    let mut hash = Sha256::new();
    for object in objects {
        hash.update(serde_json::to_vec(object).unwrap_or_default());
        hash.update(b"\n");
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Filter of decisions; a field that is `None` matches all.
#[derive(Clone, Debug, Default)]
pub struct DecisionQuery {
    /// The object type of the decision.
    pub object_type: Option<ObjectType>,
    /// The stage that decided.
    pub stage: Option<DecisionStage>,
    /// The track that it is about.
    pub track: Option<TrackId>,
    /// Index of the frame that it is about.
    pub frame: Option<u64>,
}

impl DecisionQuery {
    pub(crate) fn matches(&self, decision: &Decision) -> bool {
        self.object_type.as_ref().is_none_or(|t| *t == decision.object_type)
            && self.stage.is_none_or(|s| s == decision.stage)
            && self.track.is_none_or(|t| Some(t) == decision.track_id)
            && self.frame.is_none_or(|f| f == decision.frame)
    }
}

/// Runs a job's log through these settings and plugins, unless it is interrupted.
///
/// # Errors
/// `Conflict` for a job without a log, or without the source that a filter reads; `BadParam` for
/// object types that the job did not detect, or a plugin that fails; `Unavailable` once
/// interrupted.
pub fn replay(job: &StoredJob, settings: &StreamSettings, plugins: &Plugins, interrupt: &Interrupt) -> Result<Replay> {
    let mut replay = run(job, settings, plugins, interrupt, Watch::default())?;
    features::take_over(&mut replay.objects, job.objects()?, settings);
    Ok(replay)
}

/// Decisions that match `query`, at most `limit`, from a replay with the job's settings and the
/// plugins that are installed now. The replay ends once it has found these. Errors as for
/// [`replay`].
pub fn decisions(
    job: &StoredJob,
    plugins: &Plugins,
    interrupt: &Interrupt,
    query: &DecisionQuery,
    limit: usize,
) -> Result<Vec<Decision>> {
    let mut found = Vec::new();
    let mut collect = |decision: Decision| {
        if found.len() < limit && query.matches(&decision) {
            found.push(decision);
        }
        if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let watch = Watch { on_decision: Some(&mut collect), ..Watch::default() };
    run(job, &settings_of(job)?, plugins, interrupt, watch)?;
    Ok(found)
}

/// The boxes of a job's tracks, frame by frame, with the plugins that are installed now. Errors as
/// for [`replay`], and those of `each`.
pub(crate) fn boxes(
    job: &StoredJob,
    plugins: &Plugins,
    interrupt: &Interrupt,
    each: &mut dyn FnMut(TrackFrame) -> Result<()>,
) -> Result<()> {
    let watch = Watch { on_boxes: Some(each), ..Watch::default() };
    run(job, &settings_of(job)?, plugins, interrupt, watch).map(drop)
}

/// Differences of the objects of a replay from those of the job, with the reasons. Errors as for
/// [`replay`].
pub fn compare(
    job: &StoredJob,
    replay: &Replay,
    settings: &StreamSettings,
    plugins: &Plugins,
    interrupt: &Interrupt,
) -> Result<Diff> {
    let before = job.objects()?;
    let mut diff = diff::diff(&before, &replay.objects);
    let explain = |settings: &StreamSettings, items: &mut [UnmatchedObject]| {
        if items.is_empty() {
            return Ok(());
        }
        let mut set_reason = |decision: Decision| {
            diff::explain(items, &decision);
            ControlFlow::Continue(())
        };
        let watch = Watch { on_decision: Some(&mut set_reason), ..Watch::default() };
        run(job, settings, plugins, interrupt, watch).map(drop)
    };
    explain(settings, &mut diff.lost)?;
    explain(&settings_of(job)?, &mut diff.gained)?;
    Ok(diff)
}

/// The settings that a job ran with.
///
/// # Errors
/// `Conflict` for a video that was never processed.
pub fn settings_of(job: &StoredJob) -> Result<StreamSettings> {
    Ok(JobSpec::parse(job.spec()?.ok_or_else(not_processed)?)?.stream_settings)
}

/// Callbacks for results of a run other than its objects.
#[derive(Default)]
struct Watch<'a> {
    /// Called with each decision; the run ends early if it returns `Break`.
    on_decision: Option<&'a mut dyn FnMut(Decision) -> ControlFlow<()>>,
    /// Called with each frame that has tracks.
    on_boxes: Option<&'a mut dyn FnMut(TrackFrame) -> Result<()>>,
}

fn run(
    job: &StoredJob,
    settings: &StreamSettings,
    plugins: &Plugins,
    interrupt: &Interrupt,
    Watch { mut on_decision, mut on_boxes }: Watch<'_>,
) -> Result<Replay> {
    let log = job.detections()?.ok_or_else(not_processed)?;
    let header = log.header().clone();
    if let Some((missing, _)) = settings.active().find(|(t, _)| !header.types.contains(t)) {
        let path = format!("stream_settings.detectors.{missing}");
        return Err(Error::bad_param(
            path,
            format!("The video was processed without looking for {missing}: there is nothing to replay."),
        ));
    }
    let begun = Instant::now();
    let rule = JobSpec::parse(job.spec()?.ok_or_else(not_processed)?)?.shot_rule;
    let mut analysis = Analysis::open(plugins, job.id(), settings, rule, &header, on_decision.is_some())?;
    if on_boxes.is_some() {
        analysis.report_boxes();
    }
    let (mut frames, mut objects) = (0, Vec::new());
    let stopped = Cell::new(false);
    let mut collect = |objects: &mut Vec<ObjectRecord>, events: Vec<Event>| {
        for event in events {
            match event {
                Event::Object(object) => objects.push(*object),
                Event::Decision(decision) => {
                    if let Some(on_decision) = &mut on_decision {
                        stopped.set(on_decision(decision).is_break());
                    }
                }
                Event::Keep(..) | Event::Dropped(_) | Event::Samples(..) | Event::Box(..) => {}
            }
        }
    };
    let mut reader = if analysis.reads_crops() { Some(reader(job, settings, interrupt)?) } else { None };
    let mut frame_size = header.frame_size;
    for entry in log {
        if interrupt.is_raised() {
            return Err(Error::new(ErrorKind::Unavailable, "The replay was stopped."));
        }
        if stopped.get() {
            break;
        }
        let record = match entry? {
            DetectionRecord::Frame(record) => record,
            DetectionRecord::Gap(gap) => {
                collect(&mut objects, analysis.finish()?);
                let lost = remove_lost(&mut objects, &gap);
                collect(&mut objects, lost);
                analysis.resume_after(&gap)?;
                frame_size = gap.header.frame_size;
                continue;
            }
        };
        let position = FramePosition { index: record.index, time: record.time };
        let frame = reader.as_mut().filter(|_| !record.is_static).map(|reader| reader.frame(position)).transpose()?;
        let size = frame.as_ref().map_or(frame_size, Frame::size);
        let mut events = analysis.frame(&record, size, frame.as_ref().map(pixels))?;
        let boxes = take_boxes(&mut events);
        if let Some(on_boxes) = on_boxes.as_mut().filter(|_| !boxes.is_empty()) {
            on_boxes(TrackFrame { time: record.time, boxes })?;
        }
        collect(&mut objects, events);
        frames += 1;
    }
    collect(&mut objects, analysis.finish()?);
    Ok(Replay { frames, took: begun.elapsed(), objects, plugins: analysis.report() })
}

/// Removes the objects that the job lost at a gap; returns a decision for each.
fn remove_lost(objects: &mut Vec<ObjectRecord>, gap: &Gap) -> Vec<Event> {
    let lost: HashSet<_> = gap.lost.iter().collect();
    let lost: Vec<_> = objects.extract_if(.., |object| lost.contains(&object.id)).collect();
    let decision = |o: ObjectRecord| {
        let (stage, rule) = (DecisionStage::Objects, "picture lost".to_owned());
        Decision::new(&o.id.object_type, stage, Some(o.id.track), &o.best, "ocellus".to_owned(), rule, String::new())
    };
    lost.into_iter().map(|object| Event::Decision(decision(object))).collect()
}

/// Reader of the source, for filters that read crops.
fn reader(job: &StoredJob, settings: &StreamSettings, interrupt: &Interrupt) -> Result<FrameReader> {
    let Some(file) = job.source() else {
        let reason = "A plugin of these settings reads pictures, and the video's file is not there any more.";
        return Err(Error::new(ErrorKind::Conflict, reason));
    };
    Ok(FrameReader::new(read(Location::File(file), settings, &NetworkPolicy::default())?, interrupt))
}

fn not_processed() -> Error {
    Error::new(ErrorKind::Conflict, "The video was not processed yet.")
}
