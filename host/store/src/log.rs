//! Append-only files of records.
//!
//! ```text
//! "OCLOG" kind(1) version(2)  { length(4) crc32(4) payload(length) }*      numbers little-endian
//! ```
//! The checksum covers the length, too, so that zeros, which a file system may leave where it had
//! no time to write, are not a record.
//!
//! Guarantees: a reader yields only records that were written, whole and in order. Bytes that are
//! not a record are either a **torn end**, as a crash leaves it, with no record after it, or
//! **damage**, with records after it. A reader skips damage and counts it. A writer truncates a
//! torn end before it appends, but never damage: it sets the damaged file aside and continues in a
//! copy with all records that can be read. After a failed write the log ends where it was last
//! synced.

use std::{
    fs::File,
    io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use tracing::debug;

use crate::{
    disk::{BackendFile, Disk},
    error::{At, Result, StoreError},
};

const MAGIC: &[u8; 5] = b"OCLOG";
/// Version of the framing and of the payloads; 2 since release 0.1.
const VERSION: u16 = 2;
/// Length of the header of a log, in bytes.
const HEAD: u64 = 8;
/// Length of the header of a record, in bytes.
const FRAME: u64 = 8;
/// Greatest length of a payload in bytes: a frame with a hundred thousand boxes. A greater one is
/// damage.
const LONGEST: u32 = 64 << 20;
/// Greatest number of bytes that are checksummed in search of the records after damage: random
/// bytes sometimes look like the header of a long record.
const SEARCH: u64 = 2 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Detections = b'D',
    Objects = b'O',
    Deliveries = b'P',
    Embeddings = b'E',
    Tracks = b'T',
}

/// The contents of a log without records.
pub(crate) fn empty(kind: Kind) -> [u8; HEAD as usize] {
    let [v0, v1] = VERSION.to_le_bytes();
    let [m0, m1, m2, m3, m4] = *MAGIC;
    [m0, m1, m2, m3, m4, kind as u8, v0, v1]
}

fn checksum(length: [u8; 4], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(payload);
    hasher.finalize()
}

/// Bytes that a reader skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Bytes that are not a record, with records after them.
    pub damaged: u64,
    /// Bytes at the end that are not a record.
    pub torn: u64,
}

/// Yields the records of a log with the offset where each begins.
pub(crate) struct LogReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    length: u64,
    unread: Unread,
    /// Bytes that may still be checksummed in search of records.
    search: u64,
}

