//! Plugin folders: the shipped one, and the users', which takes precedence.
//!
//! Owns listing, reading, writing and removing their files.
//!
//! Guarantees: installing and removing only changes the users' folder, and a file appears in it
//! atomically. Without a users' folder the only folder serves as both.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::Refusal;

/// Folder of a plugin. Of two plugins of one name, the user's is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was installed, or put into the users' folder.
    User,
    /// It is in the folder that is shipped with the server.
    Shipped,
}

/// One file. Of several that declare one name, the first in order gets it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) origin: Origin,
    /// Its name within the folder.
    pub(crate) file: String,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)
    }
}

pub(crate) struct Folders {
    pub(crate) shipped: PathBuf,
    pub(crate) user: Option<PathBuf>,
}

impl Folders {
    /// The folder into which plugins are installed.
    pub(crate) fn own(&self) -> Origin {
        if self.user.is_some() { Origin::User } else { Origin::Shipped }
    }

    pub(crate) fn path(&self, origin: Origin) -> &Path {
        match origin {
            Origin::User => self.user.as_deref().unwrap_or(&self.shipped),
            Origin::Shipped => &self.shipped,
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Origin, &Path)> {
        let user = self.user.iter().map(|path| (Origin::User, path.as_path()));
        user.chain([(Origin::Shipped, self.shipped.as_path())])
    }

    /// All plugin files, in order. An error comes with its folder.
    pub(crate) fn list(&self) -> Result<Vec<Source>, (&Path, io::Error)> {
        let mut all = Vec::new();
        for (origin, path) in self.all() {
            for entry in fs::read_dir(path).map_err(|e| (path, e))? {
                let name = entry.map_err(|e| (path, e))?.file_name();
                if let Some(name) = name.to_str().filter(|n| n.ends_with(".wasm")) {
                    all.push(Source { origin, file: name.to_owned() });
                }
            }
        }
        all.sort();
        Ok(all)
    }

    /// Reads a file of at most `most` bytes.
    pub(crate) fn read(&self, source: &Source, most: u64) -> Result<Vec<u8>, Refusal> {
        let path = self.path(source.origin).join(&source.file);
        let unreadable = |e: io::Error| Refusal::Unreadable(e.to_string());
        let size = fs::metadata(&path).map_err(unreadable)?.len();
        if size > most {
            return Err(Refusal::TooLarge { size, most });
        }
        fs::read(&path).map_err(unreadable)
    }

    /// Writes a file to the users' folder, and replaces one of that name.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) -> io::Result<Source> {
        // Written under a name that does not end in `.wasm` and renamed, so that the registry never
        // loads a partial file.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let folder = self.path(self.own());
        let part = folder.join(format!("{file}.part-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let written = fs::File::create(&part).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()));
        if let Err(error) = written.and_then(|()| fs::rename(&part, folder.join(file))) {
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        sync(folder)?;
        Ok(Source { origin: self.own(), file: file.to_owned() })
    }

    pub(crate) fn remove(&self, source: &Source) -> io::Result<()> {
        let folder = self.path(source.origin);
        fs::remove_file(folder.join(&source.file))?;
        sync(folder)
    }
}

/// Makes renames and removals in a folder durable (fsync).
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
