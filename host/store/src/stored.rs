//! A job's files, to be read and nothing else: also beside a server that is at work on them.

use std::path::{Path, PathBuf};

use ocellus_core::{Cluster, JobId, ObjectRecord, VideoId, VideoRecord};
use serde_json::Value;

use crate::{
    codec::parse,
    detections::DetectionReader,
    disk::Disk,
    error::{Result, StoreError},
    folder::Folder,
    log::{Kind, LogReader},
    objects::{self, DETECTIONS, Embedding},
};

/// The last job of a video. What a server appends meanwhile may be seen or not; a job that takes
/// its place makes it fail.
pub struct StoredJob {
    folder: Folder,
    video: VideoRecord,
}

impl StoredJob {
    /// In the data folder `data`, which is not locked.
    pub fn open(data: &Path, id: VideoId) -> Result<Self> {
        Self::within(Folder::new(data, Disk::default()), id)
    }

    pub(crate) fn within(folder: Folder, id: VideoId) -> Result<Self> {
        let video = folder.read(id)?.ok_or(StoreError::NoVideo(id))?;
        Ok(Self { folder, video })
    }

    pub fn id(&self) -> JobId {
        JobId { video: self.video.id, number: self.video.job }
    }

    pub fn video(&self) -> &VideoRecord {
        &self.video
    }

    /// What the job ran by; `None` before the first.
    pub fn spec(&self) -> Result<Option<Value>> {
        if self.video.job == 0 { Ok(None) } else { objects::read_spec(&self.folder, self.id()).map(Some) }
    }

    /// The records of the detection log; `None` before it was begun.
    pub fn detections(&self) -> Result<Option<DetectionReader>> {
        DetectionReader::open(self.folder.job(self.id()).join(DETECTIONS))
    }

    /// The uploaded file, where there is one.
    pub fn source(&self) -> Option<PathBuf> {
        self.video.file_size.map(|_| self.folder.source(self.video.id))
    }

    /// All objects, in the order in which they were made.
    pub fn objects(&self) -> Result<Vec<ObjectRecord>> {
        let path = self.folder.job(self.id()).join("objects.log");
        let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(Vec::new()) };
        std::iter::from_fn(|| log.next_record().transpose()).map(|payload| parse(&path, &payload?)).collect()
    }

    /// What objects look like, in the order in which that was kept; some may be of objects that
    /// there are none of, or twice.
    pub fn embeddings(&self) -> Result<Vec<Embedding>> {
        objects::embeddings(&self.folder, self.id())?.collect()
    }

    /// The identities among the objects, in order of their ids; none before the job's end.
    pub fn clusters(&self) -> Result<Vec<Cluster>> {
        Ok(objects::read_clusters(&self.folder, self.id())?.unwrap_or_default())
    }
}
