//! Output stage: log, analysis, archive.
//!
//! Owns the detection log while it grows, the frames retained for open tracks, and the objects that
//! are not in the archive yet. Guarantees: an object goes into the archive after the part of the
//! log that it is derived from, and to the outbox after that.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use ocellus_core::{
    BestShotType, CpuLaps, Error, Feature, FrameRecord, ObjectId, ObjectRecord, Result, ShotSummary, Stage,
};
use ocellus_detect::RawDetection;
use ocellus_media::{Frame, Scaler};
use ocellus_store::{DetectionWriter, Embedding, Gap, Job, NewObject, Picture};

use super::{context::Context, decode::FrameInFlight, measure::Measurer, track_boxes::TrackBoxes};
use crate::{
    analysis::{Analysis, Event, Role, Sample, TrackKey, take_boxes},
    cut::SceneChange,
    features,
    frame_reader::FrameReader,
    identity::{self, Crop},
    pictures::{self, Frames, pixels},
    source::FramePosition,
    tracklet::TrackletBuilder,
};

/// Frames after which the plugins' part of the statistic is updated.
const REPORT_EVERY: u64 = 16;
/// Interval of syncs of the log; it is also synced before every object that is derived from it.
const SYNC_EVERY: Duration = Duration::from_secs(2);
/// Greatest number of objects of one frame that go into the archive at once; their pictures are in
/// memory until then.
const BATCH: usize = 8;

/// An object's pictures, JPEG or PNG.
type Files = Vec<(Picture, Vec<u8>)>;
/// The frames of an object's best, first and last shot; the latter if the settings require them.
type ObjectFrames = (Frame, Option<Frame>, Option<Frame>);

pub(super) struct Output<'a> {
    pub context: &'a Context<'a>,
    pub job: Job,
    pub measurer: Measurer<'a>,
    pub writer: DetectionWriter,
    pub boxes: TrackBoxes,
    pub tracklets: TrackletBuilder<'a>,
    pub analysis: Analysis,
    /// Reads frames from before an interruption again; `None` for a live source, which has each
    /// frame only once.
    pub reader: Option<FrameReader>,
    /// CPU time of the job's own thread.
    pub laps: CpuLaps<'a>,
    /// Number of frames in the log.
    pub frames: u64,
    pub state: State,
}

/// Results that are not written yet.
pub(super) struct State {
    synced: Instant,
    /// The frames retained for open tracks.
    retained: HashMap<(TrackKey, Role), Frame>,
    /// Objects that are not in the archive yet.
    reported: Vec<NewObject>,
    scaler: Scaler,
}

impl Default for State {
    fn default() -> Self {
        Self { synced: Instant::now(), retained: HashMap::new(), reported: Vec::new(), scaler: Scaler::new() }
    }
}

