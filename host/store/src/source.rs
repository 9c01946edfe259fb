//! Source file and screenshot of a video: upload, replacement, removal.
//!
//! Guarantees: a source and its record change together. The record for a new source is written as
//! `source.next` before the source is replaced, and replaces the old record afterwards: two
//! renames, which need no disk space. After a crash between them, the next start does the second.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use ocellus_core::{VideoId, VideoRecord, VideoStatus};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::{
    archive::Archive,
    codec::{FileDigest, encode_file},
    disk::BackendFile,
    error::{At, Result, StoreError},
    observer::Written,
    shared::Shared,
};

static UPLOADS: AtomicU64 = AtomicU64::new(0);

/// Upload of a source into a file beside it. [`Upload::commit`] replaces the source by this file;
/// dropped before that, it removes the file. Of several uploads to one video, the last to commit
/// wins.
pub struct Upload {
    archive: Archive,
    video: VideoId,
    part: PathBuf,
    file: Option<Box<dyn BackendFile>>,
    bytes: u64,
    /// Hash of the bytes written through [`Write`].
    hasher: Sha256,
    /// Whether the file is also written through a handle: then `hasher` does not count.
    has_handle: AtomicBool,
}

impl Upload {
    /// Bytes written so far, without those through a handle.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Another handle on the file, for a writer that seeks. Its bytes are hashed by the commit.
    pub fn handle(&self) -> io::Result<File> {
        self.has_handle.store(true, Ordering::Relaxed);
        File::options().write(true).open(&self.part)
    }

    /// Makes the written file the video's source, durably, and returns the record.
    ///
    /// # Errors
    /// `NoVideo` where the video was deleted meanwhile; `Io`, also where the disk is full: then the
    /// source is the old or the new one, and the upload can be repeated.
    pub fn commit(self) -> Result<VideoRecord> {
        self.commit_if(|_| Ok(()))
    }

    /// As [`Upload::commit`], if `check` accepts the record: check and commit are atomic.
    ///
    /// # Errors
    /// As [`Upload::commit`], and `Refused` with the error of `check`.
    pub fn commit_if(mut self, check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>) -> Result<VideoRecord> {
        let mut file = self.file.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)).at(&self.part)?;
        file.sync().at(&self.part)?;
        drop(file);
        let digest = if self.has_handle.load(Ordering::Relaxed) {
            FileDigest::of_file(&self.part)?
        } else {
            FileDigest::new(self.bytes, std::mem::take(&mut self.hasher))
        };
        self.archive.put_source(self.video, &self.part, digest, check)
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // After a commit there is no such file.
        if let Err(error) = self.archive.shared().folder.disk().remove(&self.part) {
            warn!(video = %self.video, "an aborted upload left {}: {error}", self.part.display());
        }
    }
}

impl Archive {
    /// Begins the upload of a new source.
    ///
    /// # Errors
    /// `NoVideo`; `Io`, also where the disk is full.
    pub fn begin_upload(&self, id: VideoId) -> Result<Upload> {
        // Prevents a deletion between the look-up and the creation of the file.
        let _lock = self.shared().lock(id);
        if self.video(id)?.is_none() {
            return Err(StoreError::NoVideo(id));
        }
        let folder = &self.shared().folder;
        let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
        let part = folder.video(id).join(format!("source.part-{}-{number}", std::process::id()));
        let file = Some(folder.disk().create_new(&part)?);
        Ok(Upload {
            archive: self.clone(),
            video: id,
            part,
            file,
            bytes: 0,
            hasher: Sha256::new(),
            has_handle: AtomicBool::new(false),
        })
    }

    /// The path of a video's source, if it has one.
    pub fn source_path(&self, id: VideoId) -> PathBuf {
        self.shared().folder.source(id)
    }

    /// Replaces the source by a part file.
    pub(crate) fn put_source(
        &self,
        id: VideoId,
        part: &Path,
        digest: FileDigest,
        check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>,
    ) -> Result<VideoRecord> {
        let _lock = self.shared().lock(id);
        let Shared { folder, index, .. } = self.shared();
        self.finish_source(id)?;
        let mut record = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        check(&record)?;
        record.file_size = Some(digest.bytes);
        record.source_sha256 = Some(digest.sha256);
        (record.source_len, record.frame_width, record.frame_height) = (None, None, None);
        record.error = None;
        record.finished = false;
        if !record.status.is_enabled() {
            record.status = VideoStatus::Disabled;
        }
        let (here, next, disk) = (folder.video(id), folder.next_source(id), folder.disk());
        disk.replace(&next, &encode_file(&record))?;
        if let Err(error) = disk.rename(part, &folder.source(id)) {
            disk.remove(&next)?;
            return Err(error);
        }
        let put = (|| {
            disk.remove(&self.screenshot_path(id))?;
            disk.sync_folder(&here)?;
            disk.rename(&next, &folder.record(id))?;
            disk.sync_folder(&here)
        })();
        if put.is_err() {
            // The next change of the record, or the next start, determines which source is in
            // place.
            index.mark_dirty();
        }
        put?;
        index.change(|index| index.videos.put(id, Some(&record)))?;
        self.tell(Written::Video(id));
        Ok(record)
    }

    /// Removes the source file; objects and pictures stay.
    ///
    /// # Errors
    /// `NoVideo`; `Io`, also where the disk is full.
    pub fn delete_source(&self, id: VideoId) -> Result<VideoRecord> {
        let _lock = self.shared().lock(id);
        let (record, ()) = self.update_locked(id, |v| {
            (v.file_size, v.source_sha256) = (None, None);
            if v.url.is_none() {
                v.status = VideoStatus::NoSource;
            }
            Ok(())
        })?;
        let Shared { folder, index, .. } = self.shared();
        // Where this fails, the next start removes the file.
        folder.disk().remove(&folder.source(id)).inspect_err(|_| index.mark_dirty())?;
        Ok(record)
    }

    /// The path of a video's screenshot, if it has one.
    pub fn screenshot_path(&self, id: VideoId) -> PathBuf {
        self.shared().folder.screenshot(id)
    }

    /// Stores a screenshot of a video, unless its source is no longer that of the record `video`.
    ///
    /// # Errors
    /// `Io`, also where the disk is full; `Damaged` where the record cannot be read.
    pub fn save_screenshot(&self, video: &VideoRecord, jpeg: &[u8]) -> Result<()> {
        let id = video.id;
        let _lock = self.shared().lock(id);
        let folder = &self.shared().folder;
        let source = |v: &VideoRecord| (v.source_sha256.clone(), v.file_size, v.url.clone());
        let same = folder.read(id)?.is_some_and(|now| source(&now) == source(video));
        if same { folder.disk().replace(&self.screenshot_path(id), jpeg) } else { Ok(()) }
    }
}
