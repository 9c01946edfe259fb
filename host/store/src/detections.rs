//! Detection log of a job: the detections of each frame, and the gaps in a live stream.
//!
//! The first record is a [`LogHeader`], each later one a [`FrameRecord`] or a [`Gap`], encoded by
//! postcard. A gap has [`GAP`] in place of a frame number. Tracklets of a frame and scores of a
//! header, if any, are appended to the record that holds the frame or header, so that a log without
//! them is byte for byte as release 0.1 wrote it.
//!
//! Guarantees: frame numbers ascend over the whole log, across gaps. A log has one writer, its job.

use std::path::{Path, PathBuf};

use ocellus_core::{FrameRecord, ObjectId, ObjectType, ScoreThresholds, Size, TrackId, Tracklets};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{decode_extended, encode, encode_extended},
    disk::Disk,
    error::Result,
    log::{Kind, LogReader, LogWriter},
};

/// Value in place of a frame number that marks a gap; no frame has this number.
const GAP: u64 = u64::MAX;

/// Header of a detection log: how the frames after it were detected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogHeader {
    /// Size of every frame, in pixels.
    pub frame_size: Size,
    /// Frames per second, where the source declares it.
    pub frame_rate: Option<f64>,
    /// Object types that were detected.
    pub types: Vec<ObjectType>,
    /// Name and digest of each detector, and of each embedder that described detections.
    pub detectors: Vec<(String, String)>,
    /// Score thresholds by object type; all detections of a type without an entry count.
    #[serde(skip)]
    pub scores: Scores,
}

type Scores = Vec<(ObjectType, ScoreThresholds)>;

impl LogHeader {
    fn parse(path: &Path, payload: &[u8]) -> Result<Self> {
        let (header, scores) = decode_extended(path, payload)?;
        Ok(Self { scores, ..header })
    }

    /// Score thresholds of a type.
    pub fn scores_of(&self, object_type: &ObjectType) -> ScoreThresholds {
        self.scores.iter().find(|(t, _)| t == object_type).map(|(_, scores)| *scores).unwrap_or_default()
    }
}

/// Time in which a live source was not recorded, because the server was down. All tracks end here.
/// Frame numbers and stream times continue those of the last frame before the gap, as if no time
/// had passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// How the frames after it were detected.
    pub header: LogHeader,
    /// The server's clock when the source was opened again, in microseconds since the Unix epoch.
    pub wall_us: i64,
    /// By object type, an upper bound of the track numbers before the gap; tracks after it have
    /// higher numbers.
    pub tracks: Vec<(ObjectType, TrackId)>,
    /// Objects of frames before the gap that were never reported, because the frames for their
    /// pictures were lost with the server's memory.
    pub lost: Vec<ObjectId>,
}

impl Gap {
    fn parse(path: &Path, payload: &[u8]) -> Result<Self> {
        let ((_, gap), scores): ((u64, Self), Scores) = decode_extended(path, payload)?;
        Ok(Self { header: LogHeader { scores, ..gap.header }, ..gap })
    }
}

/// Record of a detection log after its header.
#[derive(Clone, Debug, PartialEq)]
pub enum DetectionRecord {
    /// A frame with its detections.
    Frame(FrameRecord),
    /// A gap before the next frame.
    Gap(Gap),
}

/// Whether a record is a gap, without decoding it.
fn is_gap(payload: &[u8]) -> bool {
    postcard::take_from_bytes::<u64>(payload).is_ok_and(|(number, _)| number == GAP)
}

impl DetectionRecord {
    fn parse(path: &Path, payload: &[u8]) -> Result<Self> {
        if is_gap(payload) {
            return Gap::parse(path, payload).map(Self::Gap);
        }
        frame(path, payload).map(Self::Frame)
    }
}

fn frame(path: &Path, payload: &[u8]) -> Result<FrameRecord> {
    let (frame, tracklets): (FrameRecord, Vec<(ObjectType, Tracklets)>) = decode_extended(path, payload)?;
    Ok(FrameRecord { tracklets, ..frame })
}

/// State of a detection log that is continued.
#[derive(Clone, Debug, PartialEq)]
pub struct ResumePoint {
    /// How the frames after the last gap were detected.
    pub header: LogHeader,
    /// How many gaps there are.
    pub gaps: u64,
    /// The last frame, if there is one.
    pub last: Option<FrameRecord>,
}

/// Appends to a detection log. What was appended is durable after [`DetectionWriter::sync`].
pub struct DetectionWriter {
    path: PathBuf,
    log: LogWriter,
}

