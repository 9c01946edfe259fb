//! Similarity search: the objects most similar to one in a picture, or to another object.
//!
//! A picture is processed as a job's frames are, by the same detectors and embedders.

use std::sync::Arc;

use ocellus_core::{Error, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_detect::{Detectors, Embedders, RawDetection};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, MediaError, Scaler};
use ocellus_store::{Archive, SimilarityQuery};

use crate::{
    identity::{self, Crop},
    quality::{preference, quality_in},
};

/// Least score of a detection to search for.
const MIN_SCORE: f32 = 0.5;
/// The `param` of errors about the picture.
const BODY: &str = "body";

/// The `param` of errors about the reference.
pub(crate) const LOOKS_LIKE: &str = "looks_like";
/// Number of crops that are embedded at once.
const BATCH: usize = 16;
/// Greatest number of objects similar to a reference.
const MOST_ALIKE: usize = 1000;

/// Reference that objects are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LooksLike {
    /// A detection of a picture, by [`PictureDetection::id`].
    Detection(String),
    /// An object of the archive.
    Object(ObjectId),
}

/// Query for objects similar to a reference.
#[derive(Clone, Debug)]
pub struct AlikeQuery {
    /// The reference.
    pub looks_like: LooksLike,
    /// Their type, which has to be that of the reference.
    pub object_type: ObjectType,
    /// In this video only.
    pub video: Option<VideoId>,
    /// The least [`Similar::similarity`], 0..=1.
    pub threshold: f32,
}

/// A detection of a picture that a client sent.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureDetection {
    /// Id for [`LooksLike::Detection`], valid for an hour.
    pub id: String,
    /// Its type.
    pub object_type: ObjectType,
    /// `[left, top, right, bottom]` in pixels of the picture.
    pub bbox: [i32; 4],
    /// The detector's confidence, 0..=1.
    pub score: f32,
    /// Quality as a picture of its object, 0..=1.
    pub quality: f32,
}

/// Embedding that objects are compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reference {
    pub object_type: ObjectType,
    /// Digest or name of the embedder of `vector`.
    pub embedder: String,
    /// `None` without the landmarks that its embedder needs for alignment.
    pub vector: Option<Vec<f32>>,
}

/// Query of a search: object type, scope, and limits.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// `None`: the first type in the picture, in the order face, body, car, others.
    pub object_type: Option<ObjectType>,
    /// In this video only.
    pub video: Option<VideoId>,
    /// Greatest number of objects to return.
    pub limit: usize,
    /// The least [`Similar::similarity`], 0..=1.
    pub threshold: f32,
}

/// Result of a search: the detection in the picture, and the objects similar to it.
#[derive(Clone, Debug)]
pub struct Search {
    /// Type of the detection that was searched for.
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
    /// Its record in the archive.
    pub object: ObjectRecord,
    /// The identity (cluster) that it belongs to, if any.
    pub cluster: Option<ObjectId>,
    /// `2^-(d / same)^2`, with the distance `d` of the embeddings and the distance `same` at which
    /// the embedder separates identities: 1 for equal embeddings, 0.5 at that distance.
    pub similarity: f32,
}

/// A detection in a picture, with its quality and its preference.
struct Candidate {
    detection: RawDetection,
    quality: f32,
    preference: f64,
}

/// Detections in a picture, by type, the best ones first. `types`: empty for all; one without a
/// detector is refused.
fn detections(detectors: &Detectors, frame: &Frame, types: &[ObjectType]) -> Result<Vec<Candidate>> {
    if let Some(missing) = types.iter().find(|t| detectors.for_types(&[(*t).clone()]).is_empty()) {
        return Err(Error::bad_param("type", format!("No detector for {missing} is installed.")));
    }
    let types = if types.is_empty() { detectors.types() } else { types.to_vec() };
    let mut detections = Vec::new();
    for detector in detectors.for_types(&types) {
        let input = Scaler::new().input(frame, &detector.input(frame.size()), None)?;
        detections.extend(detector.detect(vec![input])?.into_iter().flatten());
    }
    detections.retain(|d| d.score >= MIN_SCORE && types.contains(&d.object_type));
    let qualities: Vec<_> = detections.iter().map(|d| quality_in(frame, d, &detections)).collect();
    let candidate = |(detection, quality): (RawDetection, f32)| {
        let preference = preference(quality, &detection.rect);
        Candidate { detection, quality, preference }
    };
    let mut candidates: Vec<_> = detections.into_iter().zip(qualities).map(candidate).collect();
    candidates.sort_by(|a, b| {
        let by_type = a.detection.object_type.cmp(&b.detection.object_type);
        by_type.then_with(|| b.preference.total_cmp(&a.preference))
    });
    Ok(candidates)
}

