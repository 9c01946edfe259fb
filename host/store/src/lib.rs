//! The archive folder, and the index over it.
//!
//! Owns: everything under the data folder but the admin token. **The folders are the truth**: what was acknowledged is in
//! a file that was fsynced, in a folder that was fsynced. **sled is an index**: it answers queries, holds nothing that
//! the folders do not say, and is thrown away and rebuilt whenever it was not closed in good order, cannot be read, or
//! is missing.
//!
//! Guarantees: an acknowledged write survives a crash and a power cut; a crash in the middle of a write leaves the state
//! before or after it. Ids are never used twice. A list costs as much as its page, whatever the archive's size. One
//! process at a time: the folder is locked.
//!
//! Synchronous: callers choose the thread.

mod archive;
mod check;
mod delivery;
mod detections;
mod durable;
mod error;
mod folder;
mod index;
mod individuals;
mod job;
mod list;
mod log;
mod rows;
mod stored;
mod upload;

pub use archive::{Archive, OpenReport};
pub use check::{CheckSummary, Finding, check};
pub use delivery::{Delivery, DeliveryState};
pub use detections::{DetectionReader, DetectionWriter, Gap, LogHeader, Logged, Written};
pub use error::StoreError;
pub use job::{Embedding, Job, NewObject, Picture, PictureFile};
pub use list::{Condition, Cursor, DeliveryQuery, ListQuery, ObjectQuery, Order, OrderKey, Page, VideoFilter};
pub use rows::Likeness;
pub use stored::StoredJob;
pub use upload::Upload;
