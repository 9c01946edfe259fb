//! Layout of the data folder.
//!
//! ```text
//! format.json                         the format of this folder
//! archive/last-id                     the highest id that was ever deleted
//! archive/000/1/video.json            the record
//!               source                the uploaded file
//!               source.part-*         an upload in progress
//!               source.next           the record that takes effect with a new source
//!               screenshot.jpg
//!               corrections.json      users' corrections of its identities, of all jobs
//!               jobs/2/plan.json      the job spec
//!                      detections.log
//!                      objects.log
//!                      deliveries.log
//!                      embeddings.log
//!                      clusters.json         the identities, once the job is over
//!                      seal.json             digests of the files above, once the job is over
//!                      tracks.log            boxes of tracks by time; rebuilt where it is missing
//!                      pictures/2-…-0.thumbnail.jpg
//! uploads/1-0a1b2c3d4e5f6071-9000     a resumable upload for video 1, of 9000 bytes
//! archive/.new-1, .gone-1             videos being created and deleted
//! *.damaged-1                         a damaged log, as it was found
//! index/                              sled
//!      vectors/                       embeddings, in the files that a search scans
//! index.clean                         checksums of the files of an index that was closed
//! lock
//! tokens.json, tokens.lock            access tokens, hashed
//! audit.log, audit.log.1, audit.lock  audit log
//! imports.json                        files that were imported
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use ocellus_core::{JobId, VideoId, VideoRecord};
use tracing::error;

use crate::{
    codec::{damaged, decode_file},
    disk::Disk,
    error::{At, Result},
};

/// Paths in the data folder, and the disk for changes. Cheap to clone.
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

    /// The folder of all videos.
    pub(crate) fn archive(&self) -> &Path {
        &self.archive
    }

    /// The folder of resumable uploads.
    pub(crate) fn uploads(&self) -> PathBuf {
        self.archive.with_file_name("uploads")
    }

    /// The parent of a video's folder, shared by the 1000 ids of its thousand.
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

    pub(crate) fn corrections(&self, id: VideoId) -> PathBuf {
        self.video(id).join("corrections.json")
    }

    pub(crate) fn jobs(&self, id: VideoId) -> PathBuf {
        self.video(id).join("jobs")
    }

    pub(crate) fn job(&self, id: JobId) -> PathBuf {
        self.jobs(id.video).join(id.number.to_string())
    }

    /// Path at which a video is created, before it is renamed into its shard.
    pub(crate) fn staging(&self, id: VideoId) -> PathBuf {
        self.archive.join(format!(".new-{id}"))
    }

    /// Path to which a deleted video is renamed.
    pub(crate) fn trash(&self, id: VideoId) -> PathBuf {
        self.archive.join(format!(".gone-{id}"))
    }

    pub(crate) fn last_id_file(&self) -> PathBuf {
        self.archive.join("last-id")
    }

    /// The record that takes effect with a new source.
    pub(crate) fn next_source(&self, id: VideoId) -> PathBuf {
        self.video(id).join("source.next")
    }

    /// Removes leftovers of videos whose creation a crash interrupted; logs what it cannot remove.
    pub(crate) fn tidy(&self) -> Result<()> {
        for entry in fs::read_dir(&self.archive).at(&self.archive)? {
            let entry = entry.at(&self.archive)?;
            if entry.file_name().to_string_lossy().starts_with(".new-")
                && let Err(error) = self.disk.remove(&entry.path())
            {
                error!("the files of a video that was never created cannot be removed: {error}");
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

    /// The record of a video; `None` where there is no such video.
    ///
    /// # Errors
    /// `Damaged` where the record cannot be read, `Newer` where a later release wrote it.
    pub(crate) fn read(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        let path = self.record(id);
        let bytes = match fs::read(&path) {
            // No operation leaves a folder without a record.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.video(id).is_dir() => {
                Err(damaged(&path, "it is missing"))
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.at(&path),
        }?;
        let record: VideoRecord = decode_file(&path, &bytes)?;
        if record.id != id {
            return Err(damaged(&path, format!("it is the record of video {}", record.id)));
        }
        Ok(Some(record))
    }
}
