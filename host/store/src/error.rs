//! Errors of the archive.

use std::{io, path::PathBuf};

use ocellus_core::{Error, ErrorKind};
use thiserror::Error as ThisError;

#[derive(Debug, ThisError)]
pub enum StoreError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("{} was made by a newer Ocellus ({made_by}) than this one, {}", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer { path: PathBuf, made_by: String },
    #[error("the index failed: {0}")]
    Index(#[from] sled::Error),
    #[error("similarity search is unavailable while the index is held in memory")]
    NotSearchable,
    #[error("another server is at work in {}", .0.display())]
    InUse(PathBuf),
    #[error("there is no video {0}")]
    NoVideo(ocellus_core::VideoId),
    #[error("invalid page cursor for this list")]
    BadCursor,
    /// What a caller's own change of a record ended in.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl StoreError {
    /// There is no room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Index(sled::Error::Io(source)) => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Of an entry of the index that is none.
pub(crate) fn unreadable_entry() -> StoreError {
    let error = io::Error::new(io::ErrorKind::InvalidData, "an entry cannot be decoded");
    StoreError::Index(sled::Error::Io(error))
}

pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(error) => error,
            StoreError::NoVideo(_) => Error::not_found("VideoArchive"),
            StoreError::BadCursor => Error::bad_param("page", "Invalid cursor."),
            error if error.is_full() => Error::new(ErrorKind::Unavailable, "The server's disk is full.").because(error),
            StoreError::NotSearchable => {
                let sentence = "Nothing can be searched for while the server cannot write its index; its log says why.";
                Error::new(ErrorKind::Unavailable, sentence).because(error)
            }
            StoreError::Damaged { .. } => Error::new(
                ErrorKind::Conflict,
                "Damaged in the archive. The server's log and `ocellus check` name the file.",
            )
            .because(error),
            other => Error::internal(other),
        }
    }
}

/// Says which file an I/O error is about.
pub(crate) trait At<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| StoreError::Io { path: path.into(), source })
    }
}
