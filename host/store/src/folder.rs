//! Where things lie in the data folder.
//!
//! ```text
//! archive/last-id                     the highest id that was ever deleted
//! archive/000/1/video.json            the record
//!               source                the uploaded file
//!               source.part-*         an upload under way
//!               screenshot.jpg
//!               jobs/2/plan.json      settings that the job runs by
//!                      detections.log
//!                      objects.log
//!                      deliveries.log
//!                      embeddings.log        what objects look like, as numbers
//!                      clusters.json         the individuals, once the job is over
//!                      pictures/2-…-0.thumbnail.jpg
//! archive/.new-1, .gone-1             videos being made and unmade
//! index/                              sled
//!      rows/                          what objects look like, to be read from end to end
//! lock
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use ocellus_core::{JobId, VideoId, VideoRecord};

use crate::{
    durable,
    error::{At, Result, StoreError},
};

#[derive(Clone, Debug)]
pub(crate) struct Folder {
    archive: PathBuf,
}

impl Folder {
    pub(crate) fn new(data: &Path) -> Self {
        Self { archive: data.join("archive") }
    }

    pub(crate) fn archive(&self) -> &Path {
        &self.archive
    }

    pub(crate) fn shard(&self, id: VideoId) -> PathBuf {
        self.archive.join(format!("{:03}", id.0 / 1000))
    }

    pub(crate) fn video(&self, id: VideoId) -> PathBuf {
        self.shard(id).join(id.to_string())
    }

    pub(crate) fn record(&self, id: VideoId) -> PathBuf {
        self.video(id).join("video.json")
    }

    pub(crate) fn source(&self, id: VideoId) -> PathBuf {
        self.video(id).join("source")
    }

    pub(crate) fn jobs(&self, id: VideoId) -> PathBuf {
        self.video(id).join("jobs")
    }

    pub(crate) fn job(&self, id: JobId) -> PathBuf {
        self.jobs(id.video).join(id.number.to_string())
    }

    pub(crate) fn being_made(&self, id: VideoId) -> PathBuf {
        self.archive.join(format!(".new-{id}"))
    }

    pub(crate) fn being_removed(&self, id: VideoId) -> PathBuf {
        self.archive.join(format!(".gone-{id}"))
    }

    fn last_id_file(&self) -> PathBuf {
        self.archive.join("last-id")
    }

    /// The highest id that was ever deleted; 0 for none.
    pub(crate) fn last_deleted(&self) -> Result<u64> {
        let path = self.last_id_file();
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| StoreError::Damaged { path, reason: format!("{text:?} is no id") }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(e).at(path),
        }
    }

    pub(crate) fn set_last_deleted(&self, id: VideoId) -> Result<()> {
        durable::replace(&self.last_id_file(), format!("{id}\n").as_bytes())
    }

    /// Clears away what a crash left of videos being made or unmade.
    pub(crate) fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.archive).at(&self.archive)? {
            let entry = entry.at(&self.archive)?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(".new-") || name.to_string_lossy().starts_with(".gone-") {
                durable::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// The ids of all videos that have a folder.
    pub(crate) fn ids(&self) -> Result<Vec<VideoId>> {
        let mut ids = Vec::new();
        for shard in fs::read_dir(&self.archive).at(&self.archive)? {
            let shard = shard.at(&self.archive)?.path();
            if !shard.is_dir() || shard.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
                continue;
            }
            for video in fs::read_dir(&shard).at(&shard)? {
                let name = video.at(&shard)?.file_name();
                ids.extend(name.to_str().and_then(|n| n.parse().ok()).map(VideoId));
            }
        }
        ids.sort();
        Ok(ids)
    }

    pub(crate) fn read(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        let path = self.record(id);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.at(&path)?,
        };
        let record: VideoRecord =
            serde_json::from_slice(&bytes).map_err(|e| StoreError::Damaged { path: path.clone(), reason: e.to_string() })?;
        if record.id != id {
            return Err(StoreError::Damaged { path, reason: format!("it is the record of video {}", record.id) });
        }
        Ok(Some(record))
    }
}
