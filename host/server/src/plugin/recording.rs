//! Recording that a component is called with: a detection log of an archive, or the sample.

use std::path::Path;

use anyhow::{Context, Result};
use ocellus_core::{
    BestShotType, Detection, FrameRecord, JobId, ObjectId, ObjectRecord, ObjectType, ShotSummary, Size, Timestamp,
    TrackId, VideoId,
};
use ocellus_runtime::{FrameInfo, StreamInfo};
use ocellus_store::{DetectionReader, DetectionRecord, StoredJob};

/// Detection log of vehicles in three seconds of a street.
const SAMPLE: &[u8] = include_bytes!("../../samples/street.log");

/// The detections that a component is called with.
pub(super) struct Recording {
    pub(super) size: Size,
    frame_rate: Option<f64>,
    pub(super) object_type: ObjectType,
    frames: Vec<FrameRecord>,
}

impl Recording {
    /// The detection log of a video of the archive in `data`, or the sample; for one object type,
    /// or the first that was detected.
    pub(super) fn read(video: Option<u64>, data: Option<&Path>, object_type: Option<&ObjectType>) -> Result<Self> {
        let log = match (video, data) {
            (Some(video), Some(data)) => StoredJob::open(data, VideoId(video))?.detections()?,
            _ => {
                let path = std::env::temp_dir().join(format!("ocellus-sample-{}.log", std::process::id()));
                std::fs::write(&path, SAMPLE).with_context(|| format!("cannot write {}", path.display()))?;
                let log = DetectionReader::open(path.clone());
                std::fs::remove_file(path)?;
                log?
            }
        };
        let log = log.context("the video was not processed yet")?;
        let header = log.header().clone();
        let mut frames = Vec::new();
        let (mut after_gap, mut scores) = (false, header.clone());
        for logged in log {
            match logged? {
                // A tracker must not continue a track over a gap or a cut.
                DetectionRecord::Gap(gap) => (after_gap, scores) = (true, gap.header),
                DetectionRecord::Frame(mut frame) => {
                    // Weak detections are left out: only the settings of a job tell a tracker which
                    // ones are weak.
                    for (object_type, detections) in &mut frame.detections {
                        let scores = scores.scores_of(object_type);
                        detections.retain(|detection| !scores.is_weak(detection));
                    }
                    frames.push(FrameRecord { cut: frame.cut || std::mem::take(&mut after_gap), ..frame })
                }
            }
        }
        let was_detected =
            |t: &ObjectType| frames.iter().any(|f| f.detections.iter().any(|(s, d)| s == t && !d.is_empty()));
        let object_type = object_type.cloned().or_else(|| header.types.iter().find(|t| was_detected(t)).cloned());
        let object_type = object_type.context("nothing was detected in this recording")?;
        Ok(Self { size: header.frame_size, frame_rate: header.frame_rate, object_type, frames })
    }

    pub(super) fn stream(&self) -> StreamInfo {
        StreamInfo { object_type: self.object_type.clone(), size: self.size, frame_rate: self.frame_rate }
    }

    /// The object of a track with one detection.
    pub(super) fn object(&self, number: u64, frame: &FrameInfo, detection: &Detection) -> ObjectRecord {
        let shot = || ShotSummary {
            frame: frame.index,
            time: frame.time,
            timestamp: Timestamp::from_microsecond((frame.time * 1e6) as i64).unwrap_or_default(),
            bbox: detection.rect.to_pixels(self.size),
            score: detection.score,
            quality: detection.quality,
        };
        let job = JobId { video: VideoId(1), number: 1 };
        ObjectRecord {
            id: ObjectId { job, object_type: self.object_type.clone(), track: TrackId(number), shot: 0 },
            bs_type: BestShotType::Overall,
            end_of_track: true,
            landmarks: detection.landmarks,
            best: shot(),
            first: shot(),
            last: shot(),
            detections: 1,
            interpolated: 0,
            history: Vec::new(),
            attributes: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Each frame that was not skipped as static, with its detections of the object type.
    pub(super) fn frames(&self) -> impl Iterator<Item = (FrameInfo, &[Detection])> {
        self.frames.iter().filter(|f| !f.is_static).map(|f| {
            let detections = f.detections.iter().find(|(t, _)| *t == self.object_type).map_or(&[][..], |(_, d)| d);
            (FrameInfo { index: f.index, time: f.time, size: self.size, cut: f.cut }, detections)
        })
    }
}
