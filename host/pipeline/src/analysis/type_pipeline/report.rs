//! Objects of a type pipeline: realtime shots, and the final object of a track.

use ocellus_core::{BestShotType, ObjectId, ObjectRecord, TrackId};
use ocellus_runtime::{Object, PluginError, Rejection, Stage, Verdict};

use super::{
    super::{
        calls::{FilterCalls, TrackerCalls},
        decision::DecisionStage,
        decision_recorder::HOST,
        event::Event,
        track::{AnnotatedShot, Mistake, Realtime, Track},
    },
    state::TypePipeline,
};

/// Shot number of the final object of a track; realtime shots count from 1.
const OVERALL: u32 = 0;

impl<T: TrackerCalls, F: FilterCalls> TypePipeline<T, F> {
    /// Posts the best shots of the windows that end by `now`, and begins the next windows.
    pub(super) fn end_windows(&mut self, now: f64, events: &mut Vec<Event>) -> Result<(), PluginError> {
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

    /// Posts the first accepted shots of tracks without a post, if the settings enable that.
    pub(super) fn post_first_shots(&mut self, events: &mut Vec<Event>) -> Result<(), PluginError> {
        if !self.reporting.realtime.as_ref().is_some_and(|r| r.first_immediately) {
            return Ok(());
        }
        let due = self.tracks_where(|t| t.window.posted.is_none() && t.window.best.is_some());
        due.into_iter().try_for_each(|id| self.post_window(id, events))
    }

    fn tracks_where(&self, wanted: impl Fn(&Track) -> bool) -> Vec<TrackId> {
        self.tracks.iter().filter(|(_, track)| wanted(track)).map(|(id, _)| *id).collect()
    }

    /// Posts the best shot of a track's window, if there is one and the settings do not rule it
    /// out.
    fn post_window(&mut self, id: TrackId, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let every = self.reporting.realtime.as_ref().is_some_and(|r| r.every_interval);
        let Some(track) = self.tracks.get(&id) else { return Ok(()) };
        let Some(best) = track.window.best.clone().filter(|_| track.is_confirmed(self.scores)) else {
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

    /// Reports ended tracks, given by the tracker's numbers. `frame`: the frame in which they
    /// ended; `None` at the end of the stream.
    pub(super) fn close(
        &mut self,
        closed: Vec<TrackId>,
        frame: Option<u64>,
        events: &mut Vec<Event>,
    ) -> Result<(), PluginError> {
        for own in closed {
            let id = self.number(own);
            self.numbers.remove(&own);
            self.end(id, frame, events)?;
        }
        Ok(())
    }

    /// Reports an ended track; `frame` as for [`Self::close`].
    pub(super) fn end(&mut self, id: TrackId, frame: Option<u64>, events: &mut Vec<Event>) -> Result<(), PluginError> {
        // A tracker may open and close a track without ever giving it a detection.
        let Some(track) = self.tracks.get(&id) else { return Ok(()) };
        // A track that ends in the frame of its last detection has reached its maximum length: its
        // object may still be visible.
        let is_over = frame != Some(track.last.summary.frame);
        let mistake = if is_over { track.mistake(self.scores) } else { None };
        let object = match (track.best.clone(), mistake) {
            (Some(best), Some(mistake)) => {
                let summary = &best.shot.summary;
                let rule = match mistake {
                    Mistake::SeenOnce => "seen once",
                    Mistake::SeenBriefly => "seen briefly",
                    Mistake::Part => "part of another",
                    Mistake::SeenRarely => "seen rarely",
                };
                let why = Rejection { rule: rule.to_owned(), value: format!("{:.3}", summary.score) };
                self.recorder.record(events, DecisionStage::Objects, Some(id), summary, HOST, why);
                None
            }
            (Some(best), None) => self.object(id, &best, BestShotType::Overall, OVERALL, events)?,
            (None, _) => None,
        };
        let (history, samples) = self.tracks.remove(&id).map(|t| (t.history, t.samples)).unwrap_or_default();
        let key = (self.recorder.object_type.clone(), id);
        let Some(object) = object else {
            events.push(Event::Dropped(key));
            return Ok(());
        };
        if !samples.is_empty() {
            events.push(Event::Samples(key, samples));
        }
        events.push(Event::Object(Box::new(ObjectRecord { history, ..object })));
        Ok(())
    }

    /// The object to report for an open track, without its history; `None` if a filter rejects it.
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
            features: Vec::new(),
        }))
    }
}
