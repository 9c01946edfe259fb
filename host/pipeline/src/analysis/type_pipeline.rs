//! Pipeline of one object type: filter, associate, select, report.

use std::collections::BTreeMap;

use ocellus_core::{
    BestShotType, Detection, DetectorSettings, JobId, ObjectId, ObjectRecord, ObjectType, ScoreThresholds, ShotSummary,
    TrackId,
};
use ocellus_runtime::{
    Candidate, FilterSlot, Object, PluginError, Plugins, Rejection, Stage, StreamInfo, TrackerSlot, Verdict,
};
use serde_json::{Value, json};

use super::{
    calls::{FilterCalls, TrackerCalls},
    decision::{Decision, DecisionStage},
    event::{Event, Role},
    plugins::{MIN_SCORE, filter_settings, tracker_settings},
    track::{AnnotatedShot, Attributes, Now, Realtime, Reporting, Shot, Track, beats},
};

/// Splits items by their verdicts into those kept, annotated, and those rejected.
fn apply<T>(
    items: Vec<T>,
    verdicts: Vec<Verdict>,
    annotate: impl Fn(&mut T, Attributes),
) -> (Vec<T>, Vec<(T, Rejection)>) {
    let (mut kept, mut dropped) = (Vec::with_capacity(items.len()), Vec::new());
    for (mut item, verdict) in items.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Reject(rejection) => {
                dropped.push((item, rejection));
                continue;
            }
            Verdict::Annotate(more) => annotate(&mut item, more),
            Verdict::Keep => {}
        }
        kept.push(item);
    }
    (kept, dropped)
}

/// Records what was dropped, where that is asked for.
pub(super) struct DecisionRecorder {
    pub(super) object_type: ObjectType,
    pub(super) asked: bool,
}

impl DecisionRecorder {
    fn record(
        &self,
        events: &mut Vec<Event>,
        stage: DecisionStage,
        track: Option<TrackId>,
        shot: &ShotSummary,
        plugin: &str,
        why: Rejection,
    ) {
        if self.asked {
            let Rejection { rule, value } = why;
            events.push(Event::Decision(Decision::new(
                &self.object_type,
                stage,
                track,
                shot,
                plugin.to_owned(),
                rule,
                value,
            )));
        }
    }
}

/// A detection that may become the best shot of its track.
struct ShotCandidate<'a> {
    track: TrackId,
    detection: &'a Detection,
    attributes: Attributes,
}

/// Pipeline of one object type, over a tracker `T` and filters `F`.
pub(super) struct TypePipeline<T = TrackerSlot, F = FilterSlot> {
    job: JobId,
    pub(super) tracker: T,
    pub(super) filters: Vec<F>,
    scores: ScoreThresholds,
    /// Whether the tracker is shown weak detections.
    shows_weak: bool,
    /// Stream time of the frame before, in seconds, where it is of the same scene.
    frame_before: Option<f64>,
    reporting: Reporting,
    tracks: BTreeMap<TrackId, Track>,
    pub(super) recorder: DecisionRecorder,
    /// Added to the tracker's numbers, so that those from before the last gap are not reused.
    pub(super) base: TrackId,
    /// The greatest track number so far.
    pub(super) last: TrackId,
}

impl TypePipeline {
    /// `chosen`: filters that the user named, which come before those of the settings. `own`: the
    /// user's settings of plugins by name, which override those that follow from the detector's.
    pub(super) fn open(
        plugins: &Plugins,
        job: JobId,
        settings: &DetectorSettings,
        chosen: &[&str],
        own: &BTreeMap<String, Value>,
        stream: StreamInfo,
        scores: ScoreThresholds,
    ) -> Result<Self, PluginError> {
        let with_own = |name: &str, mut general: Value| {
            if let (Some(general), Some(own)) = (general.as_object_mut(), own.get(name).and_then(Value::as_object)) {
                general.extend(own.clone());
            }
            general
        };
        let name = &settings.tracker_type;
        let of_tracker = tracker_settings(plugins, settings, scores);
        let shows_weak = of_tracker.get(MIN_SCORE).is_some();
        let tracker = plugins.tracker_slot(name, &with_own(name, of_tracker), &stream)?;
        let filters = chosen.iter().map(|name| (*name, json!({}))).chain(filter_settings(settings));
        let filters = filters
            .map(|(name, s)| plugins.filter_slot(name, &with_own(name, s), &stream))
            .collect::<Result<_, _>>()?;
        let pipeline = Self::new(job, stream.object_type, Reporting::new(settings), tracker, filters);
        Ok(Self { scores, shows_weak, ..pipeline })
    }

