//! Search by a picture: the objects that look most like what it shows.
//!
//! The picture goes the way of a job's frames: the same detectors find the thing, the same embedder
//! looks at it.

use std::sync::Arc;

use ocellus_core::{Error, ErrorKind, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_detect::{Detectors, Embedders, RawDetection};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, MediaError, Scaler};
use ocellus_store::{Archive, SimilarityQuery};

use crate::{
    identity::{self, Crop},
    quality::quality_in,
};

/// What a detector is less sure of is not looked for.
const SURE: f32 = 0.5;
/// More than any camera's.
const MOST_PIXELS: u64 = 100_000_000;
/// What `param` says of the picture.
const BODY: &str = "body";

/// What is looked for, and where.
#[derive(Clone, Debug)]
pub struct SearchQuery {
    /// Without one, the first of face, body, car and the others that the picture shows.
    pub object_type: Option<ObjectType>,
    /// In this video only.
    pub video: Option<VideoId>,
    pub limit: usize,
    /// The least [`Similar::similarity`], 0..=1.
    pub threshold: f32,
}

/// What the picture shows and who looks like it.
#[derive(Clone, Debug)]
pub struct Search {
    pub object_type: ObjectType,
    /// Left, top, right, bottom in the picture, in pixels.
    pub bbox: [i32; 4],
    pub score: f32,
    /// The most similar first.
    pub found: Vec<Similar>,
}

#[derive(Clone, Debug)]
pub struct Similar {
    pub object: ObjectRecord,
    /// The identity that it is held to be.
    pub cluster: Option<ObjectId>,
    /// 1 where the rows are the same, and 0.5 where they are as far apart as those of one
    /// identity may be: two to the power of minus the square of their distance over that one.
    pub similarity: f32,
}

/// Finds what the picture shows; where there are several, the one that would be the best shot.
/// Blocks.
pub(crate) fn look(
    detectors: &Detectors,
    embedders: &Embedders,
    picture: Arc<[u8]>,
    query: &SearchQuery,
) -> Result<Look> {
    let frame = decode(picture)?;
    let types = query.object_type.clone().map_or_else(|| detectors.types(), |t| vec![t]);
    let mut seen = Vec::new();
    let detectors = detectors.for_types(&types);
    if let (true, Some(wanted)) = (detectors.is_empty(), &query.object_type) {
        return Err(Error::bad_param("type", format!("No detector for {wanted} is installed.")));
    }
    for detector in detectors {
        let input = Scaler::new().input(&frame, &detector.input(frame.size()), None)?;
        seen.extend(detector.detect(vec![input])?.into_iter().flatten());
    }
    seen.retain(|d| d.score >= SURE && types.contains(&d.object_type));
    // By type, the best to be seen first, and of those that are seen as well the largest.
    let mut seen: Vec<_> =
        seen.into_iter().map(|d| (quality_in(&frame, &d), d.rect.width() * d.rect.height(), d)).collect();
    seen.sort_by(|(q, area, a), (r, other, b)| {
        a.object_type.cmp(&b.object_type).then_with(|| r.total_cmp(q)).then_with(|| other.total_cmp(area))
    });
    for (_, _, RawDetection { object_type, rect, score, landmarks }) in seen {
        let thing = Crop { frame: &frame, object_type: &object_type, rect, landmarks: landmarks.as_ref() };
        if let Some(row) = identity::rows(embedders, &[thing], &Arc::default())?.pop().flatten() {
            let bbox = [rect.left, rect.top, rect.right, rect.bottom].map(|v| v.round() as i32);
            return Ok(Look { object_type, bbox, score, row });
        }
    }
    let what = query.object_type.as_ref().map_or("nothing that can be looked for".to_owned(), |t| format!("no {t}"));
    Err(Error::bad_param(BODY, format!("The picture shows {what}.")))
}

/// What a picture shows.
pub(crate) struct Look {
    object_type: ObjectType,
    bbox: [i32; 4],
    score: f32,
    row: Vec<f32>,
}

impl Look {
    /// Who looks like it.
    pub(crate) fn find(self, archive: &Archive, embedders: &Embedders, query: &SearchQuery) -> Result<Search> {
        let Self { object_type, bbox, score, row } = self;
        let (source, same) = identity::measure(embedders, &object_type);
        let within = distance(query.threshold, same);
        let like = SimilarityQuery {
            object_type: &object_type,
            source,
            row: &row,
            video: query.video,
            within,
            limit: query.limit,
        };
        let found = archive.nearest(&like)?.into_iter().map(|(object, distance)| {
            let cluster = archive.cluster_of(&object.id)?;
            Ok(Similar { object, cluster, similarity: similarity(distance, same) })
        });
        Ok(Search { found: found.collect::<Result<_>>()?, object_type, bbox, score })
    }
}

fn decode(picture: Arc<[u8]>) -> Result<Frame> {
    let unreadable = |error: MediaError| match Error::from(error) {
        error if error.kind() == ErrorKind::Internal => error,
        error => Error::bad_param(BODY, "This is no picture that can be read.").because(error),
    };
    let input = Input { threads: 1, ..Input::new(Location::Memory(picture)) };
    let mut decoder = Decoder::open(&input, &Interrupt::new()).map_err(unreadable)?;
    let size = decoder.info().size;
    if u64::from(size.width) * u64::from(size.height) > MOST_PIXELS {
        let at_most = MOST_PIXELS / 1_000_000;
        return Err(Error::bad_param(
            BODY,
            format!("The picture has {}x{} pixels; at most {at_most} million can be read.", size.width, size.height),
        ));
    }
    decoder
        .next_frame()
        .map_err(unreadable)?
        .ok_or_else(|| Error::bad_param(BODY, "This is no picture that can be read."))
}

fn similarity(distance: f32, same: f32) -> f32 {
    (-(distance / same).powi(2)).exp2()
}

/// The other way round.
fn distance(similarity: f32, same: f32) -> f32 {
    same * (-similarity.log2()).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_half_where_individuals_part() {
        assert_eq!((similarity(0.0, 0.45), similarity(0.45, 0.45)), (1.0, 0.5));
        for s in [1.0, 0.9, 0.5, 0.1, 1e-3] {
            assert!((similarity(distance(s, 0.45), 0.45) - s).abs() < 1e-5, "{s}");
        }
        assert_eq!(distance(0.0, 0.45), f32::INFINITY);
    }
}
