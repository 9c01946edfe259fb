//! Append-only files of records.
//!
//! ```text
//! "OCLOG" kind(1) version(2)  { length(4) crc32(4) payload(length) }*      numbers little-endian
//! ```
//! The checksum is of length and payload: a file system may leave zeros where it had no time to write, and those are no
//! record.
//!
//! Guarantees: what a reader yields was written, whole and in order; it ends where the file is torn or damaged. A writer
//! cuts off what lies behind that point before it appends. What could not be written is not there later either: after a
//! failure the log ends where it was last synced.

use std::{
    fs::{File, OpenOptions},
    io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::error::{At, Result, StoreError};

const MAGIC: &[u8; 5] = b"OCLOG";
const VERSION: u16 = 2;
const HEAD: u64 = 8;
const FRAME: u64 = 8;
/// A longer record is damage: it would be a frame with a hundred thousand boxes.
const LONGEST: u32 = 64 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Detections = b'D',
    Objects = b'O',
    Deliveries = b'P',
    Embeddings = b'E',
}

fn head(kind: Kind) -> [u8; HEAD as usize] {
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

/// Yields the records of a log with the offset where each begins.
pub(crate) struct LogReader {
    path: PathBuf,
    file: BufReader<File>,
    offset: u64,
    length: u64,
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
        if found != head(kind) {
            return Err(StoreError::Damaged { path: path.to_path_buf(), reason: "it is no log of this kind and version".into() });
        }
        Ok(Some(Self { path: path.to_path_buf(), file, offset: HEAD, length }))
    }

    /// Goes to a record by its offset.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).at(&self.path)?;
        self.offset = offset;
        Ok(())
    }

    /// Where the next record begins; after the last one, where the sound part ends.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes behind the sound part, once all was read.
    pub(crate) fn torn(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    pub(crate) fn next_record(&mut self) -> Result<Option<Vec<u8>>> {
        let left = self.length.saturating_sub(self.offset);
        if left < FRAME {
            return Ok(None);
        }
        let (mut length, mut crc) = ([0; 4], [0; 4]);
        self.file.read_exact(&mut length).and_then(|()| self.file.read_exact(&mut crc)).at(&self.path)?;
        let bytes = u32::from_le_bytes(length);
        if bytes > LONGEST || u64::from(bytes) > left - FRAME {
            return Ok(None);
        }
        let mut payload = vec![0; bytes as usize];
        self.file.read_exact(&mut payload).at(&self.path)?;
        if checksum(length, &payload) != u32::from_le_bytes(crc) {
            return Ok(None);
        }
        self.offset += FRAME + u64::from(bytes);
        Ok(Some(payload))
    }
}

/// Appends records. Ends with [`LogWriter::sync`] for what is to be kept; dropped, it writes out what it has.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: BufWriter<File>,
    offset: u64,
    /// Up to here it is on the disk.
    synced: u64,
    /// Something failed, and what lies behind `synced` is to go.
    torn: bool,
}

impl LogWriter {
    /// Opens or begins a log, its torn end cut off; `each` sees the records that are there.
    pub(crate) fn open(path: &Path, kind: Kind, mut each: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<Self> {
        let mut offset = 0;
        if let Some(mut reader) = LogReader::open(path, kind)? {
            offset = reader.offset();
            while let Some(payload) = reader.next_record()? {
                each(offset, &payload)?;
                offset = reader.offset();
            }
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).at(path)?;
        file.set_len(offset).at(path)?;
        let mut file = BufWriter::with_capacity(1 << 16, file);
        file.seek(SeekFrom::Start(offset)).at(path)?;
        if offset == 0 {
            file.write_all(&head(kind)).at(path)?;
            offset = HEAD;
            if let Some(folder) = path.parent() {
                crate::durable::sync_folder(folder)?;
            }
        }
        Ok(Self { path: path.to_path_buf(), file, offset, synced: offset, torn: false })
    }

    /// Appends a record; where it begins.
    pub(crate) fn append(&mut self, payload: &[u8]) -> Result<u64> {
        let length = u32::try_from(payload.len()).ok().filter(|l| *l <= LONGEST);
        let length = length.ok_or_else(|| StoreError::Damaged { path: self.path.clone(), reason: "a record is too long".into() })?;
        self.mend()?;
        let at = self.offset;
        let bytes = length.to_le_bytes();
        let crc = checksum(bytes, payload).to_le_bytes();
        let written = [&bytes[..], &crc, payload].iter().try_for_each(|b| self.file.write_all(b));
        self.torn = written.is_err();
        written.at(&self.path)?;
        self.offset += FRAME + u64::from(length);
        Ok(at)
    }

    /// Goes back to where the log was last whole.
    fn mend(&mut self) -> Result<()> {
        if !self.torn {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(&self.path).at(&self.path)?;
        // Without what it could not write out.
        let (_, _) = std::mem::replace(&mut self.file, BufWriter::with_capacity(1 << 16, file)).into_parts();
        self.file.get_ref().set_len(self.synced).at(&self.path)?;
        self.file.seek(SeekFrom::Start(self.synced)).at(&self.path)?;
        (self.offset, self.torn) = (self.synced, false);
        Ok(())
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.mend()?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        self.torn = synced.is_err();
        synced.at(&self.path)?;
        self.synced = self.offset;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write(path: &Path, records: &[Vec<u8>]) {
        let mut writer = LogWriter::open(path, Kind::Objects, |_, _| Ok(())).unwrap();
        for record in records {
            writer.append(record).unwrap();
        }
        writer.sync().unwrap();
    }

    fn read(path: &Path) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        if let Ok(Some(mut reader)) = LogReader::open(path, Kind::Objects) {
            while let Some(record) = reader.next_record().unwrap() {
                all.push(record);
            }
        }
        all
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)
    }

    #[test]
    fn zeros_that_a_file_system_left_are_no_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, &[b"one".to_vec()]);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length + 4096).unwrap();
        assert_eq!(read(&path), [b"one".to_vec()]);
        write(&path, &[b"two".to_vec()]);
        assert_eq!(read(&path), [b"one".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn a_write_that_failed_takes_nothing_after_it_along() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut writer = LogWriter::open(&path, Kind::Objects, |_, _| Ok(())).unwrap();
        writer.append(b"one").unwrap();
        writer.sync().unwrap();
        // A handle that cannot write stands for a disk that is full.
        writer.file = BufWriter::new(File::open(&path).unwrap());
        writer.append(b"lost").unwrap();
        assert!(writer.sync().is_err());
        assert_eq!(writer.append(b"two").unwrap(), HEAD + FRAME + 3);
        writer.sync().unwrap();
        assert_eq!(read(&path), [b"one".to_vec(), b"two".to_vec()]);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(first in records(), second in records()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            write(&path, &first);
            write(&path, &second);
            prop_assert_eq!(read(&path), [first, second].concat());
        }

        #[test]
        fn a_damaged_log_yields_a_prefix_and_can_be_appended_to(all in records(), cut in any::<prop::sample::Index>(), flip in any::<Option<u8>>()) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("log");
            write(&path, &all);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = cut.index(bytes.len());
            match flip {
                Some(bits) if at >= HEAD as usize => bytes[at] ^= bits | 1,
                _ => bytes.truncate(at),
            }
            std::fs::write(&path, &bytes).unwrap();
            let left = read(&path);
            prop_assert!(all.starts_with(&left), "{:?} is no prefix of {:?}", left, all);
            write(&path, &[b"more".to_vec()]);
            let mut expected = left;
            expected.push(b"more".to_vec());
            prop_assert_eq!(read(&path), expected);
        }
    }
}
