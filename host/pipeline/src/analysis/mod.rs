//! Analysis of the detection log: filters, tracker, best shot, filters, objects.
//!
//! Guarantees: a function of the records of the log in order, the settings and the plugins; it
//! reads no clock, and no pixels except those that it passes to filters with access to them. It
//! requests that a frame is retained ([`Event::Keep`]) while the frame is available. One
//! [`TypePipeline`] for each object type; types are independent of each other. At a gap all tracks
//! end, and every plugin restarts.
//!
//! | file | owns |
//! |---|---|
//! | `type_pipeline` | one object type: filters, tracker, selection of shots, reports |
//! | `track` | one open track: its shots, its history, its realtime window |
//! | `event` | output: frames to retain, objects, decisions (`decision`, `decision_recorder`) |
//! | `plugins` | choice of plugins by the settings, and the settings of each |
//! | `calls` | the calls of plugins, as traits |

mod calls;
mod decision;
mod decision_recorder;
mod event;
mod plugins;
mod track;
mod type_pipeline;

use std::{collections::BTreeMap, sync::Arc};

use ocellus_core::{
    DetectorSettings, FrameRecord, JobId, ObjectType, PluginUse, Size, StreamSettings, Timestamp, TrackId,
};
use ocellus_runtime::{FilterSlot, FrameInfo, Pixels, PluginError, Plugins, StreamInfo};
use ocellus_store::{Gap, LogHeader};

pub use self::decision::{Decision, DecisionStage};
pub(crate) use self::{
    event::{Event, Role, Sample, TrackKey, take_boxes},
    plugins::{compares_appearances, plugins_of},
    track::ShotRule,
};
use self::{track::Now, type_pipeline::TypePipeline};

pub(crate) struct Analysis {
    types: Vec<TypePipeline>,
    clock: StreamClock,
    opening: Opening,
    /// Usage of the plugin sessions that a gap ended, by plugin name.
    before_gap: BTreeMap<String, PluginUse>,
    /// Whether a gap lies before the next frame.
    after_gap: bool,
}

/// Parameters that the sessions of plugins are opened with.
struct Opening {
    plugins: Plugins,
    job: JobId,
    settings: StreamSettings,
    shot_rule: ShotRule,
    explain: bool,
    report_boxes: bool,
    follow_canaries: bool,
}

impl Opening {
    /// A pipeline for each object type, for the frames after a header.
    fn types(&self, header: &LogHeader) -> Result<Vec<TypePipeline>, PluginError> {
        let chosen: Vec<&str> = self.settings.chosen_filters().collect();
        let open = |(t, d): (&ObjectType, &DetectorSettings)| {
            let LogHeader { frame_size: size, frame_rate, .. } = *header;
            let stream = StreamInfo { object_type: t.clone(), size, frame_rate };
            let (own, scores) = (&self.settings.plugins, header.scores_of(t));
            let mut pipeline = TypePipeline::open(&self.plugins, self.job, d, &chosen, own, stream, scores)?;
            (pipeline.recorder.is_enabled, pipeline.shot_rule) = (self.explain, self.shot_rule);
            pipeline.reports_boxes = self.report_boxes;
            if self.follow_canaries {
                pipeline.follow_canaries();
            }
            Ok(pipeline)
        };
        self.settings.active().map(open).collect()
    }
}

impl Analysis {
    /// Opens a session of every plugin that the settings name, for the frames after a header.
    pub(crate) fn open(
        plugins: &Plugins,
        job: JobId,
        settings: &StreamSettings,
        shot_rule: ShotRule,
        header: &LogHeader,
        explain: bool,
    ) -> Result<Self, PluginError> {
        let (plugins, settings) = (plugins.clone(), settings.clone());
        let start = settings.use_stream_timestamp.then_some(settings.start_stream_timestamp);
        let opening =
            Opening { plugins, job, settings, shot_rule, explain, report_boxes: false, follow_canaries: false };
        let types = opening.types(header)?;
        Ok(Self { types, clock: StreamClock { start }, opening, before_gap: BTreeMap::new(), after_gap: false })
    }

    /// Makes all plugin calls to the plugins' canaries, too, without effect.
    pub(crate) fn follow_canaries(&mut self) {
        self.opening.follow_canaries = true;
        self.types.iter_mut().for_each(TypePipeline::follow_canaries);
    }

