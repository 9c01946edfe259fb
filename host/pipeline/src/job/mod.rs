//! Run of a job, from its source to its objects.
//!
//! Owns: the order of a job's start, and the outcome of its end. Its parts: [`source`] and
//! [`settings`], the [`stages`] with their threads ([`decode`], [`detect`], [`output`]), and
//! [`resume`] for an interrupted one. Runs by its spec: the video's record is not read. Ends with
//! its source, when its interrupt is raised, or at the first failure; the threads have ended when
//! [`run`] returns.

mod context;
mod decode;
mod detect;
mod measure;
mod output;
mod resume;
mod stages;
mod track_boxes;

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use ocellus_core::{CpuLaps, Error, ErrorKind, JobId, ObjectType, Result, ScoreThresholds, Stage};
use ocellus_detect::Detector;
use ocellus_media::{Decoder, Location, MediaError};
use ocellus_store::{Gap, Job, LogHeader};
use tracing::warn;

pub(crate) use self::context::{Context, Failure, FailureKind};
use self::{
    decode::{Decode, FrameInFlight},
    measure::Measurer,
    output::Output,
    resume::{Archived, Log, Prior},
    stages::Stopped,
    track_boxes::TrackBoxes,
};
use crate::{
    analysis::{Analysis, compares_appearances},
    frame_reader::FrameReader,
    job_spec::Pins,
    recording::RecordingHandle,
    settings, source,
    tracklet::TrackletBuilder,
};

/// Frame rate that is assumed for a live source that declares none.
const DEFAULT_RATE: f64 = 25.0;

/// Outcome of a job that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOutcome {
    EndOfSource,
    /// Its interrupt was raised.
    Interrupted,
}

