//! Objects that were found in a video: records and pictures.

pub(crate) mod events;
mod export;
pub(crate) mod filter;
pub(crate) mod list;
pub(crate) mod picture;
pub(crate) mod search;
pub(crate) mod shape;
