//! Identities: lists of them, and what users correct of them. The API calls them clusters.

pub(crate) mod correct;
pub(crate) mod corrections;
pub(crate) mod list;
mod query;
mod shape;
