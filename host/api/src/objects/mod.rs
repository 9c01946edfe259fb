//! What was found in a video: the records and their pictures.

pub(crate) mod list;
pub(crate) mod picture;
pub(crate) mod shape;
