//! Writers of resumable uploads: one at a time for each.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

/// The uploads that are being written, by their files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writers(Arc<Mutex<Vec<PathBuf>>>);

impl Writers {
    /// The right to change this file; `None` while somebody has it.
    pub(crate) fn begin(&self, path: &Path) -> Option<Writer> {
        let mut writers = self.0.lock();
        if writers.iter().any(|other| other == path) {
            return None;
        }
        writers.push(path.to_owned());
        Some(Writer { writers: self.clone(), path: path.to_owned() })
    }
}

/// The right to change an upload's file; it ends where this is dropped.
pub(crate) struct Writer {
    writers: Writers,
    path: PathBuf,
}

impl Writer {
    /// The upload's file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.writers.0.lock().retain(|path| *path != self.path);
    }
}