    /// Reports the boxes of tracks, frame by frame, from now on.
    pub(crate) fn report_boxes(&mut self) {
        self.opening.report_boxes = true;
        self.types.iter_mut().for_each(|pipeline| pipeline.reports_boxes = true);
    }

    /// An upper bound of the track numbers so far, for each object type.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (&ObjectType, TrackId)> {
        self.types.iter().map(|pipeline| (&pipeline.recorder.object_type, pipeline.last))
    }

    /// Restarts after a gap, once [`Self::finish`] has ended the tracks before it; track numbers
    /// continue.
    pub(crate) fn resume_after(&mut self, gap: &Gap) -> Result<(), PluginError> {
        self.before_gap = self.report();
        self.after_gap = true;
        let fresh = self.opening.types(&gap.header)?;
        let before = std::mem::replace(&mut self.types, fresh);
        for pipeline in &mut self.types {
            let object_type = &pipeline.recorder.object_type;
            let own = before.iter().filter(|b| b.recorder.object_type == *object_type).map(|b| b.last);
            let logged = gap.tracks.iter().filter(|(t, _)| t == object_type).map(|(_, last)| *last);
            pipeline.base = own.chain(logged).max().unwrap_or(TrackId(0));
            pipeline.last = pipeline.base;
        }
        Ok(())
    }

    /// Whether a filter has access to crops: a replay has to decode then.
    pub(crate) fn reads_crops(&self) -> bool {
        self.types.iter().any(|pipeline| pipeline.filters.iter().any(FilterSlot::reads_crops))
    }

    /// Processes the next record of the log. `size` and `pixels` are those of its frame; pixels
    /// only where they are available.
    pub(crate) fn frame(
        &mut self,
        record: &FrameRecord,
        size: Size,
        pixels: Option<Arc<dyn Pixels>>,
    ) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        if record.is_static {
            return Ok(events);
        }
        let cut = std::mem::take(&mut self.after_gap) || record.cut;
        let now = Now {
            frame: FrameInfo { index: record.index, time: record.time, size, cut },
            timestamp: self.clock.timestamp(record),
            pixels,
        };
        for pipeline in &mut self.types {
            let detections =
                record.detections.iter().find(|(t, _)| *t == pipeline.recorder.object_type).map_or(&[][..], |(_, d)| d);
            let tracklets = record.tracklets.iter().find(|(t, _)| *t == pipeline.recorder.object_type);
            pipeline.frame(&now, detections, tracklets.map(|(_, tracklets)| tracklets), &mut events)?;
        }
        Ok(events)
    }

    /// Usage of each plugin so far, by its name.
    pub(crate) fn report(&mut self) -> BTreeMap<String, PluginUse> {
        let mut all = self.before_gap.clone();
        for pipeline in &mut self.types {
            let tracker = (pipeline.tracker.name().to_owned(), pipeline.tracker.report());
            for (name, used) in pipeline.filters.iter_mut().map(|f| (f.name().to_owned(), f.report())).chain([tracker])
            {
                all.entry(name).or_default().add(&used);
            }
        }
        all
    }

    /// Ends every track that is still open.
    pub(crate) fn finish(&mut self) -> Result<Vec<Event>, PluginError> {
        let mut events = Vec::new();
        for pipeline in &mut self.types {
            pipeline.finish(&mut events)?;
            pipeline.filters.iter_mut().for_each(FilterSlot::finish);
        }
        Ok(events)
    }
}

/// Clock of the timestamps that users see: stream time from `start` (Unix seconds), or the server's
/// clock as logged.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: f64, wall_us: i64) -> FrameRecord {
        FrameRecord {
            index: 0,
            time,
            wall_us,
            cut: false,
            is_static: false,
            detections: Vec::new(),
            tracklets: Vec::new(),
        }
    }

    #[test]
    fn stream_time_counts_from_the_configured_start() {
        let clock = StreamClock { start: Some(1_700_000_000) };
        assert_eq!(clock.timestamp(&record(2.5, 9)).as_microsecond(), 1_700_000_002_500_000);
        let beyond = StreamClock { start: Some(1_000_000_000_000_000) };
        assert_eq!(beyond.timestamp(&record(2.5, 9)), Timestamp::UNIX_EPOCH, "a time that no calendar has");
    }

    #[test]
    fn without_a_start_a_timestamp_is_the_time_of_processing() {
        assert_eq!(StreamClock { start: None }.timestamp(&record(2.5, 1_234)).as_microsecond(), 1_234);
    }
}
