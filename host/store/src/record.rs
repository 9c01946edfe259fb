//! `video.json`, the truth about one video, and `archive.json`, the truth about the archive.

use std::{fs, io, path::Path};

use ocellus_core::{VideoId, VideoRecord, VideoStatus};
use serde::{Deserialize, Serialize};

use crate::{
    durable,
    error::{AtPath, Result, StoreError},
    layout::Layout,
};

/// Raised when an older program could not read what this one writes.
const SCHEMA: u32 = 1;

/// The content of `video.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stored {
    schema: u32,
    /// The place in the queue: there is one exactly while the status is AWAITING.
    pub(crate) queued: Option<u64>,
    pub(crate) video: VideoRecord,
}

impl Stored {
    pub(crate) fn new(video: VideoRecord) -> Self {
        Self { schema: SCHEMA, queued: None, video }
    }
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    #[derive(Deserialize)]
    struct Schema {
        schema: u32,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).at(path),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| match serde_json::from_slice::<Schema>(&bytes) {
        Ok(Schema { schema }) if schema > SCHEMA => StoreError::unreadable(path, "written by a newer version of this program"),
        _ => StoreError::unreadable(path, e),
    })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).map_err(|e| StoreError::Encode(e.to_string()))?;
    durable::replace(path, &bytes)
}

/// The record in a video's folder; `None` where there is none.
pub(crate) fn read(layout: &Layout, id: VideoId) -> Result<Option<Stored>> {
    let path = layout.record(id);
    let stored: Option<Stored> = read_json(&path)?;
    match &stored {
        Some(s) if s.schema > SCHEMA => Err(StoreError::unreadable(&path, "written by a newer version of this program")),
        Some(s) if s.video.id != id => Err(StoreError::unreadable(&path, format!("holds video {}", s.video.id))),
        _ => Ok(stored),
    }
}

/// Replaces the record, durably. The folder has to be there.
pub(crate) fn write(layout: &Layout, stored: &Stored) -> Result<()> {
    write_json(&layout.record(stored.video.id), stored)
}

/// Brings a record in line with the source file, when a crash came between the two, or a person. Returns whether it
/// changed.
pub(crate) fn reconcile(layout: &Layout, stored: &mut Stored) -> Result<bool> {
    let path = layout.source(stored.video.id);
    let length = match fs::metadata(&path) {
        Ok(meta) => Some(meta.len()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e).at(&path),
    };
    if length == stored.video.file_size {
        return Ok(false);
    }
    match length {
        Some(length) => source_replaced(&mut stored.video, length),
        None => source_removed(&mut stored.video),
    }
    Ok(true)
}

/// What a new source file of `length` bytes means for its video.
pub(crate) fn source_replaced(video: &mut VideoRecord, length: u64) {
    video.file_size = Some(length);
    (video.source_len, video.frame_width, video.frame_height) = (None, None, None);
    (video.finished, video.error) = (false, None);
    if !video.status.is_enabled() {
        video.status = VideoStatus::Disabled;
    }
}

/// What the loss of its source file means for a video: its results stay.
pub(crate) fn source_removed(video: &mut VideoRecord) {
    video.file_size = None;
    if video.url.is_none() && !video.status.is_active() {
        video.status = VideoStatus::NoSource;
    }
}

/// The content of `archive.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Identity {
    schema: u32,
    /// Tells whose index an index is.
    pub(crate) archive: String,
    /// No id from here on was ever given to a video that is deleted by now.
    pub(crate) next_id: u64,
}

impl Identity {
    /// The archive's identity; made where there is none.
    pub(crate) fn open(layout: &Layout) -> Result<Self> {
        let path = layout.identity();
        if let Some(identity) = read_json::<Self>(&path)? {
            return if identity.schema > SCHEMA { Err(StoreError::unreadable(&path, "written by a newer version of this program")) } else { Ok(identity) };
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::from).at(&path)?;
        let identity = Self { schema: SCHEMA, archive: format!("{:032x}", u128::from_be_bytes(random)), next_id: 1 };
        identity.write(layout)?;
        Ok(identity)
    }

    pub(crate) fn write(&self, layout: &Layout) -> Result<()> {
        write_json(&layout.identity(), self)
    }
}
