//! Analysis of the detection log: filters, tracker, best shot, filters, objects.
//!
//! Guarantees: a function of the records that it is given in order, the settings and the plugins;
//! it sees no clock, and no pixels but those that it hands on to filters that were granted them.
//! Where a picture will be wanted it says so ([`Event::Keep`]) while the frame is at hand. One
//! [`TypePipeline`] for each object type; types do not know each other. At a gap all tracks end,
//! and every plugin begins anew.

use std::{collections::BTreeMap, sync::Arc};

use ocellus_core::{
    BestShotType, Detection, DetectorSettings, FrameRecord, JobId, ObjectId, ObjectRecord, ObjectType, PluginUse, ShotSummary, Size,
    StreamSettings, Timestamp, TrackId, TrackPoint,
};
use ocellus_runtime::{
    Candidate, FilterSlot, FrameInfo, Kind, Moment, Object, Pixels, PluginError, Plugins, Rejection, Stage, StreamInfo, TrackerSlot,
    Verdict,
};
use ocellus_store::Gap;
use serde_json::{Value, json};

use crate::replay::{Decision, DecisionStage};

/// A track, among all of a job.
pub(crate) type TrackKey = (ObjectType, TrackId);

/// What a frame is kept for, until its track is over or another frame takes its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// It holds the best shot so far.
    Best,
    /// It holds the best shot so far of the present realtime window.
    Window,
    First,
    Last,
}

pub(crate) enum Event {
    /// The frame just given is to be kept.
    Keep(TrackKey, Role),
    /// This is reported: of a track that is over, or, as a realtime shot, of one that goes on.
    Object(Box<ObjectRecord>),
    /// The track is over and nothing is reported.
    Dropped(TrackKey),
    /// Something went no further here; only where that is asked for.
    Decision(Decision),
}

pub(crate) struct Analysis {
    types: Vec<TypePipeline>,
    clock: StreamClock,
    opening: Opening,
    /// What sessions cost that a gap ended, by the names of their plugins.
    before_gap: BTreeMap<String, PluginUse>,
    /// A gap lies before the next frame.
    after_gap: bool,
}

/// What the sessions of plugins are opened with.
struct Opening {
    plugins: Plugins,
    job: JobId,
    settings: StreamSettings,
    explain: bool,
    follow_candidates: bool,
}

impl Opening {
    /// A lane for each object type, for frames of `size`, `frame_rate` a second.
    fn types(&self, size: Size, frame_rate: Option<f64>) -> Result<Vec<TypePipeline>, PluginError> {
        let chosen: Vec<&str> = self.settings.chosen_filters().collect();
        let lane = |(t, d): (&ObjectType, &DetectorSettings)| {
            let stream = StreamInfo { object_type: t.clone(), size, frame_rate };
            let mut lane = TypePipeline::open(&self.plugins, self.job, d, &chosen, &self.settings.plugins, stream)?;
            lane.recorder.asked = self.explain;
            if self.follow_candidates {
                lane.follow_candidates();
            }
            Ok(lane)
        };
        self.settings.active().map(lane).collect()
    }
}

impl Analysis {
    /// Opens a session of every plugin that the settings name, for frames of `size`, `frame_rate` a
    /// second.
    pub(crate) fn open(
        plugins: &Plugins,
        job: JobId,
        settings: &StreamSettings,
        size: Size,
        frame_rate: Option<f64>,
        explain: bool,
    ) -> Result<Self, PluginError> {
        let opening = Opening { plugins: plugins.clone(), job, settings: settings.clone(), explain, follow_candidates: false };
        let types = opening.types(size, frame_rate)?;
        let start = settings.use_stream_timestamp.then_some(settings.start_stream_timestamp);
        Ok(Self { types, clock: StreamClock { start }, opening, before_gap: BTreeMap::new(), after_gap: false })
    }

    /// Shows candidates what the plugins that serve are shown.
    pub(crate) fn follow_candidates(&mut self) {
        self.opening.follow_candidates = true;
        self.types.iter_mut().for_each(TypePipeline::follow_candidates);
    }

