//! Identities among the objects of a video.

use serde::{Deserialize, Serialize};

use crate::{ObjectId, ObjectRecord};

/// An identity: tracks of one video that are taken for the same person or thing, represented by the
/// objects at their ends. The API calls it a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The id of its first object, so that the same objects give the same id.
    pub id: ObjectId,
    /// The object of the highest quality.
    pub best: ObjectId,
    /// In order of their ids; none of them is in another cluster.
    pub objects: Vec<ObjectId>,
    /// Stream time in seconds of the first detection of any of them.
    pub first_time: f64,
    /// Stream time in seconds of their last detection.
    pub last_time: f64,
}

impl Cluster {
    /// The identity of these objects, in order of their ids; `None` of none.
    pub fn of(objects: &[&ObjectRecord]) -> Option<Self> {
        let best =
            objects.iter().max_by(|a, b| a.best.quality.total_cmp(&b.best.quality).then_with(|| b.id.cmp(&a.id)))?;
        Some(Self {
            id: objects.first()?.id.clone(),
            best: best.id.clone(),
            objects: objects.iter().map(|o| o.id.clone()).collect(),
            first_time: objects.iter().map(|o| o.first.time).fold(f64::INFINITY, f64::min),
            last_time: objects.iter().map(|o| o.last.time).fold(0.0, f64::max),
        })
    }
}
