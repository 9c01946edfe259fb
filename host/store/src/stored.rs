//! Read-only view of a video's last job, also while a server runs it.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use ocellus_core::{Cluster, JobId, ObjectRecord, VideoId, VideoRecord};
use serde_json::Value;

use crate::{
    detections::DetectionReader,
    disk::Disk,
    error::{Result, StoreError},
    folder::Folder,
    job_files,
    objects::Embedding,
    tracks::{self, TrackFrame},
};

/// A video and its last job, as they were when it was opened. Records that a server appends later
/// may be read or not. Once a new job replaces this one, its files are gone.
pub struct StoredJob {
    folder: Folder,
    video: VideoRecord,
}

impl StoredJob {
    /// Opens the job of a video in the data folder `data`, which is not locked.
    ///
    /// # Errors
    /// `NoVideo`; `Damaged` or `Newer` where the record cannot be read.
    pub fn open(data: &Path, id: VideoId) -> Result<Self> {
        Self::within(Folder::new(data, Disk::default()), id)
    }

    pub(crate) fn within(folder: Folder, id: VideoId) -> Result<Self> {
        let video = folder.read(id)?.ok_or(StoreError::NoVideo(id))?;
        Ok(Self { folder, video })
    }

    /// The id of the job; its number is 0 before the first job.
    pub fn id(&self) -> JobId {
        JobId { video: self.video.id, number: self.video.job }
    }

    /// The record of the video when this was opened.
    pub fn video(&self) -> &VideoRecord {
        &self.video
    }

    /// The job spec; `None` before the first job.
    ///
    /// # Errors
    /// `Damaged` where it cannot be read, `Io` where it is gone.
    pub fn spec(&self) -> Result<Option<Value>> {
        if self.video.job == 0 { Ok(None) } else { job_files::spec(&self.folder, self.id()).map(Some) }
    }

    /// The records of the detection log; `None` before it was begun.
    ///
    /// # Errors
    /// As [`DetectionReader::open`].
    pub fn detections(&self) -> Result<Option<DetectionReader>> {
        DetectionReader::open(self.folder.job(self.id()).join(job_files::DETECTIONS))
    }

    /// The boxes of tracks at stream times from `from` to `to`, in seconds, frame by frame, until
    /// `each` breaks. Returns whether the file of tracks has all frames of the job, and `None`
    /// where there is none.
    ///
    /// # Errors
    /// `Damaged` where it cannot be decoded, `Newer` where a later release wrote it.
    pub fn tracks(&self, from: f64, to: f64, each: impl FnMut(TrackFrame) -> ControlFlow<()>) -> Result<Option<bool>> {
        tracks::read(&self.folder.job(self.id()).join(job_files::TRACKS), from, to, each)
    }

    /// The uploaded file, where there is one.
    pub fn source(&self) -> Option<PathBuf> {
        self.video.file_size.map(|_| self.folder.source(self.video.id))
    }

    /// All objects, in order of creation.
    ///
    /// # Errors
    /// `Damaged` where one cannot be decoded, `Newer` where a later release wrote the log.
    pub fn objects(&self) -> Result<Vec<ObjectRecord>> {
        job_files::objects(&self.folder, self.id())?.map(|object| object.map(|(_, object)| object)).collect()
    }

    /// The embeddings of objects, in the order in which they were stored; some may have no object,
    /// and an object may have several.
    ///
    /// # Errors
    /// `Damaged` where one cannot be decoded, `Newer` where a later release wrote the log.
    pub fn embeddings(&self) -> Result<Vec<Embedding>> {
        job_files::embeddings(&self.folder, self.id())?.collect()
    }

    /// The identities among the objects as the job found them, without corrections, in order of
    /// their ids; none before the job's end.
    ///
    /// # Errors
    /// `Damaged` where `clusters.json` cannot be read.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        Ok(job_files::clusters(&self.folder, self.id())?.unwrap_or_default())
    }
}
