//! Identities.

use serde::{Deserialize, Serialize};

use crate::ObjectId;

/// Tracks of one video that are held to be of the same identity, by the objects that they ended
/// with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// That of its first object: a function of what is in it.
    pub id: ObjectId,
    /// The object with the best picture.
    pub best: ObjectId,
    /// In order of their ids; none of them is in another cluster.
    pub objects: Vec<ObjectId>,
    /// Stream time in seconds of the first detection of any of them.
    pub first_time: f64,
    /// And of the last.
    pub last_time: f64,
}
