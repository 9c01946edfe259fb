//! Taking a job up again that was cut off.
//!
//! What its log holds goes through the analysis once more, without pixels, thousands of frames a
//! second; the source is then gone on with behind the last frame. That is only right where
//! everything is as it was, and nothing has to be remembered for that: the objects in the archive
//! have to be those that follow from the log now, one by one. Where they are not, because a plugin
//! was replaced meanwhile, or where the detectors are others, the job begins anew, under a new
//! number. Going on would give an id that was posted already to something else, or hold back what
//! has the id of something else.
//!
//! A live source cannot be seen again: there a [`Gap`](ocellus_store::Gap) ends what was, and
//! nothing is thrown away.

use std::collections::VecDeque;

use ocellus_core::{FrameRecord, ObjectRecord, Result};
use ocellus_media::{Frame, Location, MediaError};
use ocellus_store::{DetectionWriter, Job, LogHeader, Logged, StoreError, Written};
use tracing::info;

use super::{Context, Failure, interrupted, misconfigured};
use crate::{
    analysis::{Analysis, Event},
    frame_reader::{FrameReader, Place},
    pictures::pixels,
    progress::LoggedProgress,
};

/// So many of the last frames have to come out of the source as they are in the log, before it is
/// gone on with.
const CHECKED: usize = 16;

/// What there is of a job when it begins.
pub(super) enum Before {
    /// Nothing.
    Fresh,
    /// A log that can be gone on with, as far as can be told without the source.
    Log(Box<Log>),
    /// A log or objects that do not fit what would be made now.
    Misfit,
}

/// A log, and what follows from it.
pub(super) struct Log {
    pub writer: DetectionWriter,
    /// What the frames behind its last gap were seen with.
    pub header: LogHeader,
    pub last: FrameRecord,
    pub replayed: Replayed,
    /// The tracks that are open behind the last frame were reported: the job had come to an end,
    /// though nobody was told.
    pub over: bool,
}

