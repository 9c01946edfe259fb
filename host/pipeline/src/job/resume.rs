//! Resumption of an interrupted job.
//!
//! Its log goes through the analysis again, without pixels, thousands of frames a second; then the
//! source continues after the last frame. That is only correct if nothing has changed, which is
//! checked without any further state: the objects in the archive have to equal those derived from
//! the log now, one by one. Where they do not, because a plugin was replaced meanwhile, or where
//! the detectors differ, the job restarts under a new number. Continuing would give an id that was
//! posted already to another object, or withhold an object whose id is taken.
//!
//! A live source has each frame only once: there a [`Gap`](ocellus_store::Gap) ends all tracks, and
//! nothing is discarded.

use std::collections::VecDeque;

use ocellus_core::{FrameRecord, ObjectRecord, Result};
use ocellus_media::{Frame, Location, MediaError};
use ocellus_store::{DetectionRecord, DetectionWriter, Job, LogHeader, ResumePoint, StoreError};
use tracing::info;

use super::{
    context::{Context, Failure},
    track_boxes::TrackBoxes,
};
use crate::{
    analysis::{Analysis, Event, take_boxes},
    frame_reader::FrameReader,
    pictures::pixels,
    progress::LoggedProgress,
    source::FramePosition,
};

/// Number of the log's last frames that the source has to reproduce before the job continues.
const CHECKED: usize = 16;

/// State of a job before a run.
pub(super) enum Prior {
    /// Nothing was logged.
    Fresh,
    /// A log that can be continued, as far as can be told without the source.
    Log(Box<Log>),
    /// A log or objects that differ from those that the job would make now.
    Mismatch,
}

/// A log, and the result of its analysis.
pub(super) struct Log {
    pub writer: DetectionWriter,
    /// Header for the frames after its last gap.
    pub header: LogHeader,
    pub last: FrameRecord,
    pub replayed: Replayed,
    /// The boxes of the tracks up to there; none where the log has a gap.
    pub boxes: TrackBoxes,
    /// Whether the tracks that are open after the last frame were reported: the job had come to its
    /// end, and only its status was not written.
    pub has_ended: bool,
}

