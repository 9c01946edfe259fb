//! What follows from the detection log: filters, tracker, best shot, filters, objects.
//!
//! Guarantees: a function of the records that it is given in order, the settings and the plugins; it sees no pixels and
//! no clock. Where a picture will be wanted it says so ([`Event::Best`]) while the frame is at hand. One [`Lane`] for
//! each object type; lanes do not know each other.

use std::collections::BTreeMap;

use ocellus_core::{
    BestShotType, Detection, DetectorSettings, FrameRecord, JobId, ObjectId, ObjectRecord, ObjectType, ShotSummary, Size, StreamSettings,
    Timestamp, TrackId,
};
use ocellus_runtime::{Candidate, Filter, FrameInfo, Moment, Object, PluginError, Plugins, Stage, StreamInfo, Tracker, Verdict};
use serde_json::{Value, json};

/// A track, among all of a job.
pub(crate) type TrackKey = (ObjectType, TrackId);

pub(crate) enum Event {
    /// The frame just given holds the best shot so far of this track, within this box.
    Best(TrackKey),
    /// The track is over and this is what is reported of it.
    Object(Box<ObjectRecord>),
    /// The track is over and nothing is reported.
    Dropped(TrackKey),
}

pub(crate) struct Analysis {
    lanes: Vec<Lane>,
    clock: StreamClock,
}

impl Analysis {
    /// Opens a session of every plugin that the settings name, for frames of `size`, `frame_rate` a second.
    pub(crate) fn open(
        plugins: &Plugins,
        job: JobId,
        settings: &StreamSettings,
        size: Size,
        frame_rate: Option<f64>,
    ) -> Result<Self, PluginError> {
        let lane =
            |(t, d): (&ObjectType, &DetectorSettings)| Lane::open(plugins, job, d, StreamInfo { object_type: t.clone(), size, frame_rate });
        let lanes = settings.active().map(lane).collect::<Result<_, _>>()?;
        let start = settings.use_stream_timestamp.then_some(settings.start_stream_timestamp);
        Ok(Self { lanes, clock: StreamClock { start } })
    }

    /// Takes the next record of the log, of a frame of this size.
    pub(crate) fn frame(&mut self, record: &FrameRecord, size: Size) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        if record.still {
            return Ok(events);
        }
        let now = Now {
            frame: FrameInfo { index: record.index, time: record.time, size, cut: record.cut },
            timestamp: self.clock.timestamp(record),
        };
        for lane in &mut self.lanes {
            let seen = record.seen.iter().find(|(t, _)| *t == lane.object_type).map_or(&[][..], |(_, d)| d);
            lane.frame(&now, seen, &mut events)?;
        }
        Ok(events)
    }

    /// Ends every track that is still open.
    pub(crate) fn finish(&mut self) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        for lane in &mut self.lanes {
            let closed = lane.tracker.finish()?;
            lane.close(&closed, &mut events)?;
        }
        Ok(events)
    }
}

/// What time it is for the user: stream time from `start` (Unix seconds), or the server's clock.
struct StreamClock {
    start: Option<i64>,
}

impl StreamClock {
    fn timestamp(&self, record: &FrameRecord) -> Timestamp {
        let micros = match self.start {
            Some(start) => start.saturating_mul(1_000_000).saturating_add((record.time * 1e6).round() as i64),
            None => record.wall_us,
        };
        Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Where in the stream a frame stands, and in the user's time.
struct Now {
    frame: FrameInfo,
    timestamp: Timestamp,
}

/// A detection and when it was made.
#[derive(Clone)]
struct Shot {
    summary: ShotSummary,
    detection: Detection,
}

impl Shot {
    fn new(now: &Now, detection: &Detection) -> Self {
        let summary = ShotSummary {
            frame: now.frame.index,
            time: now.frame.time,
            timestamp: now.timestamp,
            bbox: detection.rect.to_pixels(now.frame.size),
            score: detection.score,
            quality: detection.quality,
        };
        Self { summary, detection: detection.clone() }
    }

    fn moment(&self) -> Moment<'_> {
        Moment { frame: self.summary.frame, time: self.summary.time, detection: &self.detection }
    }
}

/// One open track.
struct Track {
    first: Shot,
    last: Shot,
    detections: u64,
    /// The best shot so far of those that the filters let represent the track.
    best: Option<Shot>,
    /// What filters noted of the detection that is now the best shot.
    noted: Attributes,
}

type Attributes = Vec<(String, String)>;

/// Drops what a verdict rejects, and hands each verdict's notes to what stays.
fn apply<T>(items: &mut Vec<T>, verdicts: Vec<Verdict>, mut note: impl FnMut(&mut T, Attributes)) {
    let mut verdicts = verdicts.into_iter();
    items.retain_mut(|item| match verdicts.next() {
        Some(Verdict::Reject(_)) => false,
        Some(Verdict::Annotate(more)) => {
            note(item, more);
            true
        }
        Some(Verdict::Keep) | None => true,
    });
}

struct Lane {
    job: JobId,
    object_type: ObjectType,
    tracker: Tracker,
    filters: Vec<Filter>,
    tracks: BTreeMap<TrackId, Track>,
}

impl Lane {
    fn open(plugins: &Plugins, job: JobId, settings: &DetectorSettings, stream: StreamInfo) -> Result<Self, PluginError> {
        let tracker = plugins.tracker(&settings.tracker_type, &tracker_settings(settings), &stream)?;
        let filters = filter_settings(settings).into_iter().map(|(name, s)| plugins.filter(name, &s, &stream)).collect::<Result<_, _>>()?;
        Ok(Self { job, object_type: stream.object_type, tracker, filters, tracks: BTreeMap::new() })
    }

