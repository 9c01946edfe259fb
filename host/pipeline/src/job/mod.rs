//! One job, from its source to its objects.
//!
//! Owns: the order in which a job comes to life, and what its end is called. What it is made of:
//! [`source`] and [`settings`], the [`stages`] with their threads ([`decode`], [`detect`],
//! [`output`]), and [`resume`] for one that was cut off. Runs by its spec: the video's record is
//! not looked at. Ends when the source does, when its [`Interrupt`] is raised, or at the first
//! failure; the threads are gone when [`run`] returns.

mod decode;
mod detect;
mod output;
mod resume;
mod settings;
mod source;
mod stages;

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use ocellus_core::{Clock, CpuLaps, Error, ErrorKind, JobId, ObjectType, Result, Stage};
use ocellus_detect::{Detector, Detectors, Embedders};
use ocellus_media::{Decoder, Input, Interrupt, Location, MediaError};
use ocellus_runtime::Plugins;
use ocellus_store::{Archive, Gap, Job, LogHeader};
use tracing::warn;

pub use self::settings::settings_schema;
pub(crate) use self::source::{input, read};
use self::{
    decode::{Decode, FrameInFlight},
    output::Output,
    resume::{Archived, Before, Log},
    stages::Stopped,
};
use crate::{
    analysis::{Analysis, compares_appearances},
    frame_reader::FrameReader,
    job_spec::{JobSpec, Pins},
    outbox::Outbox,
    progress::Progress,
    recording::{Recording, RecordingHandle},
};

/// Assumed for a live source that does not say how many frames it shows a second.
const DEFAULT_RATE: f64 = 25.0;

/// What a job works with.
pub(crate) struct Context<'a> {
    pub job: &'a Job,
    pub spec: &'a JobSpec,
    pub archive: &'a Archive,
    /// Told the number under which the job goes on where it had to begin anew.
    pub begun_anew: &'a (dyn Fn(JobId) + Sync),
    pub input: Input,
    pub detectors: &'a Detectors,
    pub embedders: &'a Embedders,
    pub plugins: &'a Plugins,
    pub clock: &'a dyn Clock,
    pub interrupt: &'a Interrupt,
    pub progress: &'a Progress,
    /// Keeps the source, where that is asked for.
    pub recording: Option<&'a Recording>,
    /// Where new objects go to be delivered; `None` without a router.
    pub outbox: Option<&'a Outbox>,
}

/// Why a job that did not fail came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobOutcome {
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

fn misconfigured(error: impl Into<Error>) -> Failure {
    Failure { error: error.into(), kind: FailureKind::Misconfigured }
}

fn not_started(error: impl Into<Error>) -> Failure {
    Failure { error: error.into(), kind: FailureKind::NotStarted }
}

