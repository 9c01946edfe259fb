//! Measurements of a frame's detections from its pixels: qualities and appearances.
//!
//! The patches of all detections are requested at once: an answer of the decoder process takes two
//! switches of processes, each of which may wait for a core that a network runs on.

use std::sync::Arc;

use ocellus_core::{CpuMeter, Detection, ObjectType, Result, ScoreThresholds, Size};
use ocellus_detect::{Embedder, Embedders, RawDetection};
use ocellus_media::Frame;
use ocellus_store::LogHeader;

use crate::{
    appearance,
    identity::{self, embedder_of_appearances},
    quality::{self, quality_by},
};

/// Measures detections of these types.
pub(super) struct Measurer<'a> {
    embedders: &'a Embedders,
    types: Vec<MeasuredType<'a>>,
}

struct MeasuredType<'a> {
    object_type: &'a ObjectType,
    scores: ScoreThresholds,
    /// Of the appearances; the descriptor of `appearance` where there is none.
    embedder: Option<&'a Embedder>,
}

/// Patches of a detection, as places in the list of the frame's.
#[derive(Clone, Copy, Default)]
struct Places {
    /// With the size of the patch.
    quality: Option<(usize, Size)>,
    appearance: Option<usize>,
}

impl<'a> Measurer<'a> {
    /// `compared`: types whose trackers compare appearances; `header`: that of the log.
    pub(super) fn new(
        embedders: &'a Embedders,
        types: &'a [ObjectType],
        compared: &[ObjectType],
        header: &LogHeader,
    ) -> Self {
        let types = types.iter().map(|object_type| MeasuredType {
            object_type,
            scores: header.scores_of(object_type),
            embedder: embedder_of_appearances(embedders, object_type, compared),
        });
        Self { embedders, types: types.collect() }
    }

    /// The detections of each type, in the order of the log: the weak ones, which are not measured,
    /// since they are never reported and nothing is compared with them, come last. `meter` as in
    /// [`identity::embed`].
    pub(super) fn measure(
        &self,
        frame: &Frame,
        raw: &[RawDetection],
        meter: &Arc<CpuMeter>,
    ) -> Result<Vec<(ObjectType, Vec<Detection>)>> {
        let mut patches = Vec::new();
        let places: Vec<_> = raw
            .iter()
            .map(|seen| {
                let Some(measured) = self.types.iter().find(|t| *t.object_type == seen.object_type) else {
                    return Places::default();
                };
                if seen.score < measured.scores.min {
                    return Places::default();
                }
                let patch = quality::patch(&seen.rect, frame.size());
                patches.push(patch);
                let quality = Some((patches.len() - 1, patch.out));
                let appearance = measured.embedder.is_none().then(|| {
                    patches.push(appearance::patch(seen.rect));
                    patches.len() - 1
                });
                Places { quality, appearance }
            })
            .collect();
        let made = frame.patches(&patches)?;
        let bytes = |place: usize| made.get(place).and_then(Option::as_deref);

        let of_type = |MeasuredType { object_type, scores, embedder }: &MeasuredType<'_>| {
            let seen = raw.iter().zip(&places).filter(|(seen, _)| seen.object_type == **object_type);
            let mut detections: Vec<_> = seen
                .map(|(seen, places)| Detection {
                    rect: seen.rect,
                    score: seen.score,
                    quality: places
                        .quality
                        .map_or(0.0, |(at, size)| quality_by(bytes(at), size, seen, raw, frame.size())),
                    landmarks: seen.landmarks,
                    appearance: places.appearance.and_then(bytes).map_or_else(Vec::new, appearance::descriptor),
                })
                .collect();
            let strong = scores.weak_last(&mut detections);
            if let (Some(embedder), Some(strong)) = (embedder, detections.get_mut(..strong)) {
                identity::describe(self.embedders, embedder, frame, object_type, strong, meter)?;
            }
            Ok(((*object_type).clone(), detections))
        };
        self.types.iter().map(of_type).collect()
    }
}
