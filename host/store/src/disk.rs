//! The one way by which the store changes what is on the disk.
//!
//! Owns: how a file is made, written, made durable, renamed and removed. All of it goes through a
//! [`Backend`], so that a test can crash, tear or refuse any single step (`tests/faults`). What
//! does not: sled's own files and `index/rows`, which are made anew after a crash, and the bytes of
//! a recording under way, which nobody was told of yet.
//!
//! Guarantees: everything made here can be read by its owner alone. Nothing here is durable before
//! it is synced: a file by its own sync, its name by a sync of the folder.

use std::{
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{At, Result};

/// Of files: read and written by the owner.
const FILE_MODE: u32 = 0o600;
/// Of folders.
const FOLDER_MODE: u32 = 0o700;

/// The steps that change a disk, one system call each.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Makes a file, or empties the one that is there. With `new`, one that is there is an error.
    fn create(&self, path: &Path, new: bool) -> io::Result<Box<dyn BackendFile>>;
    /// A file that is there, to be written, as it is.
    fn open(&self, path: &Path) -> io::Result<Box<dyn BackendFile>>;
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait BackendFile: Write + Seek + Send + Sync {
    /// Makes the contents durable.
    fn sync(&mut self) -> io::Result<()>;
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Backend for LocalDisk {
    fn create(&self, path: &Path, new: bool) -> io::Result<Box<dyn BackendFile>> {
        let mut options = File::options();
        options.write(true).mode(FILE_MODE);
        if new {
            options.create_new(true)
        } else {
            options.create(true).truncate(true)
        };
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn BackendFile>> {
        Ok(Box::new(File::options().write(true).open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(FOLDER_MODE).create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl BackendFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }
}

/// Steps put together. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Arc<dyn Backend>);

impl Default for Disk {
    fn default() -> Self {
        Self(Arc::new(LocalDisk))
    }
}

impl Disk {
    pub(crate) fn new(backend: Arc<dyn Backend>) -> Self {
        Self(backend)
    }

    pub(crate) fn create_new(&self, path: &Path) -> Result<Box<dyn BackendFile>> {
        self.0.create(path, true).at(path)
    }

    pub(crate) fn open(&self, path: &Path) -> Result<Box<dyn BackendFile>> {
        self.0.open(path).at(path)
    }

    /// Makes a folder and those above it; one that is there is fine.
    pub(crate) fn create_folders(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_folders(parent)?;
        }
        match self.0.create_dir(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made.at(path),
        }
    }

    pub(crate) fn sync_folder(&self, path: &Path) -> Result<()> {
        self.0.sync_dir(path).at(path)
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.rename(from, to).at(from)
    }

    /// Puts `bytes` in place of what is at `path`, durably, or fails and leaves that as it was. One
    /// caller at a time for one path.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let part = path.with_extension("part");
        let written = self
            .create(&part, bytes)
            .and_then(|mut file| file.sync().at(&part))
            .and_then(|()| self.rename(&part, path));
        if written.is_err() {
            // It takes room that may be what is missing; the next replacement overwrites it at the
            // latest.
            let _ = self.0.remove_file(&part);
        }
        written?;
        path.parent().map_or(Ok(()), |folder| self.sync_folder(folder))
    }

    /// Writes files of one folder, durably, whatever was at their paths: for what nobody looks for
    /// before something else names it.
    pub(crate) fn write<'a>(&self, folder: &Path, files: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<()> {
        let written = files
            .into_iter()
            .map(|(path, bytes)| Ok((self.create(&path, bytes)?, path)))
            .collect::<Result<Vec<_>>>()?;
        // Where the file system has a journal, the first of these takes all others with it.
        written.into_iter().try_for_each(|(mut file, path)| file.sync().at(path))?;
        self.sync_folder(folder)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<Box<dyn BackendFile>> {
        let mut file = self.0.create(path, false).at(path)?;
        file.write_all(bytes).at(path)?;
        Ok(file)
    }

    /// Copies a file, durably but for its name.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let mut source = File::open(from).at(from)?;
        let mut copy = self.0.create(to, false).at(to)?;
        io::copy(&mut source, &mut copy).at(to)?;
        copy.sync().at(to)
    }

    /// Removes a file or a folder with all in it; one that is not there is fine.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        let removed = match path.symlink_metadata() {
            Ok(found) if found.is_dir() => {
                self.empty(path)?;
                self.0.remove_dir(path)
            }
            Ok(_) => self.0.remove_file(path),
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other.at(path),
        }
    }

    /// Removes all that a folder holds.
    pub(crate) fn empty(&self, folder: &Path) -> Result<()> {
        fs::read_dir(folder).at(folder)?.try_for_each(|entry| self.remove(&entry.at(folder)?.path()))
    }

    /// Lets nobody but the owner into a folder; whether others could enter it before.
    pub(crate) fn restrict(&self, folder: &Path) -> Result<bool> {
        let mode = fs::metadata(folder).at(folder)?.permissions().mode();
        let open = mode & 0o077 != 0;
        if open {
            fs::set_permissions(folder, Permissions::from_mode(mode & 0o700)).at(folder)?;
        }
        Ok(open)
    }
}
