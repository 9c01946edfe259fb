//! Folder of compiled components: a cache of native code across starts.
//!
//! Owns the folder. A file in it is named after the component's digest and the engine. It holds a
//! SHA-256, the path at which wasmtime's cache expects this code, and the code as that cache wrote
//! it; the checksum covers the file's name and all that follows.
//!
//! Guarantees: wasmtime only reads code that was verified just before, or compiled by this process.
//! Its own cache verifies nothing, so the folder that it is given is empty at the start, and holds
//! verified code of a component only while that is loaded. A checksum protects against damage, not
//! against forgery: the folder belongs to the server's user and is closed to all others, and one
//! that others could write to is emptied first. At most [`MAX_BYTES`] are kept, the least recently
//! used dropped first. It outlives the process; a lost or damaged file costs a compilation.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Component, Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use sha2::{Digest as _, Sha256};

/// Limit of all files together, in bytes. The shipped plugins take some 5 MB, one with an
/// interpreter inside some 30 MB.
const MAX_BYTES: u64 = 256 << 20;
/// The length of a SHA-256.
const CHECKSUM_BYTES: usize = 32;
const EXTENSION: &str = "code";

pub(crate) struct CompiledFolder {
    path: PathBuf,
    /// Number of compilations in this process, which names their folders.
    compilations: AtomicU64,
}

impl CompiledFolder {
    /// Opens the folder, or creates it.
    ///
    /// # Errors
    /// It cannot be created, is not a folder, or belongs to another user.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let (meta, user) = (fs::symlink_metadata(path)?, rustix::process::geteuid().as_raw());
        if !meta.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is no folder"));
        }
        if meta.uid() != user {
            let reason = format!("it belongs to user {}, the server runs as user {user}", meta.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
        }
        let mode = meta.permissions().mode();
        let (open_to_others, writable_by_others) = (mode & 0o077 != 0, mode & 0o022 != 0);
        if writable_by_others {
            let folder = path.display();
            tracing::warn!(%folder, "others could write to {folder}: compiled plugins in it are thrown away");
        }
        if open_to_others {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
        // Other entries are left from interrupted starts or compilations.
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if writable_by_others || !is_code(&entry.path()) {
                fs::remove_file(entry.path())?;
            }
        }
        let path = path.canonicalize()?;
        fs::create_dir(path.join("loading"))?;
        Ok(Self { path, compilations: AtomicU64::new(0) })
    }

    /// The folder of wasmtime's cache, from which code is loaded.
    pub(crate) fn loading(&self) -> PathBuf {
        self.path.join("loading")
    }

    /// An empty folder for the cache of one compilation, removed when the result is dropped.
    pub(crate) fn fresh(&self) -> io::Result<CompilationFolder> {
        let number = self.compilations.fetch_add(1, Ordering::Relaxed);
        let fresh = self.path.join(format!("compiling-{number}"));
        fs::create_dir(&fresh)?;
        Ok(CompilationFolder(fresh))
    }

    /// Keeps the code that a compilation left in its folder.
    pub(crate) fn keep(&self, name: &str, fresh: &Path) -> io::Result<()> {
        let code = find(fresh)?.ok_or_else(|| io::Error::other("the compiler left no code: the disk may be full"))?;
        let below = code.strip_prefix(fresh).map_err(io::Error::other)?;
        let below = below.to_str().ok_or_else(|| io::Error::other("the compiler's file has no name in UTF-8"))?;
        let checked = [below.as_bytes(), b"\n", &fs::read(&code)?].concat();
        let part = self.path.join(format!("{name}.part"));
        let written = fs::write(&part, [&checksum(name, &checked)[..], &checked].concat());
        let kept = written.and_then(|()| fs::rename(&part, self.file(name)));
        if kept.is_err() {
            let _ = fs::remove_file(&part);
        }
        kept.and_then(|()| self.bound(name))
    }

    /// Verifies kept code and copies it to the place where wasmtime's cache expects it, until the
    /// result is dropped. `None` where there is none, or it is not usable.
    pub(crate) fn stage(&self, name: &str) -> Option<StagedCode> {
        match self.try_stage(name) {
            Ok(staged) => Some(staged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(name, %error, "kept code {name} cannot be used, its plugin is compiled again: {error}");
                // Other errors, such as a full disk, may not last.
                if error.kind() == io::ErrorKind::InvalidData {
                    self.forget(name);
                }
                None
            }
        }
    }

    /// Removes a piece of code.
    pub(crate) fn forget(&self, name: &str) {
        // Code that cannot be removed is found unusable again.
        let _ = fs::remove_file(self.file(name));
    }

    fn try_stage(&self, name: &str) -> io::Result<StagedCode> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
        let path = self.file(name);
        let bytes = fs::read(&path)?;
        let (expected, checked) = bytes.split_first_chunk::<CHECKSUM_BYTES>().ok_or_else(damaged)?;
        if checksum(name, checked) != *expected {
            return Err(damaged());
        }
        let end = checked.iter().position(|b| *b == b'\n').ok_or_else(damaged)?;
        let (below, code) = checked.split_at_checked(end).ok_or_else(damaged)?;
        let (below, code) =
            (Path::new(str::from_utf8(below).map_err(|_| damaged())?), code.get(1..).ok_or_else(damaged)?);
        if !below.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(damaged());
        }
        let staged = StagedCode(self.loading().join(below));
        if let Some(folder) = staged.0.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&staged.0, code)?;
        // Records the time of use for `bound`; a folder that cannot be written to fails in `keep`.
        let _ = fs::File::options().append(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        Ok(staged)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name).with_extension(EXTENSION)
    }

    /// Removes the least recently used code, but never `name`, until the limit is met.
    fn bound(&self, name: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if is_code(&path) && path != self.file(name) {
                let meta = fs::metadata(&path)?;
                files.push((meta.modified()?, meta.len(), path));
            }
        }
        files.sort();
        let mut size = fs::metadata(self.file(name))?.len() + files.iter().map(|(_, bytes, _)| bytes).sum::<u64>();
        for (_, bytes, path) in files {
            if size <= MAX_BYTES {
                break;
            }
            fs::remove_file(path)?;
            size -= bytes;
        }
        Ok(())
    }
}