    /// A number for each object type that none of its tracks so far exceeds.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (&ObjectType, TrackId)> {
        self.types.iter().map(|lane| (&lane.recorder.object_type, lane.last))
    }

    /// Begins anew behind a gap, once [`Self::finish`] has ended what was before it; tracks are
    /// numbered on from there.
    pub(crate) fn go_on_behind(&mut self, gap: &Gap) -> Result<(), PluginError> {
        self.before_gap = self.report();
        self.after_gap = true;
        let fresh = self.opening.types(gap.header.frame_size, gap.header.frame_rate)?;
        let before = std::mem::replace(&mut self.types, fresh);
        for lane in &mut self.types {
            let object_type = &lane.recorder.object_type;
            let own = before.iter().filter(|b| b.recorder.object_type == *object_type).map(|b| b.last);
            let said = gap.tracks.iter().filter(|(t, _)| t == object_type).map(|(_, last)| *last);
            lane.base = own.chain(said).max().unwrap_or(TrackId(0));
            lane.last = lane.base;
        }
        Ok(())
    }

    /// Whether a filter was granted pictures: a replay has to decode then.
    pub(crate) fn reads_crops(&self) -> bool {
        self.types.iter().any(|lane| lane.filters.iter().any(FilterSlot::reads_crops))
    }

    /// Takes the next record of the log, of a frame of this size. `pixels`: of this frame, where
    /// they are at hand.
    pub(crate) fn frame(&mut self, record: &FrameRecord, size: Size, pixels: Option<Arc<dyn Pixels>>) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        if record.still {
            return Ok(events);
        }
        let cut = std::mem::take(&mut self.after_gap) || record.cut;
        let now =
            Now { frame: FrameInfo { index: record.index, time: record.time, size, cut }, timestamp: self.clock.timestamp(record), pixels };
        for lane in &mut self.types {
            let seen = record.seen.iter().find(|(t, _)| *t == lane.recorder.object_type).map_or(&[][..], |(_, d)| d);
            lane.frame(&now, seen, &mut events)?;
        }
        Ok(events)
    }

    /// What each plugin cost so far, by its name.
    pub(crate) fn report(&mut self) -> BTreeMap<String, PluginUse> {
        let mut all = self.before_gap.clone();
        for lane in &mut self.types {
            let tracker = (lane.tracker.name().to_owned(), lane.tracker.report());
            for (name, used) in lane.filters.iter_mut().map(|f| (f.name().to_owned(), f.report())).chain([tracker]) {
                all.entry(name).or_default().add(&used);
            }
        }
        all
    }

    /// Ends every track that is still open.
    pub(crate) fn finish(&mut self) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        for lane in &mut self.types {
            let closed = lane.tracker.finish()?.into_iter().map(|id| lane.number(id)).collect::<Vec<_>>();
            lane.close(&closed, &mut events)?;
            lane.filters.iter_mut().for_each(FilterSlot::finish);
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
    pixels: Option<Arc<dyn Pixels>>,
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

    fn moment(&self) -> Moment {
        Moment { frame: self.summary.frame, time: self.summary.time, detection: self.detection.clone() }
    }
}

/// What is to be reported of tracks.
struct Reporting {
    realtime: Option<Realtime>,
    interpolate: bool,
    history: bool,
    first_frame: bool,
    last_frame: bool,
}

struct Realtime {
    /// Seconds of stream time.
    interval: f64,
    every_interval: bool,
    first_immediately: bool,
}

impl Reporting {
    fn new(s: &DetectorSettings) -> Self {
        let realtime = || Realtime {
            interval: s.realtime_post_interval,
            every_interval: s.realtime_post_every_interval,
            first_immediately: s.realtime_post_first_immediately,
        };
        Self {
            realtime: (!s.overall_only).then(realtime),
            interpolate: s.track_interpolate_bboxes,
            history: s.track_send_history,
            first_frame: s.post_first_track_frame,
            last_frame: s.post_last_track_frame,
        }
    }
}

/// A shot, and what filters noted of its detection.
#[derive(Clone)]
struct AnnotatedShot {
    shot: Shot,
    attributes: Attributes,
}

fn beats(detection: &Detection, other: Option<&AnnotatedShot>) -> bool {
    other.is_none_or(|o| detection.quality > o.shot.detection.quality)
}

/// The stretch of a track over which a realtime shot is chosen.
struct Window {
    /// Stream time in seconds.
    start: f64,
    best: Option<AnnotatedShot>,
    /// The frame that was posted last, and the quality of the best that was.
    posted: Option<(u64, f32)>,
    /// How many were posted.
    shots: u32,
}

/// One open track.
struct Track {
    first: Shot,
    last: Shot,
    detections: u64,
    /// Frames between detections that were filled.
    interpolated: u64,
    /// Empty where nobody asked for it.
    history: Vec<TrackPoint>,
    /// The best shot so far of those that the filters let represent the track.
    best: Option<AnnotatedShot>,
    window: Window,
}

