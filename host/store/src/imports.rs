//! List of the files that were imported from a folder, in `imports.json` in the data folder.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    codec::{decode_file, encode_file},
    disk::Disk,
    error::{At, Result},
};

/// An imported file, as it was at the time of the import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedFile {
    /// Its length.
    pub bytes: u64,
    /// Its modification time, in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
    /// Id of the video that was created from it.
    pub video: u64,
    /// Whether all of it is in the archive.
    pub is_done: bool,
}

/// Imported files, by their paths within the folder.
#[derive(Debug)]
pub struct ImportList {
    path: PathBuf,
    disk: Disk,
    contents: Contents,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    files: BTreeMap<String, ImportedFile>,
}

impl ImportList {
    /// Reads the list of a data folder; an empty one where there is none.
    ///
    /// # Errors
    /// `Damaged` and `Newer` where it cannot be read.
    pub fn open(data: &Path) -> Result<Self> {
        let path = data.join("imports.json");
        let contents = match fs::read(&path) {
            Ok(bytes) => decode_file(&path, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Contents::default(),
            Err(error) => return Err(error).at(path),
        };
        Ok(Self { path, disk: Disk::default(), contents })
    }

    /// The entry of a file; `None` where it was not imported.
    pub fn get(&self, name: &str) -> Option<ImportedFile> {
        self.contents.files.get(name).copied()
    }

    /// Records a file, durably.
    ///
    /// # Errors
    /// `Io`: then the entry is lost when the process ends.
    pub fn set(&mut self, name: &str, file: ImportedFile) -> Result<()> {
        self.contents.files.insert(name.to_owned(), file);
        self.disk.replace(&self.path, &encode_file(&self.contents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let file = ImportedFile { bytes: 7, modified_ns: 1_700_000_000_123_456_789, video: 3, is_done: true };
        ImportList::open(dir.path()).unwrap().set("a/b.mp4", file).unwrap();
        let list = ImportList::open(dir.path()).unwrap();
        assert_eq!((list.get("a/b.mp4"), list.get("b.mp4")), (Some(file), None));
    }
}