impl Output<'_> {
    /// Logs a frame with its detections, and handles the resulting events.
    pub(super) fn take(&mut self, in_flight: &FrameInFlight, raw: Vec<RawDetection>) -> Result<()> {
        // If the pixels of the frame are gone, that is the cause of any error, and reported
        // instead.
        self.take_through(in_flight, raw).map_err(|error| in_flight.frame.check().map_or_else(Error::from, |()| error))
    }

    fn take_through(&mut self, in_flight: &FrameInFlight, raw: Vec<RawDetection>) -> Result<()> {
        let record = self.log(in_flight, raw)?;
        self.frames += 1;
        self.laps.lap(Stage::Other);
        let frame = &in_flight.frame;
        let mut events = self.analysis.frame(&record, frame.size(), Some(pixels(frame)))?;
        self.laps.lap(Stage::Plugins);
        self.boxes.add(record.time, take_boxes(&mut events));
        self.handle(Some(frame), events)?;
        self.context.progress.frame(&record, frame.size());
        if self.frames.is_multiple_of(REPORT_EVERY) {
            self.report_plugins();
        }
        Ok(())
    }

    /// Makes the measurements that later stages need from the pixels, and appends the frame to the
    /// log.
    fn log(
        &mut self,
        FrameInFlight { frame, change, is_static, taken_us }: &FrameInFlight,
        raw: Vec<RawDetection>,
    ) -> Result<FrameRecord> {
        self.laps.lap(Stage::Other);
        let detections = self.measurer.measure(frame, &raw, self.context.progress.cpu())?;
        let wall_us = taken_us.unwrap_or_else(|| self.context.clock.now().as_microsecond());
        let mut record = FrameRecord {
            index: frame.index(),
            time: frame.time(),
            wall_us,
            cut: *change == SceneChange::Cut,
            is_static: *is_static,
            detections,
            tracklets: Vec::new(),
        };
        self.tracklets.follow(frame, *change, &mut record, self.context.progress.cpu())?;
        self.laps.lap(Stage::Measure);
        // Measurements without pixels would be wrong.
        frame.check()?;
        self.writer.append(&record)?;
        if self.state.synced.elapsed() > SYNC_EVERY {
            self.sync()?;
        }
        Ok(record)
    }

    /// Makes the log durable.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.state.synced = Instant::now();
        Ok(self.writer.sync()?)
    }

    pub(super) fn report_plugins(&mut self) {
        self.context.progress.update(|s| s.plugins = self.analysis.report());
    }

    /// Ends the tracks that are open, and writes everything to the disk.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.laps.lap(Stage::Other);
        let events = self.analysis.finish();
        self.laps.lap(Stage::Plugins);
        let events = self.without_lost(events?);
        self.handle(None, events)?;
        self.boxes.finish();
        self.sync()
    }

    /// Leaves out the objects whose pictures were lost with their decoder, and cannot be read from
    /// the source again.
    fn without_lost(&mut self, mut events: Vec<Event>) -> Vec<Event> {
        if self.state.retained.values().all(|frame| frame.check().is_ok()) {
            return events;
        }
        let (all, job) = (events.len(), self.job.id());
        events.retain(|event| match event {
            Event::Object(object) => self.frames_of(object).is_ok(),
            _ => true,
        });
        let lost = all - events.len();
        if lost > 0 {
            tracing::warn!(%job, lost, "job {job}: {lost} objects are lost: their pictures were lost with the decoder");
        }
        events
    }

    /// Handles events. `frame`: the frame that they result from; `None` at the end of a source.
    fn handle(&mut self, frame: Option<&Frame>, mut events: Vec<Event>) -> Result<()> {
        // Objects in the archive were reported before the interruption.
        events.retain(|event| !matches!(event, Event::Object(object) if self.job.has_object(&object.id)));
        let objects =
            events.iter().filter_map(|event| if let Event::Object(object) = event { Some(&**object) } else { None });
        let samples = events.iter().filter_map(|event| match event {
            Event::Samples(track, samples) => Some((track, samples.as_slice())),
            _ => None,
        });
        self.embed(frame, objects, &samples.collect())?;
        let handled = events.into_iter().try_for_each(|event| self.event(frame, event));
        // Objects from before a failure are archived, too.
        self.archive_objects().and(handled)
    }

    fn event(&mut self, frame: Option<&Frame>, event: Event) -> Result<()> {
        match event {
            Event::Keep(track, role) => {
                if let Some(frame) = frame {
                    self.state.retained.insert((track, role), frame.clone());
                }
            }
            Event::Dropped(track) => self.release(&track),
            Event::Object(object) => self.report(*object)?,
            // Samples are included in the embeddings by now, boxes are stored with the tracks, and
            // only replays record decisions.
            Event::Samples(..) | Event::Decision(_) | Event::Box(..) => {}
        }
        Ok(())
    }

    /// Reports objects derived from the log before the interruption, with pictures from the source.
    pub(super) fn catch_up(&mut self, unarchived: Vec<Event>) -> Result<()> {
        self.handle(None, unarchived)
    }

    /// Ends the tracks of a live source from before the interruption, and restarts the analysis
    /// after the gap. Objects whose frames were only in memory get the pictures of a realtime shot
    /// of their track at the same moment; those without one are lost. `unarchived`: objects that
    /// are derived from the log and are not in the archive.
    pub(super) fn resume_after_gap(&mut self, unarchived: Vec<Event>, mut gap: Gap) -> Result<()> {
        let events = unarchived.into_iter().chain(self.analysis.finish()?);
        let objects = events.filter_map(|event| if let Event::Object(object) = event { Some(*object) } else { None });
        for object in objects.filter(|object| !self.job.has_object(&object.id)).collect::<Vec<_>>() {
            match self.earlier_shot(&object)? {
                Some((pictures, features)) => {
                    self.state.reported.push(NewObject { record: ObjectRecord { features, ..object }, pictures });
                    self.archive_objects()?;
                }
                None => gap.lost.push(object.id),
            }
        }
        let mut tracks = self.job.highest_tracks();
        for (object_type, last) in self.analysis.tracks() {
            let greatest = tracks.entry(object_type.clone()).or_insert(last);
            *greatest = last.max(*greatest);
        }
        gap.tracks = tracks.into_iter().collect();
        if !gap.lost.is_empty() {
            let (job, lost) = (self.job.id(), gap.lost.len());
            tracing::warn!(
                %job, lost,
                "job {job}: {lost} objects are lost: their pictures were in the memory of a server that ended"
            );
        }
        self.writer.append_gap(&gap)?;
        self.sync()?;
        Ok(self.analysis.resume_after(&gap)?)
    }

    /// Pictures and features of a realtime shot with the same best shot, where the archive has one.
    fn earlier_shot(&self, object: &ObjectRecord) -> Result<Option<(Files, Vec<Feature>)>> {
        let archive = self.context.archive;
        for shot in 1.. {
            let Some(earlier) = archive.object(&ObjectId { shot, ..object.id.clone() })? else { break };
            if earlier.best.place() != object.best.place() {
                continue;
            }
            let mut pictures = Vec::new();
            for picture in [Picture::Thumbnail, Picture::Fullframe, Picture::Normalized] {
                if let Some(file) = archive.picture(&earlier.id, picture) {
                    pictures.push((picture, std::fs::read(file.path).map_err(Error::internal)?));
                }
            }
            return Ok(Some((pictures, earlier.features)));
        }
        Ok(None)
    }

    /// Archives the embeddings of objects whose tracks have ended, as one batch. `samples`: those
    /// of their tracks.
    fn embed<'o>(
        &mut self,
        frame: Option<&Frame>,
        objects: impl Iterator<Item = &'o ObjectRecord>,
        samples: &HashMap<&TrackKey, &[Sample]>,
    ) -> Result<()> {
        let mut ended = Vec::new();
        for object in objects.filter(|object| object.bs_type == BestShotType::Overall) {
            // The best shot may be in this frame, which is not retained yet.
            let best = frame.filter(|frame| frame.index() == object.best.frame).cloned();
            let best = best.map_or_else(|| self.frame_of(object, Role::Best, &object.best), Ok)?;
            ended.push((object, best));
        }
        let crops: Vec<_> = ended.iter().map(|(object, frame)| Crop::object(frame, object)).collect();
        self.laps.lap(Stage::Other);
        let vectors = identity::embed(self.context.embedders, &crops, self.context.progress.cpu())?;
        self.laps.lap(Stage::Embed);
        let embeddings = ended.iter().zip(vectors).filter_map(|((object, _), vector)| {
            let (source, same) = identity::measure(self.context.embedders, &object.id.object_type);
            let samples = samples.get(&(object.id.object_type.clone(), object.id.track)).copied();
            let best = Sample { quality: object.best.quality, vector: vector? };
            let (vector, spread) = identity::template(best, samples.unwrap_or_default(), same);
            Some(Embedding { object: object.id.clone(), embedder: source.to_owned(), vector, spread })
        });
        let embeddings: Vec<_> = embeddings.collect();
        if embeddings.is_empty() { Ok(()) } else { Ok(self.job.append_embeddings(&embeddings)?) }
    }

    /// Drops the frames retained for a track.
    fn release(&mut self, track: &TrackKey) {
        self.state.retained.retain(|(kept, _), _| kept != track);
    }

    /// Makes the pictures and features of an object, which goes into the archive with the others of
    /// its frame.
    fn report(&mut self, mut object: ObjectRecord) -> Result<()> {
        let frames = self.frames_of(&object)?;
        self.laps.lap(Stage::Other);
        let Context { classifiers, spec, progress, .. } = *self.context;
        object.features = features::classify(classifiers, &spec.stream_settings, &frames.0, &object, progress.cpu())?;
        self.laps.lap(Stage::Embed);
        let pictures = self.pictures(&object, &frames)?;
        if object.end_of_track {
            self.release(&(object.id.object_type.clone(), object.id.track));
        }
        self.state.reported.push(NewObject { record: object, pictures });
        if self.state.reported.len() < BATCH { Ok(()) } else { self.archive_objects() }
    }

    /// The frame of a shot: a retained one or, from before an interruption, one from the source.
    fn frame_of(&mut self, object: &ObjectRecord, role: Role, shot: &ShotSummary) -> Result<Frame> {
        let key = ((object.id.object_type.clone(), object.id.track), role);
        let kept = self.state.retained.get(&key).filter(|frame| frame.index() == shot.frame);
        if let Some(frame) = kept.filter(|frame| frame.check().is_ok() || self.reader.is_none()) {
            return Ok(frame.check().map(|()| frame.clone())?);
        }
        let reader =
            self.reader.as_mut().ok_or_else(|| Error::internal(format!("no frame was kept for {}", object.id)))?;
        let frame = reader.frame(FramePosition::from(shot))?;
        self.state.retained.insert(key, frame.clone());
        Ok(frame)
    }

    /// The frames that an object's pictures show: the best, the first and the last.
    fn frames_of(&mut self, object: &ObjectRecord) -> Result<ObjectFrames> {
        let settings = &self.context.spec.stream_settings;
        let detector = settings
            .detector(&object.id.object_type)
            .ok_or_else(|| Error::internal(format!("{} is off", object.id)))?;
        let role = if object.bs_type == BestShotType::Overall { Role::Best } else { Role::Window };
        let best = self.frame_of(object, role, &object.best)?;
        let mut end =
            |wanted: bool, role, shot| if wanted { self.frame_of(object, role, shot).map(Some) } else { Ok(None) };
        let first = end(object.end_of_track && detector.post_first_track_frame, Role::First, &object.first)?;
        let last = end(object.end_of_track && detector.post_last_track_frame, Role::Last, &object.last)?;
        Ok((best, first, last))
    }

    fn pictures(&mut self, object: &ObjectRecord, (best, first, last): &ObjectFrames) -> Result<Files> {
        let settings = &self.context.spec.stream_settings;
        let detector = settings
            .detector(&object.id.object_type)
            .ok_or_else(|| Error::internal(format!("{} is off", object.id)))?;
        let frames = Frames { best, first: first.as_ref(), last: last.as_ref() };
        let pictures = pictures::encode(&mut self.state.scaler, &frames, object, settings, detector)?;
        self.laps.lap(Stage::Pictures);
        Ok(pictures)
    }

    /// Archives the reported objects, after the log that they are derived from, and hands them to
    /// the outbox.
    fn archive_objects(&mut self) -> Result<()> {
        if self.state.reported.is_empty() {
            return Ok(());
        }
        if let Some(reader) = &mut self.reader {
            reader.close();
        }
        self.sync()?;
        let objects = std::mem::take(&mut self.state.reported);
        let new = self.job.append_objects(&objects)?;
        objects.iter().for_each(|object| self.context.progress.object(&object.record.id.object_type));
        if let Some(outbox) = self.context.outbox {
            new.into_iter().for_each(|(id, number)| outbox.add(id, number));
        }
        Ok(())
    }
}