/// Runs a job from the end of its log to the end of its source.
///
/// `keep_open`: called when the job is interrupted; true leaves open tracks as they are, for the
/// job to be resumed later.
pub(crate) fn run(context: &Context<'_>, keep_open: impl Fn() -> bool) -> Result<JobOutcome, Failure> {
    let settings = &context.spec.stream_settings;
    let types: Vec<ObjectType> = settings.active().map(|(t, _)| t.clone()).collect();
    let detectors = context.detectors.for_types(&types);
    let found: BTreeSet<ObjectType> = detectors.iter().flat_map(|d| d.types().iter().cloned()).collect();
    let installed = found.into_iter().collect::<Vec<_>>();
    settings::check_job(settings, &installed, context.classifiers).map_err(Failure::misconfigured)?;
    log_differences(context);
    let compared = settings
        .active()
        .filter(|(_, s)| compares_appearances(context.plugins, s))
        .map(|(t, _)| t.clone())
        .collect::<Vec<_>>();

    let begun = begin(context, &types, &detectors, &compared);
    let (mut decoder, decode, recording, mut output) = match begun {
        // A source that fails because it was interrupted is not a failure.
        Err(_) if context.interrupt.is_raised() => return Ok(JobOutcome::Interrupted),
        begun => begun?,
    };
    // The frames of a live source cannot be read again: an interrupted job ends there.
    let is_live = decoder.is_live();

    let ended = stages::run(
        detect::in_flight(&detectors),
        |out| {
            decode.run(&mut decoder, out);
            recording.iter().for_each(|r| r.take_from(&mut decoder));
            context.progress.source_read(&decoder);
        },
        |frames, out| detect::begin(&detectors, context.progress, frames, out),
        |item| {
            let (frame, pending): (FrameInFlight, _) = item?;
            output.take(&frame, detect::detections(pending, settings.rot)?)?;
            Ok(if context.interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    );
    let interrupted = context.interrupt.is_raised();
    let flushed = if interrupted && keep_open() && !is_live {
        output.sync()
    } else {
        // A job that a user stops keeps its results.
        output.reader.iter_mut().for_each(FrameReader::ignore_interrupt);
        output.finish()
    };
    output.report_plugins();
    output.laps.lap(Stage::Other);
    let failed = |error| {
        let kind = if output.frames == 0 { FailureKind::NotStarted } else { FailureKind::Interrupted };
        Err(Failure { error, kind })
    };
    match (ended, flushed) {
        (Err(Stopped::Panicked(error)), _) => Err(Failure { error, kind: FailureKind::Interrupted }),
        (Err(Stopped::Failed(_)), _) if interrupted => Ok(JobOutcome::Interrupted),
        (Err(Stopped::Failed(error)), _) | (_, Err(error)) => failed(error),
        (Ok(()), Ok(())) if interrupted => Ok(JobOutcome::Interrupted),
        (Ok(()), Ok(())) if output.frames == 0 => {
            failed(Error::new(ErrorKind::Conflict, "No frame of the video could be decoded."))
        }
        (Ok(()), Ok(())) => Ok(JobOutcome::EndOfSource),
    }
}

/// Logs where the installed components differ from those of the time when the job was requested.
fn log_differences(context: &Context<'_>) {
    let Context { spec, detectors, embedders, classifiers, plugins, .. } = *context;
    let now = Pins::of(&spec.stream_settings, detectors, embedders, classifiers, plugins);
    let differences = spec.pins.differences(&now);
    if !differences.is_empty() {
        let (job, differences) = (context.job.id(), differences.join(", "));
        warn!(
            %job, differences,
            "job {job} runs with other components than those installed when it was requested: {differences}"
        );
    }
}

/// Score thresholds of each type, from the detectors.
fn scores_of(types: &[ObjectType], detectors: &[Arc<Detector>]) -> Vec<(ObjectType, ScoreThresholds)> {
    let scores = |t: &ObjectType| Some((t.clone(), detectors.iter().find(|d| d.types().contains(t))?.scores()));
    types.iter().filter_map(scores).collect()
}

type Begun<'a> = (Decoder, Decode<'a>, Option<RecordingHandle>, Output<'a>);

/// Opens what a job needs, and brings it to the end of its log.
fn begin<'a>(
    context: &'a Context<'a>,
    types: &'a [ObjectType],
    detectors: &'a [Arc<Detector>],
    compared: &'a [ObjectType],
) -> Result<Begun<'a>, Failure> {
    let settings = &context.spec.stream_settings;
    let mut laps = CpuLaps::start(context.progress.cpu());
    let digests = compared.iter().filter_map(|t| context.embedders.for_type(t)).map(|e| (e.name(), e.digest()));
    let digests = detectors.iter().map(|d| (d.name(), d.digest())).chain(digests);
    let digests: Vec<_> = digests.map(|(n, d)| (n.to_owned(), d.to_owned())).collect();
    // Before the source is opened, since a camera would have to wait.
    let prior = resume::prior(context, &digests)?;
    if let Prior::Log(log) = &prior {
        // Shown even if the source cannot be opened.
        context.progress.resume(&log.replayed.known, context.job.counts());
    }
    laps.lap(Stage::Plugins);

    let mut decoder = match Decoder::open(&context.input, context.interrupt) {
        Ok(decoder) => decoder,
        Err(error @ MediaError::Refused { .. }) => return Err(Failure::misconfigured(error)),
        Err(error) => return Err(Failure::not_started(error)),
    };
    laps.lap(Stage::Decode);
    let recording = context.recording.map(|r| r.attach(&mut decoder)).transpose().map_err(Failure::not_started)?;
    let info = decoder.info().clone();
    context.progress.opened(&info);
    let header = LogHeader {
        frame_size: info.size,
        frame_rate: info.frame_rate,
        types: types.to_vec(),
        detectors: digests,
        scores: scores_of(types, detectors),
    };
    let header_scores = header.scores.clone();
    // A URL without a known duration is a live source, which sets the pace itself.
    let is_paced = matches!(context.input.location, Location::Url(_)) && info.duration.is_none();
    let mut decode = Decode::new(settings, detectors, context.progress, context.interrupt, is_paced);
    let measurer = Measurer::new(context.embedders, types, compared, &header);
    let output = |job, writer, mut analysis: Analysis, boxes: TrackBoxes, reader, laps, frames| {
        analysis.follow_canaries();
        if boxes.are_kept() {
            analysis.report_boxes();
        }
        Output {
            context,
            job,
            boxes,
            measurer,
            writer,
            tracklets: TrackletBuilder::new(context.embedders, types, compared, &header_scores),
            analysis,
            reader,
            laps,
            frames,
            state: output::State::default(),
        }
    };
    let reader = || FrameReader::new(context.input.clone(), context.interrupt);
    laps.lap(Stage::Other);

    let log = match prior {
        Prior::Log(log)
            if decoder.is_live() || can_continue(context, &log, &header).map_err(Failure::interrupted)? =>
        {
            Ok(log)
        }
        Prior::Fresh => Err(context.job.clone()),
        Prior::Log(_) | Prior::Mismatch => Err(restart(context).map_err(Failure::not_started)?),
    };
    let output = match log {
        Err(job) => {
            let writer = job.begin_detections(&header).map_err(Failure::not_started)?;
            let rule = context.spec.shot_rule;
            let analysis = Analysis::open(context.plugins, job.id(), settings, rule, &header, false)
                .map_err(Failure::misconfigured)?;
            laps.lap(Stage::Plugins);
            let boxes = TrackBoxes::begin(&job);
            output(job, writer, analysis, boxes, (!decoder.is_live()).then(reader), laps, 0)
        }
        Ok(log) => {
            let Log { writer, last, replayed, boxes, .. } = *log;
            let job = context.job.clone();
            let frames = replayed.known.frames();
            if decoder.is_live() {
                let gap =
                    Gap { header, wall_us: context.clock.now().as_microsecond(), tracks: Vec::new(), lost: Vec::new() };
                decoder.go_on(last.index + 1, last.time + 1.0 / info.frame_rate.unwrap_or(DEFAULT_RATE));
                let mut output =
                    output(job, writer, replayed.analysis, TrackBoxes::none(context.job), None, laps, frames);
                output.resume_after_gap(replayed.unarchived, gap).map_err(Failure::interrupted)?;
                output
            } else {
                let mut reader = reader();
                let frames_before = source::skip_to(
                    &mut decoder,
                    &context.input,
                    context.interrupt,
                    &replayed.tail,
                    recording.is_none(),
                );
                laps.lap(Stage::Decode);
                let detected = frames_before
                    .and_then(|frames| replayed.last_detected(&frames, &mut reader))
                    .map_err(Failure::interrupted)?;
                for frame in detected {
                    decode.follow(&frame, &mut laps).map_err(Failure::interrupted)?;
                }
                reader.close();
                let mut output = output(job, writer, replayed.analysis, boxes, Some(reader), laps, frames);
                output.catch_up(replayed.unarchived).map_err(Failure::interrupted)?;
                output
            }
        }
    };
    Ok((decoder, decode, recording, output))
}

