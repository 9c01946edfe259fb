//! Files that are there after a power cut.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::error::{At, Result};

/// Makes a folder's entries durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).at(path)
}

/// Puts `bytes` in place of what is at `path`, or fails and leaves that as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    create(&part, bytes)?.sync_all().at(&part)?;
    fs::rename(&part, path).at(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes files of one folder, whatever was at their paths: for what nobody looks for before something else says that it is there.
pub(crate) fn write<'a>(folder: &Path, files: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<()> {
    let written = files.into_iter().map(|(path, bytes)| Ok((create(&path, bytes)?, path))).collect::<Result<Vec<_>>>()?;
    // Where the file system has a journal, the first of these takes all others with it.
    written.iter().try_for_each(|(file, path)| file.sync_all().at(path))?;
    sync_folder(folder)
}

fn create(path: &Path, bytes: &[u8]) -> Result<File> {
    File::create(path).and_then(|mut file| file.write_all(bytes).map(|()| file)).at(path)
}

/// Removes a file or a folder with all in it; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other.at(path),
    }
}
