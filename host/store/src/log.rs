//! Append-only files of records.
//!
//! ```text
//! "OCLOG" kind(1) version(2)  { length(4) crc32(4) payload(length) }*      numbers little-endian
//! ```
//! The checksum is of length and payload: a file system may leave zeros where it had no time to
//! write, and those are no record.
//!
//! Guarantees: what a reader yields was written, whole and in order. Bytes that are no record are
//! either a **torn end**, behind which there is none, as a crash leaves it, or **damage**, behind
//! which there are others. A reader passes over damage and counts it. A writer cuts off a torn end
//! before it appends, and never damage: it sets the file aside as it is, and goes on in a copy that
//! has all records that can be read. What could not be written is not there later either: after a
//! failure the log ends where it was last synced.

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
/// Of the framing and of what records hold. 2 since release 0.1.
const VERSION: u16 = 2;
const HEAD: u64 = 8;
const FRAME: u64 = 8;
/// A longer record is damage: it would be a frame with a hundred thousand boxes.
const LONGEST: u32 = 64 << 20;
/// Bytes that are checksummed at most to find the next record behind damage. Random bytes look like
/// the frame of a long record now and then.
const SEARCH: u64 = 2 << 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Detections = b'D',
    Objects = b'O',
    Deliveries = b'P',
    Embeddings = b'E',
}

/// A log without a record, as it stands in a file.
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

/// What a reader passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    /// Bytes that are no record and have records behind them.
    pub damaged: u64,
    /// Bytes at the end that are no record.
    pub torn: u64,
}

/// Yields the records of a log with the offset where each begins.
pub(crate) struct LogReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    length: u64,
    unread: Unread,
    /// What may still be checksummed in search of records.
    search: u64,
}

impl LogReader {
    /// `None` where there is no such file, or one that ends within its head.
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
        // A head that is damaged costs no record.
        let unread = Unread { damaged: if found == expected { 0 } else { HEAD }, torn: 0 };
        Ok(Some(Self { path: path.to_path_buf(), file, offset: HEAD, length, unread, search: SEARCH }))
    }

    /// Goes to a record by its offset.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).at(&self.path)?;
        self.offset = offset;
        Ok(())
    }

    /// Where the record ends that was read last.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Where the record begins that was read last.
    pub(crate) fn begin_of(&self, last: &[u8]) -> u64 {
        self.offset.saturating_sub(FRAME + last.len() as u64)
    }

    /// What was passed over so far.
    pub(crate) fn unread(&self) -> Unread {
        self.unread
    }

    /// The record at the present offset; `None` where there is none.
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

    /// Reads so many bytes; whether there were. A writer whose disk is full cuts off what it could
    /// not write while others read.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<bool> {
        match self.file.read_exact(bytes) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            read => read.at(&self.path).map(|()| true),
        }
    }

    /// The next record that can be read, damage passed over.
    pub(crate) fn next_record(&mut self) -> Result<Option<Vec<u8>>> {
        let begin = self.offset;
        if let Some(payload) = self.record_here()? {
            return Ok(Some(payload));
        }
        match self.find_behind(begin)? {
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

    /// Where the first record begins that lies behind `begin`, where there is none.
    fn find_behind(&mut self, begin: u64) -> Result<Option<u64>> {
        /// Frames that are looked at without reading again.
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

/// Appends records. Ends with [`LogWriter::sync`] for what is to be kept; dropped, it writes out
/// what it has.
pub(crate) struct LogWriter {
    path: PathBuf,
    disk: Disk,
    file: BufWriter<Box<dyn BackendFile>>,
    offset: u64,
    /// Up to here it is on the disk.
    synced: u64,
    /// Something failed, and what lies behind `synced` is to go.
    torn: bool,
    set_aside: Option<PathBuf>,
}

impl LogWriter {
    /// Opens or begins a log, its torn end cut off; `each` puts the records that are there into a
    /// state, with where each begins.
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
                // From the beginning: the records lie elsewhere now.
                return Self::open(disk, path, kind, each).map(|(log, state)| (Self { set_aside, ..log }, state));
            }
        }
        if end == 0 {
            // A log that is not begun, or not to the end of its head.
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

    /// Where the file is kept as it was, if it was damaged when it was opened.
    pub(crate) fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// Appends a record; where it begins.
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

    /// After a failure the log ends where it was last synced, at once if possible: who opens it
    /// next must not find more.
    fn roll_back_on_error(&mut self, outcome: std::io::Result<()>) -> Result<()> {
        self.torn = outcome.is_err();
        if let Err(error) = self.roll_back() {
            debug!("{error}; it is tried again before anything else is written there");
        }
        outcome.at(&self.path)
    }

    /// Goes back to where the log was last whole.
    fn roll_back(&mut self) -> Result<()> {
        if !self.torn {
            return Ok(());
        }
        let file = self.disk.open(&self.path)?;
        // Without what it could not write out.
        let (_, _) = std::mem::replace(&mut self.file, BufWriter::with_capacity(1 << 16, file)).into_parts();
        self.file.get_mut().set_len(self.synced).at(&self.path)?;
        self.file.seek(SeekFrom::Start(self.synced)).at(&self.path)?;
        (self.offset, self.torn) = (self.synced, false);
        Ok(())
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

/// Cuts off what a crash left at the end of a log; damage is left as it is.
pub(crate) fn cut_torn_end(disk: &Disk, path: &Path, kind: Kind) -> Result<()> {
    let Some(mut reader) = LogReader::open(path, kind)? else { return Ok(()) };
    while reader.next_record()?.is_some() {}
    if reader.unread.torn == 0 || reader.unread.damaged > 0 || reader.search == 0 {
        return Ok(());
    }
    let mut file = disk.open(path)?;
    file.set_len(reader.offset()).and_then(|()| file.sync()).at(path)
}

/// Puts a log with the records at `sound` in place of a damaged one; where that is kept.
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