impl Track {
    fn new(shot: &Shot) -> Self {
        let window = Window { start: shot.summary.time, best: None, posted: None, shots: 0 };
        Self { first: shot.clone(), last: shot.clone(), detections: 0, interpolated: 0, history: Vec::new(), best: None, window }
    }

    fn extend(&mut self, shot: Shot, reporting: &Reporting) {
        let gap = shot.summary.frame.saturating_sub(self.last.summary.frame);
        if reporting.interpolate {
            self.interpolated += gap.saturating_sub(1);
        }
        if reporting.history {
            if reporting.interpolate {
                self.history.extend((1..gap).map(|n| between(&self.last.summary, &shot.summary, n, gap)));
            }
            let ShotSummary { frame, time, timestamp, bbox, .. } = shot.summary;
            self.history.push(TrackPoint { frame, time, timestamp, bbox, interpolated: false });
        }
        self.last = shot;
        self.detections += 1;
    }
}

/// Step `n` of `gap` on the way from one detection to the next.
fn between(a: &ShotSummary, b: &ShotSummary, n: u64, gap: u64) -> TrackPoint {
    let share = n as f64 / gap as f64;
    let (from, to) = (a.timestamp.as_microsecond(), b.timestamp.as_microsecond());
    let mut bbox = a.bbox;
    for (side, to) in bbox.iter_mut().zip(b.bbox) {
        *side += (f64::from(to - *side) * share).round() as i32;
    }
    TrackPoint {
        frame: a.frame + n,
        time: a.time + (b.time - a.time) * share,
        timestamp: Timestamp::from_microsecond(from + ((to - from) as f64 * share).round() as i64).unwrap_or(a.timestamp),
        bbox,
        interpolated: true,
    }
}

type Attributes = Vec<(String, String)>;

/// What stays by its verdict, with the verdict's notes, and what goes.
fn apply<T>(items: Vec<T>, verdicts: Vec<Verdict>, note: impl Fn(&mut T, Attributes)) -> (Vec<T>, Vec<(T, Rejection)>) {
    let (mut kept, mut dropped) = (Vec::with_capacity(items.len()), Vec::new());
    for (mut item, verdict) in items.into_iter().zip(verdicts) {
        match verdict {
            Verdict::Reject(rejection) => {
                dropped.push((item, rejection));
                continue;
            }
            Verdict::Annotate(more) => note(&mut item, more),
            Verdict::Keep => {}
        }
        kept.push(item);
    }
    (kept, dropped)
}

/// Tells what went no further, where that is asked for.
struct DecisionRecorder {
    object_type: ObjectType,
    asked: bool,
}

impl DecisionRecorder {
    fn tell(
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
            events.push(Event::Decision(Decision::new(&self.object_type, stage, track, shot, plugin.to_owned(), rule, value)));
        }
    }
}

struct TypePipeline {
    job: JobId,
    tracker: TrackerSlot,
    filters: Vec<FilterSlot>,
    reporting: Reporting,
    tracks: BTreeMap<TrackId, Track>,
    recorder: DecisionRecorder,
    /// What is added to the tracker's numbers: those of before the last gap are not given again.
    base: TrackId,
    /// The greatest number so far.
    last: TrackId,
}

impl TypePipeline {
    /// `chosen`: filters that the user named, which come before those of the settings. `own`: what
    /// the user says to plugins by name, over what follows from the detector's settings.
    fn open(
        plugins: &Plugins,
        job: JobId,
        settings: &DetectorSettings,
        chosen: &[&str],
        own: &BTreeMap<String, Value>,
        stream: StreamInfo,
    ) -> Result<Self, PluginError> {
        let with_own = |name: &str, mut general: Value| {
            if let (Some(general), Some(own)) = (general.as_object_mut(), own.get(name).and_then(Value::as_object)) {
                general.extend(own.clone());
            }
            general
        };
        let name = &settings.tracker_type;
        let tracker = plugins.tracker_seat(name, &with_own(name, tracker_settings(plugins, settings)), &stream)?;
        let filters = chosen.iter().map(|name| (*name, json!({}))).chain(filter_settings(settings));
        let filters = filters.map(|(name, s)| plugins.filter_seat(name, &with_own(name, s), &stream)).collect::<Result<_, _>>()?;
        let recorder = DecisionRecorder { object_type: stream.object_type, asked: false };
        let (reporting, none) = (Reporting::new(settings), TrackId(0));
        Ok(Self { job, tracker, filters, reporting, tracks: BTreeMap::new(), recorder, base: none, last: none })
    }

