//! An identity as the API shows it.

use ocellus_core::Cluster;
use ocellus_pipeline::NamedAlike;
use ocellus_store::Identity;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{base_url::BaseUrl, rounding::rounded};

/// Tracks of a video that count as the same identity, by the processing and by what users
/// corrected.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub(crate) struct ClusterJson {
    /// The id of its first object. A correction that changes which that is changes the id.
    #[schema(examples("6-1-face-3-0"))]
    id: String,
    #[schema(examples("face"))]
    r#type: String,
    /// As it was given; null without one.
    #[schema(required, examples("Anna"))]
    name: Option<String>,
    /// For one without a name: the identity of another video that has one and looks most like it,
    /// if they count as the same.
    #[schema(required)]
    named_alike: Option<NamedAlikeJson>,
    /// How many objects, that is tracks.
    size: usize,
    /// Seconds from the start of the source.
    first_time: f64,
    /// Seconds from the start of the source.
    last_time: f64,
    /// The object with the best picture.
    best: String,
    /// URL of that picture, JPEG.
    #[schema(format = "uri")]
    thumbnail: String,
    /// URL of all of its objects.
    #[schema(format = "uri")]
    objects: String,
    /// Those of the video's corrections that made it so, the last one last.
    corrections: Vec<u32>,
    /// Similarity of its most similar object to what `looks_like` names, 0..1; null without that.
    #[schema(required)]
    looks_like_confidence: Option<f64>,
}

/// An identity with a name.
#[derive(Serialize, ToSchema)]
#[schema(as = NamedAlike)]
pub(crate) struct NamedAlikeJson {
    #[schema(examples("Anna"))]
    name: String,
    /// Its id.
    #[schema(examples("4-1-face-0-0"))]
    cluster: String,
    /// Above 0.5, where the same identity ends, to 1.
    similarity: f64,
}

/// An identity, the one with a name that it looks like, and its similarity to what was asked for.
pub(super) type Shown = (Identity, Option<NamedAlike>, Option<f32>);

impl ClusterJson {
    pub(super) fn new((identity, named_alike, similarity): Shown, base: &BaseUrl) -> Self {
        let Identity { cluster: Cluster { id, best, objects, first_time, last_time }, name, corrections } = identity;
        Self {
            r#type: id.object_type.to_string(),
            name,
            named_alike: named_alike.map(|NamedAlike { id, name, similarity }| NamedAlikeJson {
                name,
                cluster: id.to_string(),
                similarity: rounded(similarity),
            }),
            size: objects.len(),
            first_time: rounded(first_time),
            last_time: rounded(last_time),
            thumbnail: base.picture(&format!("/objects/{best}/thumbnail/")),
            best: best.to_string(),
            objects: base.join(&format!("/clusters/{id}/objects/")),
            id: id.to_string(),
            corrections,
            looks_like_confidence: similarity.map(rounded),
        }
    }
}
