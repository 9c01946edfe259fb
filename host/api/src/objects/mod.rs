//! What was found in a video: the records and their pictures.

pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod picture;
pub(crate) mod search;
pub(crate) mod shape;
