//! Pipeline of one object type: filter, associate, select, report.

mod report;
mod state;

use std::collections::BTreeMap;

use ocellus_core::{Detection, DetectorSettings, JobId, ScoreThresholds, TrackId, TrackletId, Tracklets};
use ocellus_runtime::{Candidate, FilterSlot, PluginError, Plugins, Rejection, Stage, StreamInfo, Verdict};
use serde_json::{Value, json};

pub(super) use self::state::TypePipeline;
use super::{
    calls::{FilterCalls, TrackerCalls},
    decision::DecisionStage,
    decision_recorder::HOST,
    event::{Event, Role, Sample},
    plugins::{MIN_SCORE, filter_settings, tracker_settings},
    track::{AnnotatedShot, Attributes, Now, Reporting, Shot, Track, is_part},
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

/// The index of a detection in its frame, and the attributes that filters gave it.
type Notes = (usize, Attributes);

/// A detection that may become the best shot of its track.
struct ShotCandidate<'a> {
    track: TrackId,
    detection: &'a Detection,
    attributes: Attributes,
}

impl TypePipeline {
    /// `chosen`: filters that the user named, which come before those of the settings. `own`: the
    /// user's settings of plugins by name, which override those derived from the detector's
    /// settings.
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
    /// The job's number of a tracker's track, for a detection of this tracklet. If the tracklet
    /// replaced the one that the track was last in, the tracker has merged two individuals: the
    /// track so far ends, and the detection begins another.
    fn number_for(
        &mut self,
        own: TrackId,
        tracklet: Option<TrackletId>,
        events: &mut Vec<Event>,
    ) -> Result<TrackId, PluginError> {
        let id = self.number(own);
        let is_replaced = |track: &Track| tracklet.is_some_and(|tracklet| track.is_replaced_by(tracklet));
        if !self.tracks.get(&id).is_some_and(is_replaced) {
            return Ok(id);
        }
        self.end(id, None, events)?;
        // The tracker's later tracks get higher numbers than this one.
        let new = TrackId(self.last.0.saturating_add(1));
        self.base = TrackId(self.base.0.saturating_add(1));
        self.last = new;
        self.numbers.insert(own, new);
        Ok(new)
    }

