//! Exclusive writers of resumable uploads.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

/// The files of the uploads that are open for writing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writers(Arc<Mutex<Vec<PathBuf>>>);

impl Writers {
    /// Acquires the exclusive right to change a file; `None` while another writer has it.
    pub(crate) fn begin(&self, path: &Path) -> Option<Writer> {
        let mut writers = self.0.lock();
        if writers.iter().any(|other| other == path) {
            return None;
        }
        writers.push(path.to_owned());
        Some(Writer { writers: self.clone(), path: path.to_owned() })
    }
}

/// Exclusive right to change an upload's file, until dropped.
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
