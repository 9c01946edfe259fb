//! Report of a check in progress: counts the files that were read, and passes findings on.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ocellus_core::VideoId;

use super::finding::{CheckSummary, Finding};
use crate::{codec::FileDigest, error::StoreError, folder::Folder};

/// Findings and counts of a check, and the archive that it reads.
pub(super) struct Report<'a> {
    pub data: &'a Path,
    pub folder: &'a Folder,
    pub summary: CheckSummary,
    pub on_finding: &'a mut dyn FnMut(Finding),
}

impl Report<'_> {
    pub(super) fn find(&mut self, finding: Finding) {
        self.summary.findings += 1;
        (self.on_finding)(finding);
    }

    /// A path relative to the data folder.
    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(self.data).unwrap_or(path).to_path_buf()
    }

    pub(super) fn damaged(&mut self, path: &Path, reason: impl ToString) {
        let file = self.relative(path);
        self.find(Finding::Damaged { file, reason: reason.to_string() });
    }

    pub(super) fn missing(&mut self, path: &Path) {
        let file = self.relative(path);
        self.find(Finding::Missing { file });
    }

    pub(super) fn torn(&mut self, path: &Path, bytes: u64) {
        let file = self.relative(path);
        self.find(Finding::Torn { file, bytes });
    }

    /// Reports an error by its kind; `path` is the file that was read.
    pub(super) fn error(&mut self, path: &Path, error: &StoreError) {
        match error {
            StoreError::Damaged { path, reason } => self.damaged(path, reason),
            StoreError::Io { path, source } if source.kind() == ErrorKind::NotFound => self.missing(path),
            other => self.damaged(path, other),
        }
    }

    pub(super) fn disagree(&mut self, video: VideoId, reason: String) {
        self.find(Finding::Disagreement { video, reason });
    }

    /// Reads a file and compares it with its digest or, where none was recorded, its length.
    pub(super) fn file(&mut self, path: &Path, expected: Option<&FileDigest>, bytes: u64) {
        let found = match FileDigest::of_file(path) {
            Ok(found) => found,
            Err(error) => return self.error(path, &error),
        };
        self.summary.files += 1;
        if found.bytes != expected.map_or(bytes, |e| e.bytes) {
            self.damaged(path, format!("it has {} bytes, not {}", found.bytes, expected.map_or(bytes, |e| e.bytes)));
        } else if expected.is_some_and(|e| *e != found) {
            self.damaged(path, "its contents are not what was written");
        }
    }

    /// Finds the damaged files that were set aside in a folder.
    pub(super) fn set_aside(&mut self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().contains(".damaged-")) {
            let file = self.relative(&entry.path());
            self.find(Finding::SetAside { file });
        }
    }
}
