//! Plugin folders: the one that ships with the server, and over it the users' own.
//!
//! Owns listing, reading, writing and removing their files.
//!
//! Guarantees: what is installed and removed changes the users' folder alone, and a file appears in
//! it at once or not at all. Where there is no users' folder, the one folder is theirs.

use std::{
    fmt, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::Refusal;

/// Which folder a plugin comes from. Where both have a plugin of one name, the user's serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It was installed, or put into the users' folder.
    User,
    /// It lies in the folder that came with the server.
    Shipped,
}

/// One file; the first in order gets a name that several declare.
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
    /// The folder that is installed into.
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

    /// All plugin files, in order. An error comes with the folder that it is about.
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

    /// The whole of a file of at most `most` bytes.
    pub(crate) fn read(&self, source: &Source, most: u64) -> Result<Vec<u8>, Refusal> {
        let path = self.path(source.origin).join(&source.file);
        let unreadable = |e: io::Error| Refusal::Unreadable(e.to_string());
        let size = fs::metadata(&path).map_err(unreadable)?.len();
        if size > most {
            return Err(Refusal::TooLarge { size, most });
        }
        fs::read(&path).map_err(unreadable)
    }

    /// Puts a file into the users' folder, in the place of one of that name.
    pub(crate) fn write(&self, file: &str, bytes: &[u8]) -> io::Result<Source> {
        // Written under a name that does not end in `.wasm` and renamed, so that nobody loads half
        // of it.
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

/// Makes what was renamed or removed in a folder durable.
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