/// Whether the job can continue: the archive's objects are those derived from the log, and later
/// frames would change none of them.
fn can_continue(context: &Context<'_>, log: &Log, now: &LogHeader) -> Result<bool> {
    if log.header != *now {
        return Ok(false);
    }
    if !log.has_ended {
        return Ok(log.replayed.archive == Archived::Agrees);
    }
    // Tracks that were reported as ended must not continue: the source has to be at its end.
    let mut decoder = Decoder::open(&context.input, context.interrupt)?;
    source::skip_to(&mut decoder, &context.input, context.interrupt, &log.replayed.tail, true)?;
    match decoder.next_frame() {
        Ok(Some(_)) => Ok(false),
        Ok(None) | Err(MediaError::BrokenOff { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Replaces the job by a new one; none of its results can be used.
fn restart(context: &Context<'_>) -> Result<Job> {
    let old = context.job.id();
    if let Some(outbox) = context.outbox {
        outbox.withdraw(old.video);
    }
    let restarted = context.archive.restart_job(context.job);
    let job = match restarted {
        Ok(job) => job,
        Err(error) => {
            // The job that the record names now is the one that ends.
            if let Some(now) = context.archive.video(old.video).ok().flatten() {
                (context.restarted)(JobId { number: now.job, ..old });
            }
            if let Some(outbox) = context.outbox {
                outbox.resume(old.video);
            }
            return Err(error.into());
        }
    };
    let new = job.id();
    (context.restarted)(new);
    context.progress.reset();
    warn!(
        %old, %new,
        "job {old} is restarted from the beginning as job {new}: it would now make other objects than before"
    );
    Ok(job)
}
