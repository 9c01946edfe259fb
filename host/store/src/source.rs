//! A video's source file and its picture: taking a new one in, removing it.
//!
//! Guarantees: a source and what its record says of it change together. The record that goes with a
//! new source is on the disk, as `source.next`, before the source is put in its place, and takes
//! the old record's place after it: two renames, which need no room. A crash between them is
//! finished by the next start.

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
    codec::{FileDigest, seal},
    disk::BackendFile,
    error::{At, Result, StoreError},
    shared::Shared,
};

static UPLOADS: AtomicU64 = AtomicU64::new(0);

/// Takes bytes into a file beside the source. [`Upload::commit`] puts it in the source's place;
/// dropped before that, it leaves nothing. Of several uploads to one video, the last to commit
/// stays.
pub struct Upload {
    archive: Archive,
    video: VideoId,
    part: PathBuf,
    file: Option<Box<dyn BackendFile>>,
    bytes: u64,
    /// Of what was written here.
    hasher: Sha256,
    /// Somebody else writes to the file, too.
    shared: AtomicBool,
}

impl Upload {
    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Another handle on the file, for a writer that needs to go back in it.
    pub fn handle(&self) -> io::Result<File> {
        self.shared.store(true, Ordering::Relaxed);
        File::options().write(true).open(&self.part)
    }

    /// Makes what was written the video's source, durably. The video may have been deleted
    /// meanwhile: an error then.
    pub fn commit(self) -> Result<VideoRecord> {
        self.commit_if(|_| Ok(()))
    }

    /// As [`Upload::commit`], where `check` allows it for the video as it is at that moment;
    /// nothing comes between the two.
    pub fn commit_if(mut self, check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>) -> Result<VideoRecord> {
        let mut file = self.file.take().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe)).at(&self.part)?;
        file.sync().at(&self.part)?;
        drop(file);
        let digest = if self.shared.load(Ordering::Relaxed) {
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
        // After a commit there is nothing under this name any more.
        if let Err(error) = self.archive.shared().folder.disk().remove(&self.part) {
            warn!(video = %self.video, "an upload that was given up left {}: {error}", self.part.display());
        }
    }
}

impl Archive {
    /// Begins to take a new source for a video.
    pub fn begin_upload(&self, id: VideoId) -> Result<Upload> {
        // Or a deletion could come between the question and the file.
        let _guard = self.shared().guard(id);
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
            shared: AtomicBool::new(false),
        })
    }

    pub fn source_path(&self, id: VideoId) -> PathBuf {
        self.shared().folder.source(id)
    }

    /// Puts a part file in place of the source.
    fn put_source(
        &self,
        id: VideoId,
        part: &Path,
        digest: FileDigest,
        check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>,
    ) -> Result<VideoRecord> {
        let _guard = self.shared().guard(id);
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
        disk.replace(&next, &seal(&record))?;
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
            // Whoever writes the record next looks which of the two is there, or the next start.
            index.mark_dirty();
        }
        put?;
        index.change(|index| index.put(id, Some(&record)))?;
        Ok(record)
    }

    /// Removes the source file; objects and pictures stay.
    pub fn delete_source(&self, id: VideoId) -> Result<VideoRecord> {
        let _guard = self.shared().guard(id);
        let (record, ()) = self.update_guarded(id, |v| {
            (v.file_size, v.source_sha256) = (None, None);
            if v.url.is_none() {
                v.status = VideoStatus::NoSource;
            }
            Ok(())
        })?;
        let Shared { folder, index, .. } = self.shared();
        // What is left of it the next start removes.
        folder.disk().remove(&folder.source(id)).inspect_err(|_| index.mark_dirty())?;
        Ok(record)
    }

    /// Where the video's picture is kept, if one was made.
    pub fn screenshot_path(&self, id: VideoId) -> PathBuf {
        self.shared().folder.screenshot(id)
    }

    /// Keeps a picture of a video, unless the video has another source by now than `video` says.
    pub fn save_screenshot(&self, video: &VideoRecord, jpeg: &[u8]) -> Result<()> {
        let id = video.id;
        let _guard = self.shared().guard(id);
        let folder = &self.shared().folder;
        let source = |v: &VideoRecord| (v.source_sha256.clone(), v.file_size, v.url.clone());
        let same = folder.read(id)?.is_some_and(|now| source(&now) == source(video));
        if same { folder.disk().replace(&self.screenshot_path(id), jpeg) } else { Ok(()) }
    }
}
