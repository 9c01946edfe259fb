//! Boxes of a job's tracks by time: `tracks.log`.
//!
//! Tracks result from an analysis of the whole detection log with the settings and the plugins.
//! This file stores the result, so that showing ten seconds of a long recording needs no analysis.
//! All of it can be rebuilt: writing it waits for no fsync, and a file that is damaged or has no
//! end counts as missing once its job is over.
//!
//! A record is a [`Chunk`] of some seconds; the last one is [`END`].

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use ocellus_core::{ObjectType, TrackId};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{damaged, decode, encode},
    disk::Disk,
    error::Result,
    log::{Kind, LogReader, LogWriter},
};

/// Seconds of stream time in a record.
const SPAN: f64 = 10.0;
/// A record ends before [`SPAN`] where it would have more boxes than this.
const MAX_BOXES: usize = 4096;

/// The boxes of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackFrame {
    /// Stream time in seconds.
    pub time: f64,
    /// Each track with its box: left, top, right, bottom in pixels of the frame.
    pub boxes: Vec<(ObjectType, TrackId, [i32; 4])>,
}

/// Type (its index in the record's list), track and box.
type Packed = (u32, u64, [i32; 4]);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Chunk {
    /// Stream times of its first and its last frame.
    from: f64,
    to: f64,
    types: Vec<ObjectType>,
    frames: Vec<(f64, Vec<Packed>)>,
}

/// The last record, whose time range is empty.
const END: Chunk = Chunk { from: f64::INFINITY, to: f64::NEG_INFINITY, types: Vec::new(), frames: Vec::new() };

/// Writes the boxes of a job's tracks.
pub struct TrackWriter {
    path: PathBuf,
    log: LogWriter,
    chunk: Chunk,
    boxes: usize,
}

impl TrackWriter {
    /// Begins a file, in place of an existing one.
    pub(crate) fn begin(disk: &Disk, path: PathBuf) -> Result<Self> {
        disk.remove(&path)?;
        let (log, ()) = LogWriter::open(disk, &path, Kind::Tracks, |(), _, _| Ok(()))?;
        Ok(Self { path, log, chunk: Chunk::default(), boxes: 0 })
    }

    /// Adds a frame, later than those before it. Readers see it after [`Self::write_out`].
    ///
    /// # Errors
    /// `Io`, also where the disk is full: then the file is unusable.
    pub fn add(&mut self, frame: TrackFrame) -> Result<()> {
        let TrackFrame { time, boxes } = frame;
        if self.boxes + boxes.len() > MAX_BOXES || time - self.chunk.from >= SPAN {
            self.put()?;
        }
        if self.chunk.frames.is_empty() {
            self.chunk.from = time;
        }
        self.chunk.to = time;
        self.boxes += boxes.len();
        let types = &mut self.chunk.types;
        let pack = |(object_type, track, bbox): (ObjectType, TrackId, [i32; 4])| {
            let place = types.iter().position(|t| *t == object_type).unwrap_or_else(|| {
                types.push(object_type);
                types.len() - 1
            });
            (place as u32, track.0, bbox)
        };
        let packed = boxes.into_iter().map(pack).collect();
        self.chunk.frames.push((time, packed));
        Ok(())
    }

    /// Makes all frames visible to readers, but not durable.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn write_out(&mut self) -> Result<()> {
        self.put()?;
        self.log.write_out()
    }

    /// Ends the file, durably: it has all frames of its job.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn finish(mut self) -> Result<()> {
        self.put()?;
        self.log.append(&encode(&self.path, &END)?)?;
        self.log.sync()
    }

    fn put(&mut self) -> Result<()> {
        if self.chunk.frames.is_empty() {
            return Ok(());
        }
        self.log.append(&encode(&self.path, &self.chunk)?)?;
        (self.chunk, self.boxes) = (Chunk::default(), 0);
        Ok(())
    }
}