/// What the frames of a log come to.
pub(super) struct Replayed {
    pub analysis: Analysis,
    pub known: LoggedProgress,
    /// Objects that follow and are not in the archive.
    pub unarchived: Vec<ObjectRecord>,
    /// How the archive's objects compare with those that follow.
    pub archive: Archived,
    /// The last frames, in order.
    pub tail: Vec<Place>,
    /// The last frame that was looked at, unlike those after it in which nothing moved.
    looked_at: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Archived {
    /// It has none but those.
    Agrees,
    /// It has them, and more.
    Ahead,
    /// It has others.
    Differs,
}

impl Replayed {
    /// The last frame that was looked at, among the `frames` of the tail or from the source.
    pub(super) fn looked_at(&self, frames: &[Frame], reader: &mut FrameReader) -> Result<Option<Frame>> {
        let Some(place) = self.looked_at else { return Ok(None) };
        match frames.iter().find(|frame| frame.index() == place.index) {
            Some(frame) => Ok(Some(frame.clone())),
            None => reader.frame(place).map(Some),
        }
    }
}

/// What there is of the job. `detectors`: by name and digest, what looks at its frames now.
pub(super) fn before(context: &Context<'_>, detectors: &[(String, String)]) -> Result<Before, Failure> {
    let (job, failed) = (context.job, |e: StoreError| interrupted(e.into()));
    let is_file = is_file(context);
    let written = match job.resume_detections() {
        // What a file shows can be found again.
        Err(StoreError::Damaged { path, reason }) if is_file => {
            tracing::warn!(job = %job.id(), "job {} begins anew: {} cannot be read: {reason}", job.id(), path.display());
            return Ok(Before::Misfit);
        }
        written => written.map_err(failed)?,
    };
    let empty = if job.counts().is_empty() { Before::Fresh } else { Before::Misfit };
    let Some((writer, Written { header, gaps, last: Some(last) })) = written else { return Ok(empty) };
    if is_file && header.detectors != detectors {
        return Ok(Before::Misfit);
    }
    info!(job = %job.id(), frames = last.index + 1, "job {} resumes after frame {}", job.id(), last.index);
    let replayed = replay(context, &header, gaps, false)?;
    let over = replayed.archive == Archived::Ahead && replay(context, &header, gaps, true)?.archive == Archived::Agrees;
    Ok(Before::Log(Box::new(Log { writer, header, last, replayed, over })))
}

/// Whatever it shows can be seen again.
fn is_file(context: &Context<'_>) -> bool {
    matches!(context.input.location, Location::File(_))
}

/// Takes the records of the log through the analysis. All that was before its last gap is over, and
/// only counted. `finish`: the tracks that are open behind the last frame end there.
fn replay(context: &Context<'_>, header: &LogHeader, gaps: u64, finish: bool) -> Result<Replayed, Failure> {
    let (job, settings) = (context.job, &context.spec.stream_settings);
    let analysis = Analysis::open(context.plugins, job.id(), settings, header.frame_size, header.frame_rate, false)
        .map_err(misconfigured)?;
    follow(context, header, gaps, finish, analysis).map_err(interrupted)
}

fn follow(
    context: &Context<'_>,
    header: &LogHeader,
    gaps: u64,
    finish: bool,
    mut analysis: Analysis,
) -> Result<Replayed> {
    let (job, is_file) = (context.job, is_file(context));
    let mut reader = reader(context, &analysis)?;
    let mut objects =
        Objects { archived: job.objects()?, from_start: gaps == 0, unarchived: Vec::new(), differ: false };
    let (mut known, mut looked_at, mut tail) = (LoggedProgress::default(), None, VecDeque::with_capacity(CHECKED));
    let mut ahead = gaps;
    for logged in job.detections()?.into_iter().flatten() {
        if context.interrupt.is_raised() {
            return Err(MediaError::Interrupted.into());
        }
        if objects.differ && is_file {
            break;
        }
        let record = match logged? {
            Logged::Frame(record) => record,
            Logged::Gap(gap) => {
                ahead = ahead.saturating_sub(1);
                if ahead == 0 {
                    analysis.go_on_behind(&gap)?;
                }
                continue;
            }
        };
        known.add(&record);
        if ahead > 0 {
            continue;
        }
        let place = Place { index: record.index, time: record.time };
        if tail.len() == CHECKED {
            tail.pop_front();
        }
        tail.push_back(place);
        if !record.still {
            looked_at = Some(place);
        }
        let seen = reader.as_mut().filter(|_| !record.still).map(|reader| reader.frame(place)).transpose()?;
        let size = seen.as_ref().map_or(header.frame_size, Frame::size);
        objects.compare(job, analysis.frame(&record, size, seen.as_ref().map(pixels))?)?;
    }
    if finish {
        objects.compare(job, analysis.finish()?)?;
    }
    let archive = match objects.archived.next() {
        _ if objects.differ => Archived::Differs,
        // Whatever is in the archive follows from a part of the log that was on the disk before.
        Some(_) if objects.from_start => Archived::Ahead,
        _ => Archived::Agrees,
    };
    Ok(Replayed { analysis, known, unarchived: objects.unarchived, archive, tail: tail.into(), looked_at })
}

/// The source once more, for filters that read pictures. A live source does not show again what
/// they wanted to see of it; what they said of it is not known, then.
fn reader(context: &Context<'_>, analysis: &Analysis) -> Result<Option<FrameReader>> {
    if !analysis.reads_crops() {
        return Ok(None);
    }
    let mut reader = FrameReader::new(context.input.clone(), context.interrupt);
    Ok(if is_file(context) || !reader.is_live()? { Some(reader) } else { None })
}

/// The archive's objects, beside those that follow from the log.
struct Objects<I> {
    archived: I,
    /// All objects of the job are compared.
    from_start: bool,
    unarchived: Vec<ObjectRecord>,
    differ: bool,
}

impl<I: Iterator<Item = Result<ObjectRecord, StoreError>>> Objects<I> {
    fn compare(&mut self, job: &Job, events: Vec<Event>) -> Result<()> {
        for event in events {
            let Event::Object(object) = event else { continue };
            if !job.knows(&object.id) {
                self.unarchived.push(*object);
            } else if self.from_start {
                let archived = self.archived.next().transpose()?;
                // Numbers are compared as they are written.
                let written: Option<ObjectRecord> =
                    serde_json::to_string(&object).and_then(|text| serde_json::from_str(&text)).ok();
                self.differ |= archived != written;
            }
        }
        Ok(())
    }
}
