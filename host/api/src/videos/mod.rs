//! Routes of videos: one file for each request, and the shapes that they share.

mod change;
pub(crate) mod count;
pub(crate) mod create;
pub(crate) mod defaults;
pub(crate) mod delete;
pub(crate) mod delete_file;
pub(crate) mod fields;
pub(crate) mod filter;
pub(crate) mod frame;
mod health_status;
pub(crate) mod list;
pub(crate) mod patch;
pub(crate) mod process;
pub(crate) mod read;
mod receiving;
pub(crate) mod replace;
pub(crate) mod replay;
pub(crate) mod resumable;
pub(crate) mod screenshot;
mod shape;
pub(crate) mod source_file;
pub(crate) mod stop;
pub(crate) mod tracks;
pub(crate) mod upload;
mod weeks;

pub(crate) use shape::VideoJson;
