//! A source on its way in.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use ocellus_core::{VideoId, VideoRecord};
use tracing::warn;

use crate::{
    Archive, durable,
    error::{At, Result},
};

static UPLOADS: AtomicU64 = AtomicU64::new(0);

/// Takes bytes into a file beside the source. [`Upload::commit`] puts it in the source's place; dropped before that, it
/// leaves nothing. Of several uploads to one video, the last to commit stays.
pub struct Upload {
    archive: Archive,
    video: VideoId,
    part: PathBuf,
    file: Option<File>,
    bytes: u64,
}

pub(crate) fn begin(archive: Archive, video: VideoId) -> Result<Upload> {
    let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
    let part = archive.folder().video(video).join(format!("source.part-{}-{number}", std::process::id()));
    let file = File::options().write(true).create_new(true).open(&part).at(&part)?;
    Ok(Upload { archive, video, part, file: Some(file), bytes: 0 })
}

/// Removes what uploads that a crash cut off left in a video's folder.
pub(crate) fn tidy(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        if entry.file_name().to_string_lossy().starts_with("source.part-") {
            durable::remove(&entry.path())?;
        }
    }
    Ok(())
}

impl Upload {
    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Another handle on the file, for a writer that needs to go back in it.
    pub fn handle(&self) -> io::Result<File> {
        self.file.as_ref().ok_or(io::ErrorKind::BrokenPipe)?.try_clone()
    }

    /// Makes what was written the video's source, durably. The video may have been deleted meanwhile: an error then.
    pub fn commit(self) -> Result<VideoRecord> {
        self.commit_if(|_| Ok(()))
    }

    /// As [`Upload::commit`], where `check` allows it for the record as it is then. Nothing changes the record between the
    /// two; refused, the upload leaves nothing.
    pub fn commit_if(mut self, check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>) -> Result<VideoRecord> {
        if let Some(file) = self.file.take() {
            file.sync_all().at(&self.part)?;
            self.bytes = file.metadata().at(&self.part)?.len();
        }
        self.archive.commit_upload(self.video, &self.part, self.bytes, check)
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = file.write(bytes)?;
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
        if let Err(error) = durable::remove(&self.part) {
            warn!("an upload that was given up left {}: {error}", self.part.display());
        }
    }
}
