//! Objects that were found in a video: records and pictures.

pub(crate) mod clusters;
pub(crate) mod detect;
pub(crate) mod events;
mod export;
pub(crate) mod filter;
pub(crate) mod list;
mod looks_like;
mod matching;
pub(crate) mod picture;
pub(crate) mod read;
pub(crate) mod search;
pub(crate) mod shape;