    pub(super) fn follow_canaries(&mut self) {
        self.tracker.follow_canary();
        self.filters.iter_mut().for_each(FilterSlot::follow_canary);
    }
}

impl<T: TrackerCalls, F: FilterCalls> TypePipeline<T, F> {
    fn new(job: JobId, object_type: ObjectType, reporting: Reporting, tracker: T, filters: Vec<F>) -> Self {
        let recorder = DecisionRecorder { object_type, asked: false };
        let none = TrackId(0);
        Self {
            job,
            tracker,
            filters,
            scores: ScoreThresholds::default(),
            shows_weak: false,
            frame_before: None,
            reporting,
            tracks: BTreeMap::new(),
            recorder,
            base: none,
            last: none,
        }
    }

    /// The job's number of a track, from the tracker's.
    fn number(&mut self, TrackId(own): TrackId) -> TrackId {
        let id = TrackId(self.base.0.saturating_add(own));
        self.last = self.last.max(id);
        id
    }

    /// Takes the detections of one frame through filters, tracker and selection.
    pub(super) fn frame(
        &mut self,
        now: &Now,
        detections: &[Detection],
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        self.filters.iter_mut().for_each(|f| f.begin_frame(&now.frame, now.pixels.clone()));
        if now.frame.cut {
            self.frame_before = None;
        } else {
            self.tracks.values_mut().for_each(|track| track.look_again(now.frame.time));
        }
        let (weak, strong) = detections.iter().partition::<Vec<_>, _>(|d| self.scores.is_weak(d));
        let mut kept = self.filter(now, &strong, events)?;
        if self.shows_weak {
            kept.extend(weak.into_iter().map(|d| (d.clone(), Vec::new())));
        } else {
            for detection in weak {
                let why = Rejection { rule: MIN_SCORE.to_owned(), value: format!("{:.3}", detection.score) };
                let shot = Shot::new(now, detection).summary;
                self.recorder.record(events, DecisionStage::Tracker, None, &shot, HOST, why);
            }
        }
        let (kept, attributes) = kept.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        self.end_windows(now.frame.time, events)?;
        let update = self.tracker.update(&now.frame, &kept)?;
        let candidates = self.associate(now, kept.iter().zip(attributes).zip(update.ids), events);
        self.select(now, candidates, events)?;
        self.post_first_shots(events)?;
        self.frame_before = Some(now.frame.time);
        self.close(update.closed, Some(now.frame.index), events)
    }

    /// Ends the tracks that are still open.
    pub(super) fn finish(&mut self, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let closed = self.tracker.finish()?;
        self.close(closed, None, events)
    }

