//! Routes of deliveries: objects on their way to the router of their video.

pub(crate) mod list;
pub(crate) mod retry;
mod shape;