    /// Passes the detections of one frame through filters, tracker and selection.
    pub(super) fn frame(
        &mut self,
        now: &Now,
        detections: &[Detection],
        tracklets: Option<&Tracklets>,
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        self.filters.iter_mut().for_each(|f| f.begin_frame(&now.frame, now.pixels.clone()));
        if now.frame.cut {
            self.frame_before = None;
        } else {
            self.tracks.values_mut().for_each(|track| track.note_frame(now.frame.time));
        }
        let none = Tracklets::default();
        let tracklets = tracklets.unwrap_or(&none);
        for (new, old) in &tracklets.replaced {
            self.tracks.values_mut().for_each(|track| track.note_replacement(*old, *new));
        }
        let (weak, strong) = detections.iter().enumerate().partition::<Vec<_>, _>(|(_, d)| self.scores.is_weak(d));
        let mut kept = self.filter(now, &strong, events)?;
        if self.shows_weak {
            kept.extend(weak.into_iter().map(|(place, d)| (d.clone(), (place, Vec::new()))));
        } else {
            for (_, detection) in weak {
                let shot = Shot::new(now, detection).summary;
                self.recorder.record(events, DecisionStage::Tracker, None, &shot, HOST, too_weak(detection));
            }
        }
        let (kept, notes) = kept.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
        self.end_windows(now.frame.time, events)?;
        let update = self.tracker.update(&now.frame, &kept)?;
        let candidates = self.associate(now, kept.iter().zip(notes).zip(update.ids), detections, tracklets, events)?;
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

    /// The detections that filters keep.
    fn filter(
        &mut self,
        now: &Now,
        detections: &[(usize, &Detection)],
        events: &mut Vec<Event>,
    ) -> Result<Vec<(Detection, Notes)>, PluginError> {
        let mut kept: Vec<(Detection, Notes)> =
            detections.iter().map(|(place, d)| ((*d).clone(), (*place, Vec::new()))).collect();
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Detections)) {
            let asked: Vec<Detection> = kept.iter().map(|(d, _)| d.clone()).collect();
            if asked.is_empty() {
                break;
            }
            let verdicts = filter.detections(&now.frame, asked)?;
            let dropped;
            (kept, dropped) = apply(kept, verdicts, |(_, (_, attributes)), more| attributes.extend(more));
            for ((detection, _), why) in dropped {
                let shot = Shot::new(now, &detection).summary;
                self.recorder.record(events, DecisionStage::Detections, None, &shot, filter.name(), why);
            }
        }
        Ok(kept)
    }

    /// Extends tracks as the tracker decided; returns the detections that may become a best shot.
    /// `all`: every detection of the frame, also those that a filter dropped.
    fn associate<'a>(
        &mut self,
        now: &Now,
        detections: impl Iterator<Item = ((&'a Detection, Notes), Option<TrackId>)>,
        all: &[Detection],
        tracklets: &Tracklets,
        events: &mut Vec<Event>,
    ) -> Result<Vec<ShotCandidate<'a>>, PluginError> {
        let (realtime, rule) = (self.reporting.realtime.is_some(), self.shot_rule);
        let mut candidates = Vec::new();
        for ((detection, (place, attributes)), id) in detections {
            let shot = Shot::new(now, detection);
            let tracklet = tracklets.ids.get(place).copied();
            let Some(track_id) = id.map(|id| self.number_for(id, tracklet, events)).transpose()? else {
                let (plugin, why) = if self.scores.is_weak(detection) {
                    (HOST, too_weak(detection))
                } else {
                    (self.tracker.name(), Rejection { rule: "no track".to_owned(), value: String::new() })
                };
                self.recorder.record(events, DecisionStage::Tracker, None, &shot.summary, plugin, why);
                continue;
            };
            if self.reports_boxes {
                events.push(Event::Box((self.recorder.object_type.clone(), track_id), shot.summary.bbox));
            }
            let track = self.tracks.entry(track_id).or_insert_with(|| Track::new(&shot));
            let roles = [
                (self.reporting.first_frame && track.detections == 0, Role::First),
                (self.reporting.last_frame, Role::Last),
            ];
            for (_, role) in roles.into_iter().filter(|(wanted, _)| *wanted) {
                events.push(Event::Keep((self.recorder.object_type.clone(), track_id), role));
            }
            track.extend(shot, &self.reporting);
            track.follow(tracklet);
            if self.scores.is_weak(detection) {
                track.note_position(&now.frame, detection);
                continue;
            }
            track.note_detection(&now.frame, self.frame_before, detection, is_part(detection, all));
            let own = tracklets.embeddings.iter().filter(|(at, _)| *at as usize == place);
            track.samples.extend(own.map(|(_, v)| Sample { quality: detection.quality, vector: v.clone() }));
            // Filters only get detections that could become the best shot.
            if rule.prefers(detection, track.best.as_ref())
                || (realtime && rule.prefers(detection, track.window.best.as_ref()))
            {
                candidates.push(ShotCandidate { track: track_id, detection, attributes });
            }
        }
        Ok(candidates)
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
        let (realtime, rule) = (self.reporting.realtime.is_some(), self.shot_rule);
        for ShotCandidate { track: id, detection, attributes } in candidates {
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            let annotated = AnnotatedShot { shot: Shot::new(now, detection), attributes };
            if realtime && rule.prefers(detection, track.window.best.as_ref()) {
                track.window.best = Some(annotated.clone());
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Window));
            }
            if rule.prefers(detection, track.best.as_ref()) {
                track.best = Some(annotated);
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Best));
            }
        }
        Ok(())
    }
}

/// Why a weak detection that continues no track is dropped.
fn too_weak(detection: &Detection) -> Rejection {
    Rejection { rule: MIN_SCORE.to_owned(), value: format!("{:.3}", detection.score) }
}

#[cfg(test)]
mod tests;