/// A folder for the cache of one compilation.
pub(crate) struct CompilationFolder(pub(crate) PathBuf);

impl Drop for CompilationFolder {
    fn drop(&mut self) {
        // The next start removes the rest.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Code that wasmtime may load until this is dropped.
pub(crate) struct StagedCode(PathBuf);

impl Drop for StagedCode {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn is_code(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == EXTENSION)
}

fn checksum(name: &str, checked: &[u8]) -> [u8; CHECKSUM_BYTES] {
    Sha256::new().chain_update(name).chain_update(checked).finalize().into()
}

/// The file without an extension below a folder, which is the code in wasmtime's cache.
fn find(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = find(&path)? {
                return Ok(Some(found));
            }
        } else if path.extension().is_none() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> (CompiledFolder, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (CompiledFolder::open(&dir.path().join("compiled")).unwrap(), dir)
    }

    fn keep(folder: &CompiledFolder, name: &str, bytes: &[u8]) {
        let fresh = folder.fresh().unwrap();
        fs::create_dir_all(fresh.0.join("modules/compiler-1")).unwrap();
        fs::write(fresh.0.join("modules/compiler-1/abc"), bytes).unwrap();
        fs::write(fresh.0.join("modules/compiler-1/abc.stats"), "usages = 1").unwrap();
        folder.keep(name, &fresh.0).unwrap();
    }

    #[test]
    fn kept_code_is_staged_at_its_path_only_while_it_is_used() {
        let (folder, _dir) = opened();
        assert!(folder.stage("one").is_none());
        keep(&folder, "one", b"code of one");
        let there = folder.loading().join("modules/compiler-1/abc");
        let staged = folder.stage("one").unwrap();
        assert_eq!(fs::read(&there).unwrap(), b"code of one");
        drop(staged);
        assert!(!there.exists());
    }

    #[test]
    fn flipped_bits_and_truncation_are_detected() {
        let (folder, _dir) = opened();
        keep(&folder, "one", b"code of one");
        let whole = fs::read(folder.file("one")).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for bytes in [&flipped[..], &whole[..at]] {
                fs::write(folder.file("one"), bytes).unwrap();
                assert!(folder.stage("one").is_none(), "{at}");
                assert!(!folder.file("one").exists(), "what cannot be used is not kept");
            }
        }
    }

    #[test]
    fn code_of_another_component_is_detected() {
        let (folder, _dir) = opened();
        keep(&folder, "one", b"code of one");
        fs::copy(folder.file("one"), folder.file("other")).unwrap();
        assert!(folder.stage("other").is_none() && folder.stage("one").is_some());
    }

    #[test]
    fn nothing_is_staged_outside_the_folder() {
        let (folder, dir) = opened();
        for below in ["../../outside", "/tmp/ocellus-outside"] {
            let checked = [below.as_bytes(), b"\ncode"].concat();
            fs::write(folder.file("one"), [&checksum("one", &checked)[..], &checked].concat()).unwrap();
            assert!(folder.stage("one").is_none());
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_could_write_to_is_emptied_and_closed() {
        let (folder, dir) = opened();
        let mode = || fs::metadata(&folder.path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o700);
        keep(&folder, "one", b"code");
        for (open, kept) in [(0o755, true), (0o777, false)] {
            fs::set_permissions(&folder.path, fs::Permissions::from_mode(open)).unwrap();
            fs::write(folder.path.join("two.part"), "cut off").unwrap();
            let again = CompiledFolder::open(&dir.path().join("compiled")).unwrap();
            assert_eq!(
                (mode(), again.file("one").exists(), folder.path.join("two.part").exists()),
                (0o700, kept, false)
            );
        }
    }

    #[test]
    fn the_least_recently_used_code_is_dropped() {
        let (folder, _dir) = opened();
        // A sparse file: only its length counts.
        let large = |name: &str, age: u64| {
            let file = fs::File::create(folder.file(name)).unwrap();
            file.set_len(MAX_BYTES / 3).unwrap();
            file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
        };
        large("used", 50);
        large("old", 100);
        large("older", 200);
        keep(&folder, "new", b"code");
        let there = ["new", "used", "old", "older"].map(|name| folder.file(name).exists());
        assert_eq!(there, [true, true, true, false]);
    }
}
