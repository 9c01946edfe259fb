//! Disk access: every change of the disk, behind a backend that tests can replace.
//!
//! Owns how files are created, written, made durable, renamed and removed. Each step goes through a
//! [`Backend`], so that a test can fail or tear any single one (`tests/faults`). Exceptions: sled's
//! own files and `index/vectors`, which are rebuilt after a crash, and the bytes of a recording in
//! progress, which is not acknowledged yet.
//!
//! Guarantees: everything created here can be read by its owner alone. Nothing is durable before an
//! fsync: a file's contents by its own, its name by that of the folder.

use std::{
    fmt,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::error::{At, Result};

/// Permissions of files: read and written by the owner.
const FILE_MODE: u32 = 0o600;
/// Permissions of folders: the owner's.
const FOLDER_MODE: u32 = 0o700;

/// The steps that change a disk, one system call each. Paths are absolute or relative to the
/// working directory; errors are those of the system.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Creates a file, or truncates an existing one.
    ///
    /// # Errors
    /// With `new`, `AlreadyExists` where there is one.
    fn create(&self, path: &Path, new: bool) -> io::Result<Box<dyn BackendFile>>;
    /// Opens an existing file for writing, without truncating it.
    fn open(&self, path: &Path) -> io::Result<Box<dyn BackendFile>>;
    /// Creates a folder in an existing one.
    ///
    /// # Errors
    /// `AlreadyExists` where there is one.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file or folder, atomically; replaces a file that is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub trait BackendFile: Write + Seek + Send + Sync {
    /// Makes the contents durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Truncates the file to `bytes` bytes, or extends it by zeros.
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

/// Whether two files have the same length and modification time.
pub(crate) fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::metadata(one), fs::metadata(other)), (Ok(one), Ok(other)) if is_same(&one, &other))
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    let modified = one.modified().ok();
    one.len() == other.len() && modified.is_some() && modified == other.modified().ok()
}

/// Durable operations made of the steps of a [`Backend`]. Cheap to clone.
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

    /// Creates a folder and its parents; existing ones are left as they are.
    pub(crate) fn create_folders(&self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        // The last parent of a relative path is empty.
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
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

    /// Replaces the file at `path` durably, or fails and leaves it as it was. One caller at a time
    /// for one path.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let part = path.with_extension("part");
        let written = self
            .create(&part, bytes)
            .and_then(|mut file| file.sync().at(&part))
            .and_then(|()| self.rename(&part, path));
        if written.is_err() {
            // A full disk needs the space. If this fails, the next replacement overwrites the file.
            let _ = self.0.remove_file(&part);
        }
        written?;
        path.parent().map_or(Ok(()), |folder| self.sync_folder(folder))
    }

    /// Writes files into one folder durably, over existing ones. Not atomic: only for files that
    /// are not read before a later write refers to them.
    pub(crate) fn write<'a>(&self, folder: &Path, files: impl IntoIterator<Item = (PathBuf, &'a [u8])>) -> Result<()> {
        let written = files
            .into_iter()
            .map(|(path, bytes)| Ok((self.create(&path, bytes)?, path)))
            .collect::<Result<Vec<_>>>()?;
        // On a journaling file system, the first fsync also writes out the others.
        written.into_iter().try_for_each(|(mut file, path)| file.sync().at(path))?;
        self.sync_folder(folder)
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> Result<Box<dyn BackendFile>> {
        let mut file = self.0.create(path, false).at(path)?;
        file.write_all(bytes).at(path)?;
        Ok(file)
    }

    /// Copies a file. Its contents are durable afterwards, its name is not.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let mut source = File::open(from).at(from)?;
        let mut copy = self.0.create(to, false).at(to)?;
        io::copy(&mut source, &mut copy).at(to)?;
        copy.sync().at(to)
    }

    /// Hard-links `earlier`, an earlier copy, to `to` where it has the length and modification time
    /// of `from`. Otherwise copies the file, by way of a temporary one that replaces what is at
    /// `to`. Returns the number of bytes copied, `None` for a link. Of a growing file, only the
    /// part that was there at the beginning is copied. Durable only after [`Disk::sync_all`].
    pub(crate) fn copy_changed(&self, from: &Path, to: &Path, earlier: &Path) -> Result<Option<u64>> {
        let source = File::open(from).at(from)?;
        let (found, part) = (source.metadata().at(from)?, to.with_extension("part"));
        let modified = found.modified().at(from)?;
        // Not every file system has hard links.
        if fs::metadata(earlier).is_ok_and(|copy| is_same(&found, &copy))
            && (earlier == to || fs::hard_link(earlier, to).is_ok())
        {
            return Ok(None);
        }
        let copied = (|| {
            let mut copy = self.0.create(&part, false).at(&part)?;
            let bytes = io::copy(&mut source.take(found.len()), &mut copy).at(&part)?;
            drop(copy);
            File::options().write(true).open(&part).and_then(|file| file.set_modified(modified)).at(&part)?;
            self.rename(&part, to)?;
            Ok(bytes)
        })();
        if copied.is_err() {
            // A full disk needs the space.
            let _ = self.0.remove_file(&part);
        }
        copied.map(Some)
    }

    /// Exchanges two folders, atomically where the file system supports it; otherwise by way of
    /// `between`, where a crash may leave the folder that was at `there`.
    pub(crate) fn exchange(&self, here: &Path, there: &Path, between: &Path) -> Result<()> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            if renameat_with(CWD, here, CWD, there, RenameFlags::EXCHANGE).is_ok() {
                return Ok(());
            }
        }
        self.remove(between)?;
        self.rename(there, between)?;
        self.rename(here, there)?;
        self.rename(between, here)
    }

    /// Makes all writes to all file systems durable.
    pub(crate) fn sync_all(&self) {
        #[cfg(unix)]
        rustix::fs::sync();
    }

    /// Removes a file, or a folder with its contents; no error where there is none.
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

    /// Removes the contents of a folder.
    pub(crate) fn empty(&self, folder: &Path) -> Result<()> {
        fs::read_dir(folder).at(folder)?.try_for_each(|entry| self.remove(&entry.at(folder)?.path()))
    }

    /// Restricts a folder to its owner; returns whether other users could access it before.
    pub(crate) fn restrict(&self, folder: &Path) -> Result<bool> {
        let mode = fs::metadata(folder).at(folder)?.permissions().mode();
        let open = mode & 0o077 != 0;
        if open {
            fs::set_permissions(folder, Permissions::from_mode(mode & 0o700)).at(folder)?;
        }
        Ok(open)
    }
}