impl DetectionWriter {
    /// Begins a log, in place of an existing one.
    pub(crate) fn begin(disk: &Disk, path: PathBuf, header: &LogHeader) -> Result<Self> {
        disk.remove(&path)?;
        let (log, ()) = LogWriter::open(disk, &path, Kind::Detections, |(), _, _| Ok(()))?;
        let mut writer = Self { path, log };
        writer.put_scored(header, &header.scores)?;
        writer.sync()?;
        Ok(writer)
    }

    /// Opens a log to continue it; `None` where it does not exist or has no header.
    pub(crate) fn resume(disk: &Disk, path: PathBuf) -> Result<Option<(Self, ResumePoint)>> {
        if LogReader::open(&path, Kind::Detections)?.is_none() {
            return Ok(None);
        }
        #[derive(Default)]
        struct Found {
            header: Option<LogHeader>,
            gaps: u64,
            last: Vec<u8>,
        }
        // Only the header, the gaps and the last frame are decoded.
        let (log, Found { header, gaps, last }) =
            LogWriter::open(disk, &path, Kind::Detections, |found: &mut Found, _, payload| {
                if found.header.is_none() {
                    found.header = Some(LogHeader::parse(&path, payload)?);
                } else if is_gap(payload) {
                    found.header = Some(Gap::parse(&path, payload)?.header);
                    found.gaps += 1;
                } else {
                    found.last.clear();
                    found.last.extend_from_slice(payload);
                }
                Ok(())
            })?;
        let Some(header) = header else { return Ok(None) };
        let last = if last.is_empty() { None } else { Some(frame(&path, &last)?) };
        Ok(Some((Self { path, log }, ResumePoint { header, gaps, last })))
    }

    /// Appends a frame, whose number is higher than that of the frame before.
    pub fn append(&mut self, frame: &FrameRecord) -> Result<()> {
        if frame.tracklets.is_empty() {
            return self.put(frame);
        }
        self.log.append(&encode_extended(&self.path, frame, &frame.tracklets)?).map(|_| ())
    }

    /// Appends a gap.
    pub fn append_gap(&mut self, gap: &Gap) -> Result<()> {
        self.put_scored(&(GAP, gap), &gap.header.scores)
    }

    fn put_scored(&mut self, record: &impl Serialize, scores: &Scores) -> Result<()> {
        if scores.is_empty() {
            return self.put(record);
        }
        self.log.append(&encode_extended(&self.path, record, scores)?).map(|_| ())
    }

    /// Appends a record without an added part.
    fn put(&mut self, record: &impl Serialize) -> Result<()> {
        self.log.append(&encode(&self.path, record)?).map(|_| ())
    }

    /// Makes all that was appended durable.
    pub fn sync(&mut self) -> Result<()> {
        self.log.sync()
    }
}

/// Reads a detection log. Damaged records are skipped; a torn record ends the log.
pub struct DetectionReader {
    path: PathBuf,
    log: LogReader,
    header: LogHeader,
}

impl DetectionReader {
    /// Opens a log by its file; `None` where there is none or it has no header.
    ///
    /// # Errors
    /// `Damaged` where the header cannot be decoded, `Newer` where a later release wrote it.
    pub fn open(path: PathBuf) -> Result<Option<Self>> {
        let Some(mut log) = LogReader::open(&path, Kind::Detections)? else { return Ok(None) };
        let Some(payload) = log.next_record()? else { return Ok(None) };
        let header = LogHeader::parse(&path, &payload)?;
        Ok(Some(Self { path, log, header }))
    }

    /// How the frames before the first gap were detected.
    pub fn header(&self) -> &LogHeader {
        &self.header
    }
}

impl Iterator for DetectionReader {
    type Item = Result<DetectionRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let payload = self.log.next_record().transpose()?;
        Some(payload.and_then(|p| DetectionRecord::parse(&self.path, &p)))
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{JobId, TrackletId, VideoId};

    use super::*;

    fn header() -> LogHeader {
        let size = Size { width: 640, height: 272 };
        let detectors = vec![("cars".into(), "0f".repeat(32))];
        LogHeader {
            frame_size: size,
            frame_rate: Some(25.0),
            types: vec![ObjectType::car()],
            detectors,
            scores: vec![],
        }
    }

    fn frame(index: u64) -> FrameRecord {
        let detections = vec![(ObjectType::car(), Vec::new())];
        FrameRecord {
            index,
            time: index as f64 / 25.0,
            wall_us: 7,
            cut: false,
            is_static: false,
            detections,
            tracklets: Vec::new(),
        }
    }

    fn gap() -> Gap {
        let job = JobId { video: VideoId(3), number: 1 };
        let lost = vec![ObjectId { job, object_type: ObjectType::car(), track: TrackId(9), shot: 0 }];
        Gap {
            header: LogHeader { frame_rate: None, ..header() },
            wall_us: -5,
            tracks: vec![(ObjectType::car(), TrackId(9))],
            lost,
        }
    }

