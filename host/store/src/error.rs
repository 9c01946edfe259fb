//! Errors of the archive.

use std::{io, path::PathBuf};

use ocellus_core::{Error, ErrorKind};
use thiserror::Error as ThisError;

/// Why an operation on the archive failed.
///
/// Every operation may fail with `Io` or `Index`; the documentation of each names the other kinds.
#[derive(Debug, ThisError)]
pub enum StoreError {
    /// The file system failed, which includes a full disk: see [`StoreError::is_full`].
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file does not hold what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, as a clause for the operator.
        reason: String,
    },
    /// A later release wrote this; it is left unchanged.
    #[error("{} was made by a newer Ocellus ({made_by}) than this one, {}", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The file, or the data folder.
        path: PathBuf,
        /// Its release, or the version of the format.
        made_by: String,
    },
    /// The index failed on the disk, and rebuilding it in memory failed, too.
    #[error("the index failed: {0}")]
    Index(#[from] sled::Error),
    /// The index is in memory, because the disk is full, and holds no embeddings.
    #[error("similarity search is unavailable while the index is held in memory")]
    NotSearchable,
    /// Another process has this data folder open.
    #[error("another server is at work in {}", .0.display())]
    InUse(PathBuf),
    /// There is no such video; it may have been deleted.
    #[error("there is no video {0}")]
    NoVideo(ocellus_core::VideoId),
    /// A cursor of another list.
    #[error("invalid page cursor for this list")]
    BadCursor,
    /// Error returned by the caller's closure.
    #[error(transparent)]
    Refused(#[from] Error),
}

impl StoreError {
    /// Whether the disk is full, or the quota exceeded.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Index(sled::Error::Io(source)) => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

/// Error for an index entry that cannot be decoded.
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

/// Adds the path to an I/O error.
pub(crate) trait At<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| StoreError::Io { path: path.into(), source })
    }
}