    fn follow_candidates(&mut self) {
        self.tracker.follow_candidate();
        self.filters.iter_mut().for_each(FilterSlot::follow_candidate);
    }

    /// The number of one of the tracker's tracks among all of the job.
    fn number(&mut self, TrackId(own): TrackId) -> TrackId {
        let id = TrackId(self.base.0.saturating_add(own));
        self.last = self.last.max(id);
        id
    }

    fn frame(&mut self, now: &Now, seen: &[Detection], events: &mut Vec<Event>) -> Result<(), PluginError> {
        self.filters.iter_mut().for_each(|f| f.begin_frame(&now.frame, now.pixels.clone()));
        let mut kept: Vec<(Detection, Attributes)> = seen.iter().map(|d| (d.clone(), Vec::new())).collect();
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Detections)) {
            let shown: Vec<Detection> = kept.iter().map(|(d, _)| d.clone()).collect();
            if shown.is_empty() {
                break;
            }
            let verdicts = filter.detections(&now.frame, shown)?;
            let dropped;
            (kept, dropped) = apply(kept, verdicts, |(_, noted), more| noted.extend(more));
            for ((detection, _), why) in dropped {
                let shot = Shot::new(now, &detection).summary;
                self.recorder.tell(events, DecisionStage::Detections, None, &shot, filter.name(), why);
            }
        }

        self.end_windows(now.frame.time, events)?;
        let (kept, noted): (Vec<_>, Vec<_>) = kept.into_iter().unzip();
        let update = self.tracker.update(&now.frame, &kept)?;
        let realtime = self.reporting.realtime.is_some();
        let mut candidates = Vec::new();
        for ((detection, noted), id) in kept.iter().zip(noted).zip(update.ids) {
            let shot = Shot::new(now, detection);
            let Some(id) = id.map(|id| self.number(id)) else {
                let why = Rejection { rule: "no track".to_owned(), value: String::new() };
                self.recorder.tell(events, DecisionStage::Tracker, None, &shot.summary, self.tracker.name(), why);
                continue;
            };
            let track = self.tracks.entry(id).or_insert_with(|| Track::new(&shot));
            let roles = [(self.reporting.first_frame && track.detections == 0, Role::First), (self.reporting.last_frame, Role::Last)];
            for (_, role) in roles.into_iter().filter(|(wanted, _)| *wanted) {
                events.push(Event::Keep((self.recorder.object_type.clone(), id), role));
            }
            track.extend(shot, &self.reporting);
            // The filters need not look at what would not become the best shot anyway.
            if beats(detection, track.best.as_ref()) || (realtime && beats(detection, track.window.best.as_ref())) {
                candidates.push((id, detection, noted));
            }
        }
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Shots)) {
            if candidates.is_empty() {
                break;
            }
            let shown = |(track, detection, _): &(TrackId, &Detection, _)| Candidate { track: *track, detection: (*detection).clone() };
            let verdicts = filter.shots(&now.frame, candidates.iter().map(shown).collect())?;
            let dropped;
            (candidates, dropped) = apply(candidates, verdicts, |(_, _, noted), more| noted.extend(more));
            for ((track, detection, _), why) in dropped {
                let shot = Shot::new(now, detection).summary;
                self.recorder.tell(events, DecisionStage::Shots, Some(track), &shot, filter.name(), why);
            }
        }
        for (id, detection, attributes) in candidates {
            let Some(track) = self.tracks.get_mut(&id) else { continue };
            let noted = AnnotatedShot { shot: Shot::new(now, detection), attributes };
            if realtime && beats(detection, track.window.best.as_ref()) {
                track.window.best = Some(noted.clone());
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Window));
            }
            if beats(detection, track.best.as_ref()) {
                track.best = Some(noted);
                events.push(Event::Keep((self.recorder.object_type.clone(), id), Role::Best));
            }
        }
        self.post_first_shots(events)?;
        let closed = update.closed.into_iter().map(|id| self.number(id)).collect::<Vec<_>>();
        self.close(&closed, events)
    }

    /// Posts what the windows hold that are over by `now`, and begins new ones.
    fn end_windows(&mut self, now: f64, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let Some(Realtime { interval, .. }) = self.reporting.realtime else { return Ok(()) };
        for id in self.tracks_where(|t| now - t.window.start >= interval) {
            self.post_window(id, events)?;
            if let Some(Track { window, .. }) = self.tracks.get_mut(&id) {
                let windows = ((now - window.start) / interval).floor();
                // With an interval of 0 every frame is a window of its own.
                window.start = if windows.is_finite() { window.start + windows * interval } else { now };
                window.best = None;
            }
        }
        Ok(())
    }

    /// Posts the first good shots of tracks of which nothing was posted yet, where that is asked
    /// for.
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

    /// Posts the best shot of a track's window, if it is worth it.
    fn post_window(&mut self, id: TrackId, events: &mut Vec<Event>) -> Result<(), PluginError> {
        let every = self.reporting.realtime.as_ref().is_some_and(|r| r.every_interval);
        let Some(track) = self.tracks.get(&id) else { return Ok(()) };
        let Some(best) = track.window.best.clone() else { return Ok(()) };
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

    fn close(&mut self, closed: &[TrackId], events: &mut Vec<Event>) -> Result<(), PluginError> {
        for id in closed {
            // A tracker may open and close a track without ever giving it a detection.
            let Some(track) = self.tracks.get(id) else { continue };
            let object = match track.best.clone() {
                Some(best) => self.object(*id, &best, BestShotType::Overall, OVERALL, events)?,
                None => None,
            };
            let history = self.tracks.remove(id).map(|t| t.history).unwrap_or_default();
            events.push(match object {
                Some(object) => Event::Object(Box::new(ObjectRecord { history, ..object })),
                None => Event::Dropped((self.recorder.object_type.clone(), *id)),
            });
        }
        Ok(())
    }

    /// What is reported of an open track, if anything, without its history.
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
        let shown = || Object { track: id, first: first.moment(), last: last.moment(), best: best.moment(), detections, end_of_track };
        for filter in self.filters.iter_mut().filter(|f| f.wants(Stage::Objects)) {
            for verdict in filter.objects(vec![shown()])? {
                match verdict {
                    Verdict::Keep => {}
                    Verdict::Annotate(more) => attributes.extend(more),
                    Verdict::Reject(why) => {
                        self.recorder.tell(events, DecisionStage::Objects, Some(id), &best.summary, filter.name(), why);
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

/// The shot number of the object that a track ends with; realtime shots count from 1.
const OVERALL: u32 = 0;

/// Whether the tracker that the settings name compares what detections look like.
pub(crate) fn compares_appearances(plugins: &Plugins, s: &DetectorSettings) -> bool {
    tracker_settings(plugins, s).get(MATCHING).is_some()
}

/// The plugins that a job by these settings uses, those behind which objects are posted aside.
pub(crate) fn plugins_of(settings: &StreamSettings) -> impl Iterator<Item = (Kind, &str)> {
    let trackers = settings.active().map(|(_, s)| (Kind::Tracker, s.tracker_type.as_str()));
    let of_settings = settings.active().flat_map(|(_, s)| filter_settings(s)).map(|(name, _)| (Kind::Filter, name));
    trackers.chain(settings.chosen_filters().map(|name| (Kind::Filter, name))).chain(of_settings)
}

/// How alike two detections of one thing have to look.
const MATCHING: &str = "matching_threshold";

/// What the settings say, as far as this tracker's schema asks for it.
fn tracker_settings(plugins: &Plugins, s: &DetectorSettings) -> Value {
    let mut settings = json!({
        "overlap_threshold": s.track_overlap_threshold,
        "miss_interval": s.track_miss_interval,
        "max_duration_frames": s.track_max_duration_frames,
        "interpolate_bboxes": s.track_interpolate_bboxes,
        MATCHING: s.track_deep_sort_matching_threshold,
        "filter_unconfirmed_tracks": s.track_deep_sort_filter_unconfirmed_tracks,
    });
    let installed = plugins.list().into_iter().find(|p| p.kind == Some(Kind::Tracker) && p.name.as_ref() == Some(&s.tracker_type));
    let schema = installed.and_then(|p| p.schema).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|key, _| schema.get("properties").is_some_and(|p| p.get(key).is_some()));
    }
    settings
}

/// The shipped filters that the settings ask for, in the order in which they see an object.
fn filter_settings(s: &DetectorSettings) -> Vec<(&'static str, Value)> {
    let mut filters =
        vec![("quality", json!({"min": s.filter_min_quality})), ("size", json!({"min": s.filter_min_size, "max": s.filter_max_size}))];
    if let Some(roi) = s.roi {
        filters.push(("roi", json!({"roi": roi.to_string()})));
    }
    if s.filter_track_min_duration_frames > 1 {
        filters.push(("track-length", json!({"min": s.filter_track_min_duration_frames, "count_gaps": s.track_interpolate_bboxes})));
    }
    filters
}
