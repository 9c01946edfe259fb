//! Layout of the data folder.
//!
//! ```text
//! format.json                         the format of this folder
//! archive/last-id                     the highest id that was ever deleted
//! archive/000/1/video.json            the record
//!               source                the uploaded file
//!               source.part-*         an upload under way
//!               source.next           what the file is that is about to become the source
//!               screenshot.jpg
//!               jobs/2/plan.json      settings that the job runs by
//!                      detections.log
//!                      objects.log
//!                      deliveries.log
//!                      embeddings.log        what objects look like, as numbers
//!                      clusters.json         the identities, once the job is over
//!                      seal.json             by which the files above are known again, once it is over
//!                      pictures/2-…-0.thumbnail.jpg
//! archive/.new-1, .gone-1             videos being made and unmade
//! *.damaged-1                         a log as it was when damage was found in it
//! index/                              sled
//!      rows/                          what objects look like, to be read from end to end
//! index.clean                         by which the index is known to be whole
//! lock
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use ocellus_core::{JobId, VideoId, VideoRecord};
use tracing::error;

use crate::{
    codec::{damaged, unseal},
    disk::Disk,
    error::{At, Result},
};

/// Where things lie, and the disk by which they are changed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    archive: PathBuf,
    disk: Disk,
}

impl Folder {
    pub(crate) fn new(data: &Path, disk: Disk) -> Self {
        Self { archive: data.join("archive"), disk }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
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

    pub(crate) fn screenshot(&self, id: VideoId) -> PathBuf {
        self.video(id).join("screenshot.jpg")
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

    pub(crate) fn last_id_file(&self) -> PathBuf {
        self.archive.join("last-id")
    }

    /// What a source is that is about to be put in its place.
    pub(crate) fn next_source(&self, id: VideoId) -> PathBuf {
        self.video(id).join("source.next")
    }

    /// Clears away what a crash left of videos being made, as far as it can be.
    pub(crate) fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.archive).at(&self.archive)? {
            let entry = entry.at(&self.archive)?;
            if entry.file_name().to_string_lossy().starts_with(".new-")
                && let Err(error) = self.disk.remove(&entry.path())
            {
                error!("what is left of a video that was never made cannot be removed: {error}");
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

    /// # Errors
    /// `Damaged` where the record cannot be read, `Newer` where a later release wrote it.
    pub(crate) fn read(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        let path = self.record(id);
        let bytes = match fs::read(&path) {
            // A folder without a record was never made so.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.video(id).is_dir() => {
                Err(damaged(&path, "it is missing"))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.at(&path),
        }?;
        let record: VideoRecord = unseal(&path, &bytes)?;
        if record.id != id {
            return Err(damaged(&path, format!("it is the record of video {}", record.id)));
        }
        Ok(Some(record))
    }
}
