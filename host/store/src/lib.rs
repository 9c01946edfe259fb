//! The archive folder, and the index over it.
//!
//! Owns: everything under the data folder but the admin token. **The folders are the truth**: what
//! was acknowledged is in a file that was fsynced, in a folder that was fsynced. **sled is an
//! index**: it answers queries, holds nothing that the folders do not say, and is thrown away and
//! rebuilt whenever it was not closed in good order, is not as it was closed, or is missing.
//!
//! Guarantees: an acknowledged write survives a crash and a power cut; a crash in the middle of a
//! write leaves the state before or after it. Ids are never used twice. A damaged file costs what
//! it holds and nothing else: it is named, kept as it is, and everything beside it goes on. A list
//! without filters costs as much as its page; filters look at each video between two pages. One
//! process at a time: the folder is locked.
//!
//! Synchronous: callers choose the thread.
//!
//! ```text
//! archive, source, listing, identities    what callers see
//!   stored, detections                     a job's logs, to be read; its detection log, to be written
//!   job                                    one job, open
//!   opening, recovery, closing, check      from a folder to an archive and back
//!     shared                               folder, index, ids, locks
//!       serving, ids                       the index that answers now; which ids were given
//!         index (rows, delivery), tree     what answers queries
//!       objects, job_seal                  a job's files, to be read
//!         folder, log, format              where things lie, and how
//!           codec, disk                    bytes; every change of the disk
//! ```
//! Imports run down that list.

#![warn(missing_docs)]

mod archive;
mod check;
mod closing;
mod codec;
mod delivery;
mod detections;
mod disk;
mod error;
mod folder;
mod format;
mod identities;
mod ids;
mod index;
mod job;
mod job_seal;
mod list;
mod listing;
mod log;
mod objects;
mod opening;
mod recovery;
mod serving;
mod shared;
mod source;
mod stored;
mod tree;
mod vectors;

pub use archive::Archive;
pub use check::{CheckSummary, Finding, check};
pub use delivery::{Delivery, DeliveryState};
pub use detections::{DetectionReader, DetectionWriter, Gap, LogHeader, Logged, Written};
pub use disk::{Backend, BackendFile, LocalDisk};
pub use error::StoreError;
pub use job::Job;
pub use list::{Condition, Cursor, DeliveryQuery, ListQuery, ObjectQuery, Order, OrderKey, Page, VideoFilter};
pub use objects::{Embedding, NewObject, Picture, PictureFile};
pub use opening::OpenReport;
pub use source::Upload;
pub use stored::StoredJob;
pub use vectors::SimilarityQuery;
