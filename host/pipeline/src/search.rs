//! Similarity search by a picture: the objects that look most like what it shows.
//!
//! The picture is processed as a job's frames are, by the same detectors and embedders.

use std::sync::Arc;

use ocellus_core::{Error, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_detect::{Detectors, Embedders, RawDetection};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, MediaError, Scaler};
use ocellus_store::{Archive, SimilarityQuery};

use crate::{
    identity::{self, Crop},
    quality::{preference, quality_in},
};

/// The least score of a detection to search for.
const MIN_SCORE: f32 = 0.5;
/// The `param` of errors about the picture.
const BODY: &str = "body";

/// Query of a search: object type, scope, and limits.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// `None`: the first of face, body, car and the others that the picture shows.
    pub object_type: Option<ObjectType>,
    /// In this video only.
    pub video: Option<VideoId>,
    /// Objects to return, at most.
    pub limit: usize,
    /// The least [`Similar::similarity`], 0..=1.
    pub threshold: f32,
}

/// Result of a search: the detection in the picture, and the objects similar to it.
#[derive(Clone, Debug)]
pub struct Search {
    /// Of the detection that was searched for.
    pub object_type: ObjectType,
    /// `[left, top, right, bottom]` in pixels of the picture.
    pub bbox: [i32; 4],
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// The most similar first.
    pub found: Vec<Similar>,
}

/// An object similar to the picture.
#[derive(Clone, Debug)]
pub struct Similar {
    /// As the archive has it.
    pub object: ObjectRecord,
    /// The identity (cluster) that it belongs to, if any.
    pub cluster: Option<ObjectId>,
    /// `2^-(d / same)^2`, with the distance `d` of the embeddings and the distance `same` at which
    /// the embedder separates identities: 1 for equal embeddings, 0.5 at that distance.
    pub similarity: f32,
}

/// Detects and embeds what the picture shows; of several detections, the one with the best picture.
/// Blocks.
pub(crate) fn embed(
    detectors: &Detectors,
    embedders: &Embedders,
    picture: Arc<[u8]>,
    query: &SearchQuery,
) -> Result<Target> {
    let frame = decode(picture)?;
    let types = query.object_type.clone().map_or_else(|| detectors.types(), |t| vec![t]);
    let mut detections = Vec::new();
    let detectors = detectors.for_types(&types);
    if let (true, Some(wanted)) = (detectors.is_empty(), &query.object_type) {
        return Err(Error::bad_param("type", format!("No detector for {wanted} is installed.")));
    }
    for detector in detectors {
        let input = Scaler::new().input(&frame, &detector.input(frame.size()), None)?;
        detections.extend(detector.detect(vec![input])?.into_iter().flatten());
    }
    detections.retain(|d| d.score >= MIN_SCORE && types.contains(&d.object_type));
    // By type, the best pictures first.
    let preferences: Vec<_> =
        detections.iter().map(|d| preference(quality_in(&frame, d, &detections), &d.rect)).collect();
    let mut detections: Vec<_> = preferences.into_iter().zip(detections).collect();
    detections.sort_by(|(p, a), (q, b)| a.object_type.cmp(&b.object_type).then_with(|| q.total_cmp(p)));
    for (_, RawDetection { object_type, rect, score, landmarks }) in detections {
        let crop = Crop { frame: &frame, object_type: &object_type, rect, landmarks: landmarks.as_ref() };
        if let Some(vector) = identity::embed(embedders, &[crop], &Arc::default())?.pop().flatten() {
            let bbox = [rect.left, rect.top, rect.right, rect.bottom].map(|v| v.round() as i32);
            return Ok(Target { object_type, bbox, score, vector });
        }
    }
    let missing = query.object_type.as_ref().map_or("nothing that can be looked for".to_owned(), |t| format!("no {t}"));
    Err(Error::bad_param(BODY, format!("The picture shows {missing}.")))
}

/// The embedding of the object of this type that a picture shows, as that of a job's best shot; of
/// several, of the one of highest quality. `whole`: the picture is a crop of the object. Blocks.
///
/// # Errors
/// A picture that cannot be read, or shows no such object; a network that fails.
pub fn embed_picture(
    detectors: &Detectors,
    embedders: &Embedders,
    picture: Arc<[u8]>,
    object_type: &ObjectType,
    whole: bool,
) -> Result<Vec<f32>> {
    if !whole {
        let query = SearchQuery { object_type: Some(object_type.clone()), video: None, limit: 1, threshold: 0.0 };
        return embed(detectors, embedders, picture, &query).map(|target| target.vector);
    }
    let frame = decode(picture)?;
    let crop = Crop { frame: &frame, object_type, rect: frame.size().to_rect(), landmarks: None };
    let vector = identity::embed(embedders, &[crop], &Arc::default())?.pop().flatten();
    vector.ok_or_else(|| Error::bad_param(BODY, format!("A {object_type} has to be aligned, which a crop is not.")))
}

/// What a picture shows, embedded.
pub(crate) struct Target {
    object_type: ObjectType,
    bbox: [i32; 4],
    score: f32,
    vector: Vec<f32>,
}

impl Target {
    /// The objects that look like it.
    pub(crate) fn find(self, archive: &Archive, embedders: &Embedders, query: &SearchQuery) -> Result<Search> {
        let Self { object_type, bbox, score, vector } = self;
        let (source, same) = identity::measure(embedders, &object_type);
        let nearest = SimilarityQuery {
            object_type: &object_type,
            embedder: source,
            vector: &vector,
            video: query.video,
            max_distance: distance(query.threshold, same),
            limit: query.limit,
        };
        let found = archive.nearest(&nearest)?.into_iter().map(|(object, distance)| {
            let cluster = archive.cluster_of(&object.id)?;
            Ok(Similar { object, cluster, similarity: similarity(distance, same) })
        });
        Ok(Search { found: found.collect::<Result<_>>()?, object_type, bbox, score })
    }
}

fn decode(picture: Arc<[u8]>) -> Result<Frame> {
    let unreadable = |error: MediaError| match (&error, error.to_string()) {
        (MediaError::TooLarge { .. }, sentence) => Error::bad_param(BODY, sentence),
        (MediaError::UnsupportedCodec { codec, .. }, _) => {
            Error::bad_param(BODY, format!("Pictures of the kind {codec} are not supported."))
        }
        (MediaError::Internal(_), _) => error.into(),
        _ => Error::bad_param(BODY, "This is no picture that can be read.").because(error),
    };
    let input = Input { threads: 1, ..Input::new(Location::Memory(picture)) };
    let frame = Decoder::open(&input, &Interrupt::new()).and_then(|mut decoder| decoder.next_frame());
    frame.map_err(unreadable)?.ok_or_else(|| Error::bad_param(BODY, "This is no picture that can be read."))
}

fn similarity(distance: f32, same: f32) -> f32 {
    (-(distance / same).powi(2)).exp2()
}

/// The distance that has this [`similarity`].
fn distance(similarity: f32, same: f32) -> f32 {
    same * (-similarity.log2()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_half_where_identities_separate() {
        assert_eq!((similarity(0.0, 0.45), similarity(0.45, 0.45)), (1.0, 0.5));
        for s in [1.0, 0.9, 0.5, 0.1, 1e-3] {
            assert!((similarity(distance(s, 0.45), 0.45) - s).abs() < 1e-5, "{s}");
        }
        assert_eq!(distance(0.0, 0.45), f32::INFINITY);
    }
}