    fn writer(path: &Path) -> LogWriter {
        LogWriter::open::<()>(&Disk::default(), path, Kind::Detections, |(), _, _| Ok(())).unwrap().0
    }

    /// A log of release 0.1: a header, then frames, each in a record of its own.
    fn old_log(path: &Path, frames: &[FrameRecord]) {
        let mut log = writer(path);
        log.append(&postcard::to_stdvec(&header()).unwrap()).unwrap();
        for frame in frames {
            log.append(&postcard::to_stdvec(frame).unwrap()).unwrap();
        }
        log.sync().unwrap();
    }

    #[test]
    fn frames_and_gaps_are_read_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("detections.log");
        old_log(&path, &[frame(0), frame(u64::MAX - 1)]);
        let mut writer = DetectionWriter { path: path.clone(), log: writer(&path) };
        writer.append_gap(&gap()).unwrap();
        writer.append(&frame(2)).unwrap();
        writer.sync().unwrap();
        let reader = DetectionReader::open(path).unwrap().unwrap();
        assert_eq!(reader.header(), &header());
        let all: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(
            all,
            [
                DetectionRecord::Frame(frame(0)),
                DetectionRecord::Frame(frame(u64::MAX - 1)),
                DetectionRecord::Gap(gap()),
                DetectionRecord::Frame(frame(2))
            ]
        );
    }

    #[test]
    fn a_frame_with_tracklets_can_be_read_by_release_0_1() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("detections.log");
        let id = |frame| TrackletId { frame, place: 0 };
        let tracklets =
            Tracklets { ids: vec![id(5)], replaced: vec![(id(5), id(2))], embeddings: vec![(0, vec![0.5, -1.0])] };
        let with = FrameRecord { tracklets: vec![(ObjectType::car(), tracklets)], ..frame(5) };
        old_log(&path, &[frame(4)]);
        let mut log = DetectionWriter { path: path.clone(), log: writer(&path) };
        log.append(&with).unwrap();
        log.append(&frame(6)).unwrap();
        log.sync().unwrap();
        let all: Vec<_> = DetectionReader::open(path.clone()).unwrap().unwrap().map(Result::unwrap).collect();
        assert_eq!(all, [frame(4), with.clone(), frame(6)].map(DetectionRecord::Frame));
        let payload = encode_extended(&path, &with, &with.tracklets).unwrap();
        assert_eq!(postcard::from_bytes::<FrameRecord>(&payload).unwrap(), frame(5));
        drop(log);
        let (mut log, _) = DetectionWriter::resume(&Disk::default(), path.clone()).unwrap().unwrap();
        log.append(&FrameRecord { index: 7, ..with.clone() }).unwrap();
        log.sync().unwrap();
        let (_, resume) = DetectionWriter::resume(&Disk::default(), path).unwrap().unwrap();
        assert_eq!(resume.last, Some(FrameRecord { index: 7, ..with }));
    }

    #[test]
    fn a_header_with_scores_can_be_read_by_release_0_1() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("detections.log");
        let scores = |min| vec![(ObjectType::car(), ScoreThresholds { min, sure: 0.75 })];
        let with = LogHeader { scores: scores(0.5), ..header() };
        let after = Gap { header: LogHeader { scores: scores(0.25), ..header() }, ..gap() };
        let mut log = DetectionWriter::begin(&Disk::default(), path.clone(), &with).unwrap();
        log.append(&frame(0)).unwrap();
        log.append_gap(&after).unwrap();
        log.sync().unwrap();
        let reader = DetectionReader::open(path.clone()).unwrap().unwrap();
        assert_eq!(reader.header(), &with);
        assert_eq!(reader.header().scores_of(&ObjectType::car()).min, 0.5);
        assert_eq!(reader.header().scores_of(&ObjectType::face()), ScoreThresholds::default());
        let all: Vec<_> = reader.map(Result::unwrap).collect();
        assert_eq!(all, [DetectionRecord::Frame(frame(0)), DetectionRecord::Gap(after.clone())]);
        let payload = encode_extended(&path, &with, &with.scores).unwrap();
        assert_eq!(postcard::from_bytes::<LogHeader>(&payload).unwrap(), header());
        drop(log);
        let (_, resume) = DetectionWriter::resume(&Disk::default(), path).unwrap().unwrap();
        assert_eq!(resume.header, after.header);
    }

    #[test]
    fn a_log_without_gaps_equals_one_of_release_0_1() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        old_log(&old, &[frame(0), frame(1)]);
        let mut log = DetectionWriter { path: new.clone(), log: writer(&new) };
        log.put(&header()).unwrap();
        log.append(&frame(0)).unwrap();
        log.append(&frame(1)).unwrap();
        log.sync().unwrap();
        assert_eq!(std::fs::read(old).unwrap(), std::fs::read(new).unwrap());
    }
}