impl LogReader {
    /// Opens a log; `None` where there is no such file, or one that is shorter than its header.
    pub(crate) fn open(path: &Path, kind: Kind) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.at(path)?,
        };
        let length = file.metadata().at(path)?.len();
        if length < HEAD {
            return Ok(None);
        }
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut found = [0; HEAD as usize];
        file.read_exact(&mut found).at(path)?;
        let expected = empty(kind);
        if found != expected {
            let [.., low, high] = found;
            let version = u16::from_le_bytes([low, high]);
            let same_kind = found.starts_with(expected.get(..6).unwrap_or_default());
            if same_kind && version > VERSION {
                return Err(StoreError::Newer {
                    path: path.to_path_buf(),
                    made_by: format!("version {version} of this log"),
                });
            }
        }
        // A damaged header of the log loses no record.
        let unread = Unread { damaged: if found == expected { 0 } else { HEAD }, torn: 0 };
        Ok(Some(Self { path: path.to_path_buf(), file, offset: HEAD, length, unread, search: SEARCH }))
    }

    /// Seeks to a record by its offset.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).at(&self.path)?;
        self.offset = offset;
        Ok(())
    }

    /// End of the record that was read last.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Beginning of the record `last`, which was read last.
    pub(crate) fn begin_of(&self, last: &[u8]) -> u64 {
        self.offset.saturating_sub(FRAME + last.len() as u64)
    }

    /// Bytes skipped so far.
    pub(crate) fn unread(&self) -> Unread {
        self.unread
    }

    /// The record at the current offset; `None` where there is none.
    pub(crate) fn record_here(&mut self) -> Result<Option<Vec<u8>>> {
        let left = self.length.saturating_sub(self.offset);
        if left < FRAME {
            return Ok(None);
        }
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        if !self.fill(&mut length)? || !self.fill(&mut crc)? {
            return Ok(None);
        }
        let bytes = u32::from_le_bytes(length);
        if bytes > LONGEST || u64::from(bytes) > left - FRAME {
            return Ok(None);
        }
        let mut payload = vec![0; bytes as usize];
        if !self.fill(&mut payload)? {
            return Ok(None);
        }
        if checksum(length, &payload) != u32::from_le_bytes(crc) {
            return Ok(None);
        }
        self.offset += FRAME + u64::from(bytes);
        Ok(Some(payload))
    }

    /// Fills `bytes`; returns whether the file had enough. A writer on a full disk may truncate it
    /// while others read.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            read => read.at(&self.path).map(|()| true),
        }
    }

    /// The next record that can be read; damage is skipped.
    pub(crate) fn next_record(&mut self) -> Result<Option<Vec<u8>>> {
        let begin = self.offset;
        if let Some(payload) = self.record_here()? {
            return Ok(Some(payload));
        }
        match self.find_after(begin)? {
            Some(next) => {
                self.unread.damaged += next - begin;
                self.seek(next)?;
                self.record_here()
            }
            None => {
                self.unread.torn = self.length.saturating_sub(begin);
                self.seek(begin)?;
                Ok(None)
            }
        }
    }

    /// Offset of the first record after `begin`, at which there is none.
    fn find_after(&mut self, begin: u64) -> Result<Option<u64>> {
        /// Bytes that are read and searched at once.
        const WINDOW: u64 = 1 << 20;
        let mut at = begin + 1;
        while at + FRAME <= self.length {
            let bytes = (self.length - at).min(WINDOW) as usize;
            let mut window = vec![0; bytes];
            self.file.seek(SeekFrom::Start(at)).at(&self.path)?;
            if !self.fill(&mut window)? {
                return Ok(None);
            }
            let frames = window.windows(FRAME as usize).enumerate();
            let possible = frames.filter_map(|(n, frame)| {
                let (length, _) = frame.split_first_chunk()?;
                let place = at + n as u64;
                let payload = u64::from(u32::from_le_bytes(*length));
                (payload <= u64::from(LONGEST) && payload <= self.length - place - FRAME).then_some((place, payload))
            });
            for (place, payload) in possible.collect::<Vec<_>>() {
                self.search = self.search.saturating_sub(payload + FRAME);
                if self.search == 0 {
                    return Ok(None);
                }
                self.seek(place)?;
                if self.record_here()?.is_some() {
                    return Ok(Some(place));
                }
            }
            at += bytes as u64 - (FRAME - 1);
        }
        Ok(None)
    }
}

/// The records of a log, each with the offset where it begins; none where there is no log.
pub(crate) fn records(path: &Path, kind: Kind) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>)>> + use<>> {
    let mut log = LogReader::open(path, kind)?;
    Ok(std::iter::from_fn(move || {
        let log = log.as_mut()?;
        let payload = log.next_record().transpose()?;
        Some(payload.map(|payload| (log.begin_of(&payload), payload)))
    }))
}

/// Appends records, which are durable after [`LogWriter::sync`]; dropping it flushes its buffer.
pub(crate) struct LogWriter {
    path: PathBuf,
    disk: Disk,
    file: BufWriter<Box<dyn BackendFile>>,
    offset: u64,
    /// End of the log when it was last synced.
    synced: u64,
    /// A write failed: the file has to be truncated to `synced`.
    torn: bool,
    set_aside: Option<PathBuf>,
}

impl LogWriter {
    /// Opens or begins a log and truncates a torn end; `each` folds the existing records, with the
    /// offset of each, into a state.
    pub(crate) fn open<S: Default>(
        disk: &Disk,
        path: &Path,
        kind: Kind,
        mut each: impl FnMut(&mut S, u64, &[u8]) -> Result<()>,
    ) -> Result<(Self, S)> {
        let (mut state, mut end, mut length) = (S::default(), 0, 0);
        if let Some(mut reader) = LogReader::open(path, kind)? {
            length = reader.length;
            end = reader.offset();
            let mut sound = Vec::<std::ops::Range<u64>>::new();
            while let Some(payload) = reader.next_record()? {
                let begin = reader.begin_of(&payload);
                each(&mut state, begin, &payload)?;
                match sound.last_mut() {
                    Some(last) if last.end == begin => last.end = reader.offset(),
                    _ => sound.push(begin..reader.offset()),
                }
                end = reader.offset();
            }
            if reader.unread.damaged > 0 || reader.search == 0 {
                let set_aside = Some(keep_readable(disk, path, kind, &sound)?);
                // From the beginning: the records have new offsets.
                return Self::open(disk, path, kind, each).map(|(log, state)| (Self { set_aside, ..log }, state));
            }
        }
        if end == 0 {
            // No log yet, or one that is shorter than its header.
            disk.replace(path, &empty(kind))?;
            (end, length) = (HEAD, HEAD);
        }
        let mut file = disk.open(path)?;
        if end < length {
            file.set_len(end).at(path)?;
        }
        let mut file = BufWriter::with_capacity(1 << 16, file);
        file.seek(SeekFrom::Start(end)).at(path)?;
        let log = Self {
            path: path.to_path_buf(),
            disk: disk.clone(),
            file,
            offset: end,
            synced: end,
            torn: false,
            set_aside: None,
        };
        Ok((log, state))
    }

