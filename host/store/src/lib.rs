//! Archive of videos in a folder, and the index over it.
//!
//! Owns: everything under the data folder except the admin token. **The folders are the truth**: an
//! acknowledged write is in an fsynced file in an fsynced folder. **sled is an index**: it answers
//! queries, all it holds can be derived from the folders, and it is rebuilt whenever it was not
//! closed cleanly, has changed since, or is missing.
//!
//! Guarantees: an acknowledged write survives a crash and a power cut; a crash in the middle of a
//! write leaves the state before or after it. Ids are never used twice. A damaged file loses its
//! own contents and nothing else: it is logged and kept as it is. A list without filters costs as
//! much as its page; a filter reads a summary of each video between two pages. One process at a
//! time: the folder is locked.
//!
//! Synchronous: callers choose the thread. Errors: [`StoreError`].
//!
//! ```text
//! check, backup                    consistency check; copy of an archive in use
//! correcting                       changes of the corrections of identities
//! source, identities, lists        uploads; identities and similarity search; pages
//! archive                          videos, their jobs, the queue
//! tokens, audit, imports           access tokens; audit log; imported files
//! opening, format                  opening an archive; migration
//! job                              a job, open for writing
//! shared                           folder, index, ids and locks of an open archive
//! failover, clean_mark, ids        index on disk or in memory; clean-shutdown mark; video ids
//! recovery                         after a crash: repair, rebuilding of the index
//! index                            the trees that answer queries
//! stored, job_seal                 a job, read only; digests of its files
//! corrections                      identities, from clusters and corrections
//! job_files, detections, tracks    contents of a job's files
//! objects, query, delivery         types of arguments and results
//! observer                         callback for writes
//! folder, log                      paths; append-only files
//! codec, disk, space               encoding of files; all changes of the disk; free space
//! error
//! ```
//! Imports run down that list.

#![warn(missing_docs)]

mod archive;
mod audit;
mod backup;
mod check;
mod clean_mark;
mod codec;
mod correcting;
mod corrections;
mod delivery;
mod detections;
mod disk;
mod error;
mod failover;
mod folder;
mod format;
mod identities;
mod ids;
mod imports;
mod index;
mod job;
mod job_files;
mod job_seal;
mod lists;
mod log;
mod object_search;
mod objects;
mod observer;
mod opening;
mod query;
mod recovery;
mod resumable;
mod shared;
mod source;
mod space;
mod stored;
mod tokens;
mod track_making;
mod tracks;
mod upload_writers;

pub use archive::Archive;
pub use audit::AuditLog;
pub use backup::{BackupSummary, backup};
pub use check::{CheckSummary, Finding, check};
pub use correcting::ListedCorrection;
pub use corrections::{Change, Correction, Identity, Reference};
pub use delivery::{Delivery, DeliveryState};
pub use detections::{DetectionReader, DetectionRecord, DetectionWriter, Gap, LogHeader, ResumePoint};
pub use disk::{Backend, BackendFile, LocalDisk};
pub use error::StoreError;
pub use identities::{IdentityQuery, NamedIdentity};
pub use imports::{ImportList, ImportedFile};
pub use index::SimilarityQuery;
pub use job::Job;
pub use object_search::ObjectSearch;
pub use objects::{Embedding, NewObject, Picture, PictureFile};
pub use observer::Written;
pub use opening::OpenReport;
pub use query::{
    Condition, Cursor, DeliveryQuery, ListQuery, ObjectQuery, Order, OrderKey, Page, VideoFilter, page_among,
};
pub use resumable::{FoundUpload, ResumableUpload, UPLOAD_LIFE, UploadState};
pub use source::Upload;
pub use space::Space;
pub use stored::StoredJob;
pub use tokens::{ADMIN, NewToken, Scope, Session, Token, Tokens};
pub use tracks::{TrackFrame, TrackWriter};