/// Detects and embeds the object in a picture; of several detections, the best one. Blocks.
pub(crate) fn embed(
    detectors: &Detectors,
    embedders: &Embedders,
    picture: Arc<[u8]>,
    query: &SearchQuery,
) -> Result<Target> {
    let frame = decode(picture)?;
    for Candidate { detection, .. } in detections(detectors, &frame, query.object_type.as_slice())? {
        let RawDetection { object_type, rect, score, landmarks } = detection;
        let crop = Crop { frame: &frame, object_type: &object_type, rect, landmarks: landmarks.as_ref() };
        if let Some(vector) = identity::embed(embedders, &[crop], &Arc::default())?.pop().flatten() {
            return Ok(Target { bbox: rect.to_pixels(frame.size()), object_type, score, vector });
        }
    }
    let missing = query.object_type.as_ref().map_or("nothing that can be looked for".to_owned(), |t| format!("no {t}"));
    Err(Error::bad_param(BODY, format!("The picture shows {missing}.")))
}

/// Detects and embeds all objects in a picture, by type, the best ones first. Blocks.
pub(crate) fn detect(
    detectors: &Detectors,
    embedders: &Embedders,
    picture: Arc<[u8]>,
    types: &[ObjectType],
) -> Result<Vec<(PictureDetection, Reference)>> {
    let frame = decode(picture)?;
    let mut found = Vec::new();
    for candidates in detections(detectors, &frame, types)?.chunks(BATCH) {
        let crops: Vec<_> = candidates
            .iter()
            .map(|Candidate { detection: RawDetection { object_type, rect, landmarks, .. }, .. }| Crop {
                frame: &frame,
                object_type,
                rect: *rect,
                landmarks: landmarks.as_ref(),
            })
            .collect();
        let vectors = identity::embed(embedders, &crops, &Arc::default())?;
        found.extend(candidates.iter().zip(vectors).map(|(Candidate { detection, quality, .. }, vector)| {
            let RawDetection { object_type, rect, score, .. } = detection;
            let (embedder, _) = identity::measure(embedders, object_type);
            let (bbox, object_type) = (rect.to_pixels(frame.size()), object_type.clone());
            let reference = Reference { object_type: object_type.clone(), embedder: embedder.to_owned(), vector };
            (PictureDetection { id: String::new(), object_type, bbox, score: *score, quality: *quality }, reference)
        }));
    }
    Ok(found)
}

/// The embedding of the object of this type in a picture, as that of a job's best shot; of several,
/// of the one of highest quality. `whole`: the picture is a crop of the object. Blocks.
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

/// A detection in a picture that is compared with objects.
pub(crate) struct Target {
    object_type: ObjectType,
    bbox: [i32; 4],
    score: f32,
    vector: Vec<f32>,
}

impl Target {
    /// The objects most similar to it.
    pub(crate) fn find(self, archive: &Archive, embedders: &Embedders, query: &SearchQuery) -> Result<Search> {
        let Self { object_type, bbox, score, vector } = self;
        let SearchQuery { video, threshold, limit, .. } = *query;
        let found = nearest(archive, embedders, &object_type, &vector, video, threshold, limit)?;
        let found = found.into_iter().map(|(object, similarity)| {
            let cluster = archive.cluster_of(&object.id)?;
            Ok(Similar { object, cluster, similarity })
        });
        Ok(Search { found: found.collect::<Result<_>>()?, object_type, bbox, score })
    }
}

impl Reference {
    /// The objects most similar to it, the most similar first, with their similarity.
    pub(crate) fn alike(
        &self,
        archive: &Archive,
        embedders: &Embedders,
        query: &AlikeQuery,
    ) -> Result<Vec<(ObjectRecord, f32)>> {
        let Self { object_type, embedder, vector } = self;
        let refused = |reason: String| Err(Error::bad_param(LOOKS_LIKE, reason));
        if *object_type != query.object_type {
            return refused(format!("It is a {object_type}, and no {}.", query.object_type));
        }
        let Some(vector) = vector else { return refused("It has no landmarks to be compared by.".to_owned()) };
        if *embedder != identity::measure(embedders, object_type).0 {
            return refused("It was described by another network than the one that is installed now.".to_owned());
        }
        nearest(archive, embedders, object_type, vector, query.video, query.threshold, MOST_ALIKE)
    }
}

/// The objects nearest to an embedding of the embedder that is installed now, the most similar
/// first, with their similarity.
fn nearest(
    archive: &Archive,
    embedders: &Embedders,
    object_type: &ObjectType,
    vector: &[f32],
    video: Option<VideoId>,
    threshold: f32,
    limit: usize,
) -> Result<Vec<(ObjectRecord, f32)>> {
    let (embedder, same) = identity::measure(embedders, object_type);
    let max_distance = distance(threshold, same);
    let found = archive.nearest(&SimilarityQuery { object_type, embedder, vector, video, max_distance, limit })?;
    Ok(found.into_iter().map(|(object, distance)| (object, similarity(distance, same))).collect())
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

pub(crate) fn similarity(distance: f32, same: f32) -> f32 {
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