/// Runs a job, behind what its log already holds, to the end of its source.
///
/// `keep_open`: asked when the job is interrupted; true leaves open tracks as they are, for the job
/// to go on later.
pub(crate) fn run(context: &Context<'_>, keep_open: impl Fn() -> bool) -> Result<JobOutcome, Failure> {
    let settings = &context.spec.stream_settings;
    let types: Vec<ObjectType> = settings.active().map(|(t, _)| t.clone()).collect();
    let detectors = context.detectors.for_types(&types);
    let found: BTreeSet<ObjectType> = detectors.iter().flat_map(|d| d.types().iter().cloned()).collect();
    settings::check_job(settings, &found.into_iter().collect::<Vec<_>>()).map_err(misconfigured)?;
    tell_differences(context);
    let compared = settings
        .active()
        .filter(|(_, s)| compares_appearances(context.plugins, s))
        .map(|(t, _)| t.clone())
        .collect::<Vec<_>>();

    let begun = begin(context, &types, &detectors, &compared);
    let (mut decoder, decode, recording, mut output) = match begun {
        // A source that fails because it was told to is no failure.
        Err(_) if context.interrupt.is_raised() => return Ok(JobOutcome::Interrupted),
        begun => begun?,
    };
    // A stream of which nobody will see again what it shows now is at its end.
    let is_live = decoder.is_live();

    let ended = stages::run(
        detect::under_way(&detectors),
        |out| {
            decode.run(&mut decoder, out);
            recording.iter().for_each(|r| r.take_from(&mut decoder));
            context.progress.update(|s| s.decoding_soft_errors = decoder.soft_errors());
        },
        |frames, out| detect::show(&detectors, context.progress, frames, out),
        |item| {
            let (shown, looking): (FrameInFlight, _) = item?;
            output.take(&shown, detect::seen(looking, settings.rot)?)?;
            Ok(if context.interrupt.is_raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        },
    );
    let interrupted = context.interrupt.is_raised();
    let flushed = if interrupted && keep_open() && !is_live {
        output.sync()
    } else {
        // Who stops a job keeps what it found.
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

/// Says where the job does not run with what was installed when it was asked for.
fn tell_differences(context: &Context<'_>) {
    let now = Pins::of(&context.spec.stream_settings, context.detectors, context.embedders, context.plugins);
    let differences = context.spec.pins.differences(&now);
    if !differences.is_empty() {
        let (job, differences) = (context.job.id(), differences.join(", "));
        warn!(%job, differences, "job {job} runs with other components than it was asked for with: {differences}");
    }
}

type Begun<'a> = (Decoder, Decode<'a>, Option<RecordingHandle>, Output<'a>);

/// Opens what a job needs, and takes it to where its log ends.
fn begin<'a>(
    context: &'a Context<'a>,
    types: &'a [ObjectType],
    detectors: &'a [Arc<Detector>],
    compared: &'a [ObjectType],
) -> Result<Begun<'a>, Failure> {
    let settings = &context.spec.stream_settings;
    let mut laps = CpuLaps::start(context.progress.cpu());
    let looking = compared.iter().filter_map(|t| context.embedders.for_type(t)).map(|e| (e.name(), e.digest()));
    let looking = detectors.iter().map(|d| (d.name(), d.digest())).chain(looking);
    let looking: Vec<_> = looking.map(|(n, d)| (n.to_owned(), d.to_owned())).collect();
    // Before the source is opened: a camera would have to wait.
    let before = resume::before(context, &looking)?;
    if let Before::Log(log) = &before {
        // Whatever becomes of the source.
        context.progress.go_on(&log.replayed.known, context.job.counts());
    }
    laps.lap(Stage::Plugins);

    let mut decoder = match Decoder::open(&context.input, context.interrupt) {
        Ok(decoder) => decoder,
        Err(error @ MediaError::Refused { .. }) => return Err(misconfigured(error)),
        Err(error) => return Err(not_started(error)),
    };
    laps.lap(Stage::Decode);
    let recording = context.recording.map(|r| r.attach(&mut decoder)).transpose().map_err(not_started)?;
    let info = decoder.info().clone();
    context.progress.opened(&info);
    let header =
        LogHeader { frame_size: info.size, frame_rate: info.frame_rate, types: types.to_vec(), detectors: looking };
    // A stream of which nobody knows where it ends brings its own pace.
    let brings_pace = matches!(context.input.location, Location::Url(_)) && info.duration.is_none();
    let mut decode = Decode::new(settings, detectors, context.progress, context.interrupt, brings_pace);
    let output = |job, writer, mut analysis: Analysis, reader, laps, frames| {
        analysis.follow_candidates();
        Output {
            context,
            job,
            types,
            compared,
            writer,
            analysis,
            reader,
            laps,
            frames,
            state: output::State::default(),
        }
    };
    let reader = || FrameReader::new(context.input.clone(), context.interrupt);
    laps.lap(Stage::Other);

    let log = match before {
        Before::Log(log) if decoder.is_live() || goes_on(context, &log, &header).map_err(interrupted)? => Ok(log),
        Before::Fresh => Err(context.job.clone()),
        Before::Log(_) | Before::Misfit => Err(begin_anew(context).map_err(not_started)?),
    };
    let output = match log {
        Err(job) => {
            let writer = job.begin_detections(&header).map_err(not_started)?;
            let analysis = Analysis::open(context.plugins, job.id(), settings, info.size, info.frame_rate, false)
                .map_err(misconfigured)?;
            laps.lap(Stage::Plugins);
            output(job, writer, analysis, (!decoder.is_live()).then(reader), laps, 0)
        }
        Ok(log) => {
            let Log { writer, last, replayed, .. } = *log;
            let job = context.job.clone();
            let frames = replayed.known.frames();
            if decoder.is_live() {
                let gap =
                    Gap { header, wall_us: context.clock.now().as_microsecond(), tracks: Vec::new(), lost: Vec::new() };
                decoder.go_on(last.index + 1, last.time + 1.0 / info.frame_rate.unwrap_or(DEFAULT_RATE));
                let mut output = output(job, writer, replayed.analysis, None, laps, frames);
                output.go_on_behind_gap(replayed.unarchived, gap).map_err(interrupted)?;
                output
            } else {
                let mut reader = reader();
                let seen = source::go_behind(
                    &mut decoder,
                    &context.input,
                    context.interrupt,
                    &replayed.tail,
                    recording.is_none(),
                );
                laps.lap(Stage::Decode);
                let looked_at =
                    seen.and_then(|frames| replayed.looked_at(&frames, &mut reader)).map_err(interrupted)?;
                if let Some(frame) = looked_at {
                    decode.follow(&frame, &mut laps).map_err(interrupted)?;
                }
                reader.rest();
                let mut output = output(job, writer, replayed.analysis, Some(reader), laps, frames);
                output.catch_up(replayed.unarchived).map_err(interrupted)?;
                output
            }
        }
    };
    Ok((decoder, decode, recording, output))
}

/// Whether what follows from a log, and from what comes behind it, is what the archive has and will
/// get.
fn goes_on(context: &Context<'_>, log: &Log, now: &LogHeader) -> Result<bool> {
    if log.header != *now {
        return Ok(false);
    }
    if !log.over {
        return Ok(log.replayed.archive == Archived::Agrees);
    }
    // Tracks that were reported as over must not go on: there may be nothing left to be seen.
    let mut decoder = Decoder::open(&context.input, context.interrupt)?;
    source::go_behind(&mut decoder, &context.input, context.interrupt, &log.replayed.tail, true)?;
    match decoder.next_frame() {
        Ok(Some(_)) => Ok(false),
        Ok(None) | Err(MediaError::BrokenOff { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A failure of a job that has seen frames.
fn interrupted(error: Error) -> Failure {
    Failure { error, kind: FailureKind::Interrupted }
}

/// A job in place of the present one, of which nothing can be used.
fn begin_anew(context: &Context<'_>) -> Result<Job> {
    let old = context.job.id();
    if let Some(outbox) = context.outbox {
        outbox.withdraw(old.video);
    }
    let restarted = context.archive.restart_job(context.job);
    let job = match restarted {
        Ok(job) => job,
        Err(error) => {
            // Which of the two the record names now is the one that ends.
            if let Some(now) = context.archive.video(old.video).ok().flatten() {
                (context.begun_anew)(JobId { number: now.job, ..old });
            }
            if let Some(outbox) = context.outbox {
                outbox.take_up(old.video);
            }
            return Err(error.into());
        }
    };
    let new = job.id();
    (context.begun_anew)(new);
    context.progress.begin_anew();
    warn!(%old, %new, "job {old} is restarted from the beginning as job {new}: it would make other objects now than those it made before");
    Ok(job)
}