/// Result of the analysis of a log.
pub(super) struct Replayed {
    pub analysis: Analysis,
    pub known: LoggedProgress,
    /// Objects that are derived from the log and are not in the archive.
    pub unarchived: Vec<Event>,
    /// Comparison of the archive's objects with those derived from the log.
    pub archive: Archived,
    /// The last frames, in order.
    pub tail: Vec<FramePosition>,
    /// The last two frames that detectors got, in order; those after them are static.
    detected: Vec<FramePosition>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// Comparison of the archive's objects with those derived from the log.
pub(super) enum Archived {
    /// The archive has no other objects.
    Agrees,
    /// The archive has these objects, and more.
    Ahead,
    /// The archive has other objects instead.
    Differs,
}

impl Replayed {
    /// The last two frames that detectors got, from the `frames` of the tail or from the source.
    pub(super) fn last_detected(&self, frames: &[Frame], reader: &mut FrameReader) -> Result<Vec<Frame>> {
        let frame = |position: &FramePosition| match frames.iter().find(|frame| frame.index() == position.index) {
            Some(frame) => Ok(frame.clone()),
            None => reader.frame(*position),
        };
        self.detected.iter().map(frame).collect()
    }
}

/// State of the job before this run. `detectors`: names and digests of the current networks.
pub(super) fn prior(context: &Context<'_>, detectors: &[(String, String)]) -> Result<Prior, Failure> {
    let (job, failed) = (context.job, |e: StoreError| Failure::interrupted(e));
    let is_file = is_file(context);
    let written = match job.resume_detections() {
        // The frames of a file can be analysed again.
        Err(StoreError::Damaged { path, reason }) if is_file => {
            tracing::warn!(
                job = %job.id(),
                "job {} starts over: {} cannot be read: {reason}",
                job.id(), path.display()
            );
            return Ok(Prior::Mismatch);
        }
        written => written.map_err(failed)?,
    };
    let empty = if job.counts().is_empty() { Prior::Fresh } else { Prior::Mismatch };
    let Some((writer, ResumePoint { header, gaps, last: Some(last) })) = written else { return Ok(empty) };
    if is_file && header.detectors != detectors {
        return Ok(Prior::Mismatch);
    }
    info!(job = %job.id(), frames = last.index + 1, "job {} resumes after frame {}", job.id(), last.index);
    // Frames before a gap are not analysed.
    let mut boxes = if gaps == 0 { TrackBoxes::begin(job) } else { TrackBoxes::none(job) };
    let replayed = replay(context, &header, gaps, Until::Last(&mut boxes))?;
    boxes.show();
    let has_ended =
        replayed.archive == Archived::Ahead && replay(context, &header, gaps, Until::End)?.archive == Archived::Agrees;
    Ok(Prior::Log(Box::new(Log { writer, header, last, replayed, boxes, has_ended })))
}

/// Whether every frame can be read again.
fn is_file(context: &Context<'_>) -> bool {
    matches!(context.input.location, Location::File(_))
}

/// How far a log is analysed.
enum Until<'a> {
    /// To its last frame; tracks remain open. Their boxes are kept.
    Last(&'a mut TrackBoxes),
    /// To its last frame, with which all tracks end.
    End,
}

/// Runs the log through the analysis. Frames before its last gap are only counted.
fn replay(context: &Context<'_>, header: &LogHeader, gaps: u64, until: Until<'_>) -> Result<Replayed, Failure> {
    let (job, spec) = (context.job, context.spec);
    let mut analysis = Analysis::open(context.plugins, job.id(), &spec.stream_settings, spec.shot_rule, header, false)
        .map_err(Failure::misconfigured)?;
    if matches!(&until, Until::Last(boxes) if boxes.are_kept()) {
        analysis.report_boxes();
    }
    follow(context, header, gaps, until, analysis).map_err(Failure::interrupted)
}

fn follow(
    context: &Context<'_>,
    header: &LogHeader,
    gaps: u64,
    mut until: Until<'_>,
    mut analysis: Analysis,
) -> Result<Replayed> {
    let (job, is_file) = (context.job, is_file(context));
    let mut reader = reader(context, &analysis)?;
    let mut objects =
        Objects { archived: job.objects()?, from_start: gaps == 0, unarchived: Vec::new(), differ: false };
    let (mut known, mut detected, mut tail) = (LoggedProgress::default(), Vec::new(), VecDeque::with_capacity(CHECKED));
    let mut ahead = gaps;
    for logged in job.detections()?.into_iter().flatten() {
        if context.interrupt.is_raised() {
            return Err(MediaError::Interrupted.into());
        }
        if objects.differ && is_file {
            break;
        }
        let record = match logged? {
            DetectionRecord::Frame(record) => record,
            DetectionRecord::Gap(gap) => {
                ahead = ahead.saturating_sub(1);
                if ahead == 0 {
                    analysis.resume_after(&gap)?;
                }
                continue;
            }
        };
        known.add(&record);
        if ahead > 0 {
            continue;
        }
        let position = FramePosition { index: record.index, time: record.time };
        if tail.len() == CHECKED {
            tail.pop_front();
        }
        tail.push_back(position);
        if !record.is_static {
            if detected.len() > 1 {
                detected.remove(0);
            }
            detected.push(position);
        }
        let frame = reader.as_mut().filter(|_| !record.is_static).map(|reader| reader.frame(position)).transpose()?;
        let size = frame.as_ref().map_or(header.frame_size, Frame::size);
        let mut events = analysis.frame(&record, size, frame.as_ref().map(pixels))?;
        if let Until::Last(boxes) = &mut until {
            boxes.add(record.time, take_boxes(&mut events));
        }
        objects.compare(job, events)?;
    }
    if matches!(until, Until::End) {
        objects.compare(job, analysis.finish()?)?;
    }
    let archive = match objects.archived.next() {
        _ if objects.differ => Archived::Differs,
        // Every archived object is derived from a part of the log that was on the disk before it.
        Some(_) if objects.from_start => Archived::Ahead,
        _ => Archived::Agrees,
    };
    Ok(Replayed { analysis, known, unarchived: objects.unarchived, archive, tail: tail.into(), detected })
}

/// Reader of the source, for filters that read crops. A live source has none: the verdicts of such
/// filters cannot be reproduced.
fn reader(context: &Context<'_>, analysis: &Analysis) -> Result<Option<FrameReader>> {
    if !analysis.reads_crops() {
        return Ok(None);
    }
    let mut reader = FrameReader::new(context.input.clone(), context.interrupt);
    Ok(if is_file(context) || !reader.is_live()? { Some(reader) } else { None })
}

/// Comparison of the archive's objects with those derived from the log.
struct Objects<I> {
    archived: I,
    /// Whether all objects of the job are compared.
    from_start: bool,
    unarchived: Vec<Event>,
    differ: bool,
}

impl<I: Iterator<Item = Result<ObjectRecord, StoreError>>> Objects<I> {
    fn compare(&mut self, job: &Job, events: Vec<Event>) -> Result<()> {
        for event in events {
            let object = match event {
                Event::Object(object) => object,
                Event::Samples(..) => {
                    self.unarchived.push(event);
                    continue;
                }
                _ => continue,
            };
            if !job.has_object(&object.id) {
                self.unarchived.push(Event::Object(object));
                continue;
            }
            // Samples come before their object.
            self.unarchived.pop_if(|last| matches!(last, Event::Samples(..)));
            if self.from_start {
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