    fn frame(&mut self, now: &Now, seen: &[Detection], events: &mut Vec<Event>) -> Result<(), PluginError> {
        let mut kept: Vec<(Detection, Attributes)> = seen.iter().map(|d| (d.clone(), Vec::new())).collect();
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Detections)) {
            let shown: Vec<Detection> = kept.iter().map(|(d, _)| d.clone()).collect();
            if shown.is_empty() {
                break;
            }
            apply(&mut kept, filter.detections(&now.frame, &shown)?, |(_, noted), more| noted.extend(more));
        }

        let (kept, noted): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        let update = self.tracker.update(&now.frame, &kept)?;
        let mut candidates = Vec::new();
        for ((detection, noted), id) in kept.iter().zip(noted).zip(update.ids) {
            let Some(id) = id else { continue };
            let shot = Shot::new(now, detection);
            let track = self.tracks.entry(id).or_insert_with(|| Track {
                first: shot.clone(),
                last: shot.clone(),
                detections: 0,
                best: None,
                noted: Vec::new(),
            });
            track.last = shot;
            track.detections += 1;
            // The filters need not look at what would not become the best shot anyway.
            if track.best.as_ref().is_none_or(|b| detection.quality > b.detection.quality) {
                candidates.push((id, detection, noted));
            }
        }
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Shots)) {
            if candidates.is_empty() {
                break;
            }
            let shown: Vec<Candidate<'_>> = candidates.iter().map(|(track, detection, _)| Candidate { track: *track, detection }).collect();
            let verdicts = filter.shots(&now.frame, &shown)?;
            apply(&mut candidates, verdicts, |(_, _, noted), more| noted.extend(more));
        }
        for (id, detection, noted) in candidates {
            if let Some(track) = self.tracks.get_mut(&id) {
                (track.best, track.noted) = (Some(Shot::new(now, detection)), noted);
                events.push(Event::Best((self.object_type.clone(), id)));
            }
        }
        self.close(&update.closed, events)
    }

    fn close(&mut self, closed: &[TrackId], events: &mut Vec<Event>) -> Result<(), PluginError> {
        for id in closed {
            // A tracker may open and close a track without ever giving it a detection.
            let Some(track) = self.tracks.remove(id) else { continue };
            events.push(match self.object(*id, track)? {
                Some(object) => Event::Object(Box::new(object)),
                None => Event::Dropped((self.object_type.clone(), *id)),
            });
        }
        Ok(())
    }

    /// What is reported of a track that is over, if anything.
    fn object(&mut self, id: TrackId, track: Track) -> Result<Option<ObjectRecord>, PluginError> {
        let Track { first, last, detections, best, noted: mut attributes } = track;
        let Some(best) = best else { return Ok(None) };
        let shown = Object { track: id, first: first.moment(), last: last.moment(), best: best.moment(), detections, end_of_track: true };
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Objects)) {
            for verdict in filter.objects(&[shown])? {
                match verdict {
                    Verdict::Keep => {}
                    Verdict::Annotate(more) => attributes.extend(more),
                    Verdict::Reject(_) => return Ok(None),
                }
            }
        }
        Ok(Some(ObjectRecord {
            id: ObjectId { job: self.job, object_type: self.object_type.clone(), track: id, shot: 0 },
            bs_type: BestShotType::Overall,
            end_of_track: true,
            landmarks: best.detection.landmarks,
            best: best.summary,
            first: first.summary,
            last: last.summary,
            detections,
            attributes,
        }))
    }
}

fn tracker_settings(s: &DetectorSettings) -> Value {
    json!({
        "overlap_threshold": s.track_overlap_threshold,
        "miss_interval": s.track_miss_interval,
        "max_duration_frames": s.track_max_duration_frames,
        "interpolate_bboxes": s.track_interpolate_bboxes,
    })
}

/// The shipped filters that the settings ask for, in the order in which they see an object.
fn filter_settings(s: &DetectorSettings) -> Vec<(&'static str, Value)> {
    let mut filters =
        vec![("quality", json!({"min": s.filter_min_quality})), ("size", json!({"min": s.filter_min_size, "max": s.filter_max_size}))];
    if let Some(roi) = s.roi {
        filters.push(("roi", json!({"roi": roi.to_string()})));
    }
    if s.filter_track_min_duration_frames > 1 {
        filters.push(("track-length", json!({"min": s.filter_track_min_duration_frames})));
    }
    filters
}
