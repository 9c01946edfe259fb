//! Import of recordings from a folder: each file that has stopped growing becomes a video.
//!
//! Polls the folder, which also works on network shares, where changes are not reported. Owns
//! `imports.json` in the data folder, the list of imported files: a file with the same path, length
//! and modification time is not imported again, also after a restart. A file is added to the list
//! before its bytes are copied, so that a crash in between does not import it twice. Ends with its
//! task.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use ocellus_core::{Error, VideoId, VideoRecord, VideoStatus};
use ocellus_pipeline::Engine;
use ocellus_store::{Archive, ImportList, ImportedFile};
use tracing::{info, warn};

/// Length and modification time in nanoseconds, which stay the same while nobody writes to a file.
type FileStamp = (u64, i64);

/// Depth of nested folders; deeper ones are ignored.
const MAX_DEPTH: u32 = 16;

pub(crate) struct Import {
    folder: PathBuf,
    quiet: Duration,
    camera_group: i64,
    list: ImportList,
    /// Files that may still grow: their stamp, and since when they have had it.
    growing: HashMap<PathBuf, (FileStamp, Instant)>,
}

impl Import {
    /// # Errors
    /// A path that is not a folder; a list that cannot be read.
    pub(crate) fn open(folder: &Path, data: &Path, quiet: Duration, camera_group: i64) -> Result<Self> {
        anyhow::ensure!(folder.is_dir(), "--import: {} is no folder", folder.display());
        let inside = folder.canonicalize()?.starts_with(data.canonicalize()?);
        anyhow::ensure!(!inside, "--import: {} lies in the data folder", folder.display());
        let list = ImportList::open(data).context("cannot read what was imported")?;
        Ok(Self { folder: folder.into(), quiet, camera_group, list, growing: HashMap::new() })
    }

    /// Imports for as long as the server runs.
    pub(crate) async fn run(mut self, engine: Engine) {
        let mut polls = tokio::time::interval(self.quiet / 2);
        loop {
            polls.tick().await;
            let (back, ready) = match tokio::task::spawn_blocking(move || {
                let ready = self.ready();
                (self, ready)
            })
            .await
            {
                Ok(looked) => looked,
                Err(error) => return warn!("importing has ended: {error}"),
            };
            self = back;
            for (path, seen) in ready {
                if let Err(error) = self.import(&engine, &path, seen).await {
                    warn!("{} is not imported yet: {error:#}", path.display());
                }
            }
        }
    }

    /// The files to import now.
    fn ready(&mut self) -> Vec<(PathBuf, FileStamp)> {
        let mut found = BTreeMap::new();
        files(&self.folder, MAX_DEPTH, &mut found);
        self.growing.retain(|path, _| found.contains_key(path));
        let now = Instant::now();
        let mut ready = Vec::new();
        for (path, stamp) in found {
            let known = self.list.get(&self.name(&path));
            if known.is_some_and(|known| known.is_done && (known.bytes, known.modified_ns) == stamp) {
                continue;
            }
            let (seen, since) = *self.growing.entry(path.clone()).or_insert((stamp, now));
            if seen != stamp {
                self.growing.insert(path, (stamp, now));
            } else if now.duration_since(since) >= self.quiet && stamp.0 > 0 {
                ready.push((path, stamp));
            }
        }
        ready
    }

    /// The path within the folder.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned()
    }

    async fn import(&mut self, engine: &Engine, path: &Path, stamp: FileStamp) -> Result<()> {
        let (bytes, modified_ns) = stamp;
        engine.check_room(bytes)?;
        let name = self.name(path);
        // An import that a crash or an error interrupted.
        let begun = self.list.get(&name).filter(|file| !file.is_done && (file.bytes, file.modified_ns) == stamp);
        let begun = begun.map(|file| engine.archive().video(VideoId(file.video))).transpose()?.flatten();
        let id = match &begun {
            Some(video) => video.id,
            None => self.create(engine, path)?,
        };
        let file = ImportedFile { bytes, modified_ns, video: id.0, is_done: false };
        self.list.set(&name, file)?;
        if begun.is_none_or(|video| video.file_size != Some(bytes)) {
            let (archive, path) = (engine.archive().clone(), path.to_path_buf());
            let copied = tokio::task::spawn_blocking(move || copy(&archive, id, &path)).await??;
            anyhow::ensure!(copied == bytes, "the file is growing again");
        }
        engine.process(id).await?;
        self.list.set(&name, ImportedFile { is_done: true, ..file })?;
        info!(video = %id, "video {id}: imported from {name}");
        Ok(())
    }

    fn create(&self, engine: &Engine, path: &Path) -> Result<VideoId> {
        let settings = engine.settings_schema()?.complete(None)?;
        let name: Option<String> = path.file_name().map(|name| name.to_string_lossy().chars().take(256).collect());
        let make = |id, now| VideoRecord::new(id, self.camera_group, name, settings, now);
        Ok(engine.archive().create(make)?.id)
    }
}

/// Copies a file into the archive; returns its length.
fn copy(archive: &Archive, id: VideoId, path: &Path) -> Result<u64> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut upload = archive.begin_upload(id)?;
    let mut block = vec![0; 1 << 20];
    loop {
        let read = match file.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(some) = block.get(..read).filter(|some| !some.is_empty()) else { break };
        upload.write_all(some)?;
    }
    let bytes = upload.bytes();
    upload.commit_if(|video| {
        let idle = matches!(video.status, VideoStatus::WaitingForSync | VideoStatus::Disabled | VideoStatus::NoSource);
        if idle { Ok(()) } else { Err(Error::internal("the video is processed already")) }
    })?;
    Ok(bytes)
}

/// The regular files in a folder and its subfolders, without hidden files and the temporary files
/// of programs that copy or download.
fn files(folder: &Path, depth: u32, found: &mut BTreeMap<PathBuf, FileStamp>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return warn!("cannot import from {}: {error}", folder.display()),
    };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let unfinished = [".part", ".tmp", ".crdownload", ".filepart"].iter().any(|end| name.ends_with(end));
        if name.starts_with('.') || unfinished {
            continue;
        }
        // Without following links: a folder may link to a parent.
        match entry.metadata() {
            Ok(of) if of.is_dir() && depth > 0 => files(&path, depth - 1, found),
            Ok(of) if of.is_file() => {
                let modified = of.mtime().saturating_mul(1_000_000_000).saturating_add(of.mtime_nsec());
                found.insert(path, (of.len(), modified));
            }
            _ => {}
        }
    }
}