    /// The detections that filters keep, with the attributes that they got.
    fn filter(
        &mut self,
        now: &Now,
        detections: &[&Detection],
        events: &mut Vec<Event>,
    ) -> Result<Vec<(Detection, Attributes)>, PluginError> {
        let mut kept: Vec<(Detection, Attributes)> = detections.iter().map(|d| ((*d).clone(), Vec::new())).collect();
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Detections)) {
            let asked: Vec<Detection> = kept.iter().map(|(d, _)| d.clone()).collect();
            if asked.is_empty() {
                break;
            }
            let verdicts = filter.detections(&now.frame, asked)?;
            let dropped;
            (kept, dropped) = apply(kept, verdicts, |(_, attributes), more| attributes.extend(more));
            for ((detection, _), why) in dropped {
                let shot = Shot::new(now, &detection).summary;
                self.recorder.record(events, DecisionStage::Detections, None, &shot, filter.name(), why);
            }
        }
        Ok(kept)
    }

    /// Extends tracks as the tracker decided; returns the detections that may become a best shot.
    fn associate<'a>(
        &mut self,
        now: &Now,
        detections: impl Iterator<Item = ((&'a Detection, Attributes), Option<TrackId>)>,
        events: &mut Vec<Event>,
    ) -> Vec<ShotCandidate<'a>> {
        let realtime = self.reporting.realtime.is_some();
        let mut candidates = Vec::new();
        for ((detection, attributes), id) in detections {
            let shot = Shot::new(now, detection);
            let Some(track_id) = id.map(|id| self.number(id)) else {
                let why = Rejection { rule: "no track".to_owned(), value: String::new() };
                self.recorder.record(events, DecisionStage::Tracker, None, &shot.summary, self.tracker.name(), why);
                continue;
            };
            let track = self.tracks.entry(track_id).or_insert_with(|| Track::new(&shot));
            let roles = [
                (self.reporting.first_frame && track.detections == 0, Role::First),
                (self.reporting.last_frame, Role::Last),
            ];
            for (_, role) in roles.into_iter().filter(|(wanted, _)| *wanted) {
                events.push(Event::Keep((self.recorder.object_type.clone(), track_id), role));
            }
            track.extend(shot, &self.reporting);
            if self.scores.is_weak(detection) {
                continue;
            }
            track.look(now.frame.time, self.frame_before, detection.score);
            // Filters are not asked about what would not become the best shot anyway.
            if beats(detection, track.best.as_ref()) || (realtime && beats(detection, track.window.best.as_ref())) {
                candidates.push(ShotCandidate { track: track_id, detection, attributes });
            }
        }
        candidates
    }

    /// Replaces the best shots so far by the candidates that filters keep.
    fn select(
        &mut self,
        now: &Now,
        mut candidates: Vec<ShotCandidate<'_>>,
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Shots)) {
            if candidates.is_empty() {
                break;
            }
            let asked =
                candidates.iter().map(|c| Candidate { track: c.track, detection: c.detection.clone() }).collect();
            let verdicts = filter.shots(&now.frame, asked)?;
            let dropped;
            (candidates, dropped) = apply(candidates, verdicts, |c, more| c.attributes.extend(more));
            for (ShotCandidate { track, detection, .. }, why) in dropped {
                let shot = Shot::new(now, detection).summary;
                self.recorder.record(events, DecisionStage::Shots, Some(track), &shot, filter.name(), why);
            }
        }
        let realtime = self.reporting.realtime.is_some();
        for ShotCandidate { track: id, detection, attributes } in candidates {
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            let annotated = AnnotatedShot { shot: Shot::new(now, detection), attributes };
            if realtime && beats(detection, track.window.best.as_ref()) {
                track.window.best = Some(annotated.clone());
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Window));
            }
            if beats(detection, track.best.as_ref()) {
                track.best = Some(annotated);
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Best));
            }
        }
        Ok(())
    }

    /// Posts from the windows that end by `now`, and begins the next ones.
    fn end_windows(&mut self, now: f64, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let Some(Realtime { interval, .. }) = self.reporting.realtime else { return Ok(()) };
        for id in self.tracks_where(|t| now - t.window.start >= interval) {
            self.post_window(id, events)?;
            if let Some(Track { window, .. }) = self.tracks.get_mut(&id) {
                let windows = ((now - window.start) / interval).floor();
                // With an interval of 0 every frame is a window.
                window.start = if windows.is_finite() { window.start + windows * interval } else { now };
                window.best = None;
            }
        }
        Ok(())
    }

    /// Posts the first accepted shots of tracks without a post, where the settings ask for that.
    fn post_first_shots(&mut self, events: &mut Vec<Event>) -> Result<(), PluginError> {
        if !self.reporting.realtime.as_ref().is_some_and(|r| r.first_immediately) {
            return Ok(());
        }
        let due = self.tracks_where(|t| t.window.posted.is_none() && t.window.best.is_some());
        due.into_iter().try_for_each(|id| self.post_window(id, events))
    }

    fn tracks_where(&self, wanted: impl Fn(&Track) -> bool) -> Vec<TrackId> {
        self.tracks.iter().filter(|(_, track)| wanted(track)).map(|(id, _)| *id).collect()
    }

    /// Posts the best shot of a track's window, if there is one and it beats the posts before.
    fn post_window(&mut self, id: TrackId, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let every = self.reporting.realtime.as_ref().is_some_and(|r| r.every_interval);
        let Some(track) = self.tracks.get(&id) else { return Ok(()) };
        let Some(best) = track.window.best.clone().filter(|_| track.is_confirmed(self.scores.sure)) else {
            return Ok(());
        };
        let (posted, shots) = (track.window.posted, track.window.shots);
        let (frame, quality) = (best.shot.summary.frame, best.shot.detection.quality);
        if posted.is_some_and(|(last, most)| last == frame || !(every || quality > most)) {
            return Ok(());
        }
        let Some(object) = self.object(id, &best, BestShotType::Realtime, shots + 1, events)? else { return Ok(()) };
        events.push(Event::Object(Box::new(object)));
        if let Some(Track { window, .. }) = self.tracks.get_mut(&id) {
            window.posted = Some((frame, posted.map_or(quality, |(_, most)| most.max(quality))));
            window.shots += 1;
        }
        Ok(())
    }

    /// Reports tracks that ended, which are given by the tracker's numbers. `frame`: the one in
    /// which they did; `None` at the end of the stream.
    fn close(&mut self, closed: Vec<TrackId>, frame: Option<u64>, events: &mut Vec<Event>) -> Result<(), PluginError> {
        for id in closed {
            let id = self.number(id);
            // A tracker may open and close a track without ever giving it a detection.
            let Some(track) = self.tracks.get(&id) else { continue };
            // One that ends with a detection is as long as it may be, and may be seen again.
            let is_over = frame != Some(track.last.summary.frame);
            let object = match track.best.clone() {
                Some(best) if is_over && track.is_seen_once(self.scores.sure) => {
                    let summary = &best.shot.summary;
                    let why = Rejection { rule: "seen once".to_owned(), value: format!("{:.3}", summary.score) };
                    self.recorder.record(events, DecisionStage::Objects, Some(id), summary, HOST, why);
                    None
                }
                Some(best) => self.object(id, &best, BestShotType::Overall, OVERALL, events)?,
                None => None,
            };
            let history = self.tracks.remove(&id).map(|t| t.history).unwrap_or_default();
            events.push(match object {
                Some(object) => Event::Object(Box::new(ObjectRecord { history, ..object })),
                None => Event::Dropped((self.recorder.object_type.clone(), id)),
            });
        }
        Ok(())
    }

    /// The object to report of an open track, without its history; `None` if a filter rejects it.
    fn object(
        &mut self,
        id: TrackId,
        best: &AnnotatedShot,
        bs_type: BestShotType,
        shot: u32,
        events: &mut Vec<Event>,
    ) -> Result<Option<ObjectRecord>, PluginError> {
        let Some(track) = self.tracks.get(&id) else { return Ok(None) };
        let end_of_track = bs_type == BestShotType::Overall;
        let (first, last, best, mut attributes) = (&track.first, &track.last, &best.shot, best.attributes.clone());
        let detections = track.detections;
        let asked = || Object {
            track: id,
            first: first.moment(),
            last: last.moment(),
            best: best.moment(),
            detections,
            end_of_track,
        };
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Objects)) {
            for verdict in filter.objects(vec![asked()])? {
                match verdict {
                    Verdict::Keep => {}
                    Verdict::Annotate(more) => attributes.extend(more),
                    Verdict::Reject(why) => {
                        self.recorder.record(
                            events,
                            DecisionStage::Objects,
                            Some(id),
                            &best.summary,
                            filter.name(),
                            why,
                        );
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(ObjectRecord {
            id: ObjectId { job: self.job, object_type: self.recorder.object_type.clone(), track: id, shot },
            bs_type,
            end_of_track,
            landmarks: best.detection.landmarks,
            best: best.summary.clone(),
            first: first.summary.clone(),
            last: last.summary.clone(),
            detections,
            interpolated: track.interpolated,
            history: Vec::new(),
            attributes,
        }))
    }
}

/// Stands for the host where decisions name a plugin.
const HOST: &str = "ocellus";

/// The shot number of the object that a track ends with; realtime shots count from 1.
const OVERALL: u32 = 0;

#[cfg(test)]
mod tests;
