//! Resumable uploads: sources sent in several requests, which survive a restart of the server.
//!
//! Owns the files in `uploads`, one for each upload, with the bytes received so far; the file name
//! states the video and the total length. Guarantees: synced bytes are on the disk; an upload has
//! one writer at a time. An upload ends as the source of its video, by removal, or after
//! [`UPLOAD_LIFE`] without new bytes.

use std::{
    fs,
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use ocellus_core::{Timestamp, VideoId, VideoRecord};

use crate::{
    archive::Archive,
    codec::FileDigest,
    disk::BackendFile,
    error::{At, Result, StoreError},
    upload_writers::Writer,
};

/// How long an upload waits for its next bytes.
pub const UPLOAD_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Progress of an upload, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadState {
    /// Bytes on the disk.
    pub offset: u64,
    /// Length of the whole source.
    pub length: u64,
    /// When bytes were last appended.
    pub changed: Timestamp,
}

/// An upload that is open for appending, exclusively.
pub struct ResumableUpload {
    archive: Archive,
    video: VideoId,
    state: UploadState,
    file: Box<dyn BackendFile>,
    writer: Writer,
}

/// Result of opening an upload.
pub enum FoundUpload {
    /// It exists, and is open now.
    Free(ResumableUpload),
    /// Another request has it open.
    Busy,
    /// There is no such upload, or it has ended.
    None,
}

impl ResumableUpload {
    /// Its progress.
    pub fn state(&self) -> UploadState {
        self.state
    }

    /// Appends bytes; durable only after [`ResumableUpload::sync`].
    ///
    /// # Errors
    /// `Io`, also where the disk is full: then an unknown part of the bytes is appended, so open it
    /// again.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let path = self.writer.path();
        if self.state.length - self.state.offset < bytes.len() as u64 {
            return Err(io::Error::from(ErrorKind::InvalidInput)).at(path);
        }
        self.file.write_all(bytes).at(path)?;
        self.state.offset += bytes.len() as u64;
        Ok(())
    }

    /// Makes all appended bytes durable.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync().at(self.writer.path())
    }

    /// Makes a complete upload the source of its video if `check` accepts the record; returns the
    /// new record. Reads the whole file.
    ///
    /// # Errors
    /// `NoVideo` where it was deleted meanwhile; `Refused` with the error of `check`; `Io`. After
    /// an error the complete upload is still there.
    pub fn commit_if(mut self, check: impl FnOnce(&VideoRecord) -> ocellus_core::Result<()>) -> Result<VideoRecord> {
        let path = self.writer.path();
        if self.state.offset < self.state.length {
            return Err(io::Error::from(ErrorKind::UnexpectedEof)).at(path);
        }
        self.file.sync().at(path)?;
        let digest = FileDigest::of_file(path)?;
        self.archive.put_source(self.video, path, digest, check)
    }

    /// Removes the upload.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove(self) -> Result<()> {
        self.archive.shared().folder.disk().remove(self.writer.path())
    }
}

impl Archive {
    /// Begins an upload of `length` bytes, identified by `name`: ASCII letters and digits.
    ///
    /// # Errors
    /// `NoVideo`; `Io`, also where there is an upload of this name.
    pub fn begin_resumable(&self, video: VideoId, name: &str, length: u64) -> Result<()> {
        if self.video(video)?.is_none() {
            return Err(StoreError::NoVideo(video));
        }
        let folder = &self.shared().folder;
        let (uploads, disk) = (folder.uploads(), folder.disk());
        if !uploads.exists() {
            disk.create_folders(&uploads)?;
        }
        let path = uploads.join(file_name(video, name, length));
        if !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(io::Error::from(ErrorKind::InvalidInput)).at(&path);
        }
        disk.create_new(&path)?.sync().at(&path)?;
        disk.sync_folder(&uploads)
    }

    /// The progress of an upload; `None` where there is no such upload.
    ///
    /// # Errors
    /// `Io`.
    pub fn resumable(&self, video: VideoId, name: &str) -> Result<Option<UploadState>> {
        let found = self.uploads()?.into_iter().find(|(_, of)| of.video == video && of.name == name);
        found.map_or(Ok(None), |(path, of)| state(&path, of.length))
    }

    /// Opens an upload to append to it, commit it or remove it.
    ///
    /// # Errors
    /// `Io`.
    pub fn open_resumable(&self, video: VideoId, name: &str) -> Result<FoundUpload> {
        let found = self.uploads()?.into_iter().find(|(_, of)| of.video == video && of.name == name);
        let Some((path, of)) = found else { return Ok(FoundUpload::None) };
        let Some(writer) = self.shared().upload_writers.begin(&path) else { return Ok(FoundUpload::Busy) };
        // Read with the right to write: an earlier writer may just have ended the upload.
        let Some(state) = state(&path, of.length)? else { return Ok(FoundUpload::None) };
        let mut file = self.shared().folder.disk().open(&path)?;
        file.seek(SeekFrom::End(0)).at(&path)?;
        Ok(FoundUpload::Free(ResumableUpload { archive: self.clone(), video, state, file, writer }))
    }

    /// Removes uploads without new bytes since that time, and those of deleted videos.
    ///
    /// # Errors
    /// `Io`.
    pub fn expire_resumables(&self, since: Timestamp) -> Result<()> {
        for (path, of) in self.uploads()? {
            let Some(_writer) = self.shared().upload_writers.begin(&path) else { continue };
            let is_old = state(&path, of.length)?.is_some_and(|state| state.changed < since);
            if is_old || self.video(of.video)?.is_none() {
                self.shared().folder.disk().remove(&path)?;
            }
        }
        Ok(())
    }

    /// All uploads: their paths and parsed file names.
    fn uploads(&self) -> Result<Vec<(PathBuf, Named)>> {
        let folder = self.shared().folder.uploads();
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at(&folder)?,
        };
        let mut uploads = Vec::new();
        for entry in entries {
            let path = entry.at(&folder)?.path();
            let named = path.file_name().and_then(|name| Named::parse(name.to_str()?));
            uploads.extend(named.map(|named| (path, named)));
        }
        Ok(uploads)
    }
}

/// Parsed file name of an upload.
struct Named {
    video: VideoId,
    name: String,
    length: u64,
}

impl Named {
    fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.split('-');
        let named = Self {
            video: VideoId(parts.next()?.parse().ok()?),
            name: parts.next()?.to_owned(),
            length: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(named)
    }
}

fn file_name(VideoId(video): VideoId, name: &str, length: u64) -> String {
    format!("{video}-{name}-{length}")
}

/// The progress of the upload at `path`; `None` where the file is gone.
fn state(path: &Path, length: u64) -> Result<Option<UploadState>> {
    let metadata = match fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.at(path)?,
    };
    let changed = Timestamp::try_from(metadata.modified().at(path)?).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Some(UploadState { offset: metadata.len(), length, changed }))
}