    /// The copy of the damaged file, if the log was damaged when it was opened.
    pub(crate) fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Appends a record; returns its offset.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<u64> {
        let length = u32::try_from(payload.len()).ok().filter(|l| *l <= LONGEST);
        let length = length.ok_or(ErrorKind::FileTooLarge).map_err(Into::into).at(&self.path)?;
        self.roll_back()?;
        let at = self.offset;
        let bytes = length.to_le_bytes();
        let crc = checksum(bytes, payload).to_le_bytes();
        let written = [&bytes[..], &crc, payload].iter().try_for_each(|b| self.file.write_all(b));
        self.roll_back_on_error(written)?;
        self.offset += FRAME + u64::from(length);
        Ok(at)
    }

    /// Truncates the log after a failure, at once if possible: the next to open it must not find
    /// unsynced records.
    fn roll_back_on_error(&mut self, outcome: std::io::Result<()>) -> Result<()> {
        self.torn = outcome.is_err();
        if let Err(error) = self.roll_back() {
            debug!("{error}; truncating the log is tried again before the next write");
        }
        outcome.at(&self.path)
    }

    /// After a failure, truncates the log to where it was last synced.
    fn roll_back(&mut self) -> Result<()> {
        if !self.torn {
            return Ok(());
        }
        let file = self.disk.open(&self.path)?;
        // `into_parts` discards the unwritten buffer.
        let (_, _) = std::mem::replace(&mut self.file, BufWriter::with_capacity(1 << 16, file)).into_parts();
        self.file.get_mut().set_len(self.synced).at(&self.path)?;
        self.file.seek(SeekFrom::Start(self.synced)).at(&self.path)?;
        (self.offset, self.torn) = (self.synced, false);
        Ok(())
    }

    /// Lets readers see all appended records, which are not durable yet.
    pub(crate) fn write_out(&mut self) -> Result<()> {
        self.roll_back()?;
        let written = self.file.flush();
        self.roll_back_on_error(written)
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.roll_back()?;
        let end = self.offset;
        let synced = self.file.flush().and_then(|()| self.file.get_mut().sync());
        self.roll_back_on_error(synced)?;
        self.synced = end;
        Ok(())
    }
}

/// Truncates a torn end that a crash left; leaves damage as it is.
pub(crate) fn truncate_torn_end(disk: &Disk, path: &Path, kind: Kind) -> Result<()> {
    let Some(mut reader) = LogReader::open(path, kind)? else { return Ok(()) };
    while reader.next_record()?.is_some() {}
    if reader.unread.torn == 0 || reader.unread.damaged > 0 || reader.search == 0 {
        return Ok(());
    }
    let mut file = disk.open(path)?;
    file.set_len(reader.offset()).and_then(|()| file.sync()).at(path)
}

/// Replaces a damaged log by one with the records in the ranges `sound`; returns the path at which
/// the damaged one is kept.
fn keep_readable(disk: &Disk, path: &Path, kind: Kind, sound: &[std::ops::Range<u64>]) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = (1..)
        .map(|n| path.with_file_name(format!("{name}.damaged-{n}")))
        .find(|aside| !aside.exists())
        .unwrap_or_default();
    disk.copy(path, &aside)?;
    let mut source = File::open(path).at(path)?;
    let mut bytes = empty(kind).to_vec();
    for range in sound {
        source.seek(SeekFrom::Start(range.start)).at(path)?;
        Read::take(&mut source, range.end - range.start).read_to_end(&mut bytes).at(path)?;
    }
    disk.replace(path, &bytes)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