/// Reads the frames with times from `from` to `to`, both included, in order, until `each` breaks;
/// returns whether the file has all frames of its job, and `None` where there is none. Reads the
/// whole file, but decodes only the records of that time.
pub(crate) fn read(
    path: &Path,
    from: f64,
    to: f64,
    mut each: impl FnMut(TrackFrame) -> ControlFlow<()>,
) -> Result<Option<bool>> {
    let Some(mut log) = LogReader::open(path, Kind::Tracks)? else { return Ok(None) };
    let (mut is_wanted, mut has_ended) = (true, false);
    while let Some(payload) = log.next_record()? {
        let ((first, last), _): ((f64, f64), _) =
            postcard::take_from_bytes(&payload).map_err(|error| damaged(path, error))?;
        has_ended |= first > last;
        if !is_wanted || last < from || first > to {
            continue;
        }
        let Chunk { types, frames, .. } = decode(path, &payload)?;
        for (time, boxes) in frames.into_iter().filter(|(time, _)| (from..=to).contains(time)) {
            let unpack =
                |(place, track, bbox): Packed| Some((types.get(place as usize)?.clone(), TrackId(track), bbox));
            if each(TrackFrame { time, boxes: boxes.into_iter().filter_map(unpack).collect() }).is_break() {
                is_wanted = false;
                break;
            }
        }
    }
    Ok(Some(has_ended))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u32) -> TrackFrame {
        let (face, car) = (ObjectType::face(), ObjectType::car());
        let boxes = vec![(car, TrackId(u64::from(n / 7)), [-1, 2, 30, n as i32]), (face, TrackId(3), [0, 0, 5, 5])];
        TrackFrame { time: f64::from(n) / 4.0, boxes }
    }

    /// The frames of a time range, and whether the file has an end.
    fn between(path: &Path, from: f64, to: f64) -> Option<(Vec<TrackFrame>, bool)> {
        let mut frames = Vec::new();
        let mut each = |frame| {
            frames.push(frame);
            ControlFlow::Continue(())
        };
        let has_ended = read(path, from, to, &mut each).unwrap()?;
        Some((frames, has_ended))
    }

    #[test]
    fn the_frames_of_any_time_range_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracks.log");
        assert_eq!(between(&path, 0.0, 1e9), None);
        let mut writer = TrackWriter::begin(&Disk::default(), path.clone()).unwrap();
        let all: Vec<_> = (0..200).map(frame).collect();
        for frame in all.get(..100).unwrap() {
            writer.add(frame.clone()).unwrap();
        }
        writer.write_out().unwrap();
        assert_eq!(between(&path, 0.0, 1e9), Some((all.get(..100).unwrap().to_vec(), false)));
        for frame in all.get(100..).unwrap() {
            writer.add(frame.clone()).unwrap();
        }
        writer.finish().unwrap();
        for (from, to) in [(0.0, 1e9), (3.0, 3.0), (9.9, 10.1), (12.3, 41.2), (49.75, 60.0), (60.0, 70.0), (5.0, 4.0)] {
            let expected: Vec<_> = all.iter().filter(|f| f.time >= from && f.time <= to).cloned().collect();
            assert_eq!(between(&path, from, to), Some((expected, true)));
        }
        let mut first = None;
        let each = |frame: TrackFrame| {
            assert!(first.replace(frame.time).is_none(), "it breaks");
            ControlFlow::Break(())
        };
        assert_eq!(read(&path, 3.0, 1e9, each).unwrap(), Some(true));
        assert_eq!(first, Some(3.0));
    }

    #[test]
    fn a_truncated_file_has_no_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tracks.log");
        let mut writer = TrackWriter::begin(&Disk::default(), path.clone()).unwrap();
        (0..100).for_each(|n| writer.add(frame(n)).unwrap());
        writer.finish().unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, whole.get(..whole.len() - 3).unwrap()).unwrap();
        let (frames, has_ended) = between(&path, 0.0, 1e9).unwrap();
        assert!(!has_ended && frames.len() == 100);
        // A new file replaces it.
        TrackWriter::begin(&Disk::default(), path.clone()).unwrap().finish().unwrap();
        assert_eq!(between(&path, 0.0, 1e9), Some((Vec::new(), true)));
    }
}
