//! Audit log: who changed what, one JSON object a line.
//!
//! Owns `audit.log` in the data folder. The server and the command line append whole lines to it. A
//! line is written before the response to its request is sent, and is not fsynced: a power cut may
//! cost the last seconds. At [`MAX_BYTES`] the file becomes `audit.log.1`, in place of an earlier
//! one.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    disk::Disk,
    error::{At, Result},
};

/// About 300,000 lines.
const MAX_BYTES: u64 = 64 << 20;

/// The audit log of a data folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog {
    data: Arc<Path>,
    disk: Disk,
}

impl AuditLog {
    /// The log of an existing data folder. Writes nothing yet.
    pub fn new(data: &Path) -> Self {
        Self { data: data.into(), disk: Disk::default() }
    }

    fn path(&self) -> PathBuf {
        self.data.join("audit.log")
    }

    /// Appends one line. Blocks.
    ///
    /// # Errors
    /// `Io`, also where the disk is full: a part of the line may be there then.
    pub fn append(&self, entry: &impl Serialize) -> Result<()> {
        let lock = self.data.join("audit.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&lock).at(&lock)?;
        file.lock().at(&lock)?;
        let path = self.path();
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        if bytes >= MAX_BYTES {
            self.disk.rename(&path, &self.data.join("audit.log.1"))?;
        }
        let mut log = if path.exists() { self.disk.open(&path)? } else { self.disk.create_new(&path)? };
        let mut line = serde_json::to_vec(entry).map_err(std::io::Error::other).at(&path)?;
        line.push(b'\n');
        log.seek(SeekFrom::End(0)).at(&path)?;
        log.write_all(&line).at(&path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lines_of_many_writers_are_whole() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let log = AuditLog::new(dir.path());
                scope.spawn(move || {
                    for n in 0..50 {
                        log.append(&json!({"writer": writer, "n": n, "text": "x".repeat(n * 7)})).unwrap();
                    }
                });
            }
        });
        let text = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for writer in 0..4 {
            let of_writer =
                lines.iter().filter(|line| line["writer"] == writer).map(|line| line["n"].as_u64().unwrap());
            assert!(of_writer.eq(0..50), "writer {writer}");
        }
    }

    #[test]
    fn a_full_log_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::new(dir.path());
        File::create(log.path()).unwrap().set_len(MAX_BYTES).unwrap();
        log.append(&json!({"n": 1})).unwrap();
        assert_eq!(fs::read_to_string(log.path()).unwrap(), "{\"n\":1}\n");
        assert_eq!(fs::metadata(dir.path().join("audit.log.1")).unwrap().len(), MAX_BYTES);
    }
}
