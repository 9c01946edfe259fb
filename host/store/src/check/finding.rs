//! Findings of a check, and its summary.

use std::{fmt, path::PathBuf};

use ocellus_core::VideoId;

/// Something wrong in an archive. Paths are relative to the data folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A file does not hold what was written.
    Damaged {
        /// The file.
        file: PathBuf,
        /// A clause that says how it was noticed.
        reason: String,
    },
    /// A file is missing.
    Missing {
        /// Its expected path.
        file: PathBuf,
    },
    /// A log ends in bytes that are not a record; the next writer truncates them.
    Torn {
        /// The log.
        file: PathBuf,
        /// How many there are.
        bytes: u64,
    },
    /// Two files of a video contradict each other.
    Disagreement {
        /// The video.
        video: VideoId,
        /// A clause that names both.
        reason: String,
    },
    /// A damaged file that was set aside. What could be read of it is in the file that replaces it;
    /// this one can be removed.
    SetAside {
        /// The damaged file.
        file: PathBuf,
    },
    /// The index differs from the folders. `--rebuild` rebuilds it; so does the next start, if it
    /// notices the difference.
    Index {
        /// A clause that says where.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { file, reason } => write!(f, "{} is damaged: {reason}", file.display()),
            Self::Missing { file } => write!(f, "{} is missing", file.display()),
            Self::Torn { file, bytes } => write!(f, "{} ends in {bytes} bytes that are no record", file.display()),
            Self::Disagreement { video, reason } => write!(f, "video {video}: {reason}"),
            Self::SetAside { file } => {
                write!(f, "{} was damaged and set aside; remove it when it is no longer needed", file.display())
            }
            Self::Index { reason } => write!(f, "the index: {reason}"),
        }
    }
}

/// Counts of a check: what it read, and how much is wrong.
#[derive(Clone, Debug, Default)]
pub struct CheckSummary {
    /// Videos, damaged ones included.
    pub videos: u64,
    /// Objects whose record can be read.
    pub objects: u64,
    /// Files that were read to their end and, where a digest or a length is recorded, compared.
    pub files: u64,
    /// Findings that were reported.
    pub findings: u64,
    /// The index was rebuilt first.
    pub rebuilt: bool,
    /// The server was not shut down cleanly, so that the next start rebuilds the index.
    pub after_crash: bool,
}

impl CheckSummary {
    /// Whether there are no findings.
    pub fn is_sound(&self) -> bool {
        self.findings == 0
    }
}

impl fmt::Display for CheckSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} videos, {} objects, {} files: ", self.videos, self.objects, self.files)?;
        match self.findings {
            0 => f.write_str("all is well")?,
            1 => f.write_str("1 finding")?,
            n => write!(f, "{n} findings")?,
        }
        if self.rebuilt {
            f.write_str("; the index was rebuilt")?;
        }
        if self.after_crash {
            f.write_str("; the server was not shut down cleanly, and the next start rebuilds the index")?;
        }
        Ok(())
    }
}
