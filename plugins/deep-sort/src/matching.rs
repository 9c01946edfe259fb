//! Matching of detections to tracks: the cascade of DeepSORT, then overlap.

use ocellus_plugin::{
    Detection, FrameInfo,
    tracking::{GATE, Matching, Rect, doubtful_overlap, recency},
};

use crate::{Settings, track::Track};

/// Share of its sides by which the box of a hidden object is buffered. The box of an object that is
/// partly hidden jumps from one visible part to another, farther than any motion. As in the second
/// step of C-BIoU (Yang et al. 2023, arXiv:2211.14317).
const BUFFER: f32 = 0.5;
/// Least ratio of the areas of the smaller and the larger of these boxes.
const ALIKE: f32 = 0.5;

/// Matches detections to tracks: for each detection the index of its track, if it continues one.
/// `before`: stream time of the previous frame.
pub(crate) fn associate(
    tracks: &[Track],
    detections: &[Detection],
    frame: &FrameInfo,
    before: f64,
    settings: &Settings,
) -> Vec<Option<usize>> {
    let mut matching = Matching::new(detections.len(), tracks.len());
    let rects: Vec<Rect> = detections.iter().map(|d| d.rect.into()).collect();
    let expected: Vec<Rect> = tracks.iter().map(Track::expected).collect();
    let age = |track: &Track| frame.index.saturating_sub(track.frame);
    let is_recent = |track: &Track| track.time >= before;
    let is_weak = |d: usize| detections.get(d).is_none_or(|d| settings.is_weak(d));
    let track_is = |what: &dyn Fn(&Track) -> bool, t: usize| tracks.get(t).is_some_and(what);
    let overlap = |d: usize, t: usize| {
        let (rect, track) = (rects.get(d)?, tracks.get(t)?);
        let expected = rect.iou(expected.get(t)?);
        // An object that stops suddenly is at its last box, not at the predicted one.
        let last = if is_recent(track) { rect.iou(&track.last()) } else { 0.0 };
        Some(if expected > last { expected } else { last })
    };

    // The cascade: recently detected tracks are matched first, since the prediction of a track that
    // was missed for long is vague.
    let mut ages: Vec<u64> = tracks.iter().filter(|t| t.is_confirmed()).map(age).collect();
    ages.sort_unstable();
    ages.dedup();
    for of_age in ages {
        matching.round(
            |d| !is_weak(d),
            |t| track_is(&|track| track.is_confirmed() && age(track) == of_age, t),
            |d, t| {
                let (track, detection) = (tracks.get(t)?, detections.get(d)?);
                // The gate first: it is cheap and excludes most pairs.
                let near = |_: &&[f32]| rects.get(d).is_some_and(|rect| track.distance(rect) <= GATE);
                let appearance = track.gallery.comparable(detection).filter(near)?;
                track.gallery.similarity(appearance).filter(|s| *s >= settings.matching_threshold)
            },
        );
    }
    let doubtful = doubtful_overlap(settings.overlap_threshold);
    matching.round(
        |d| !is_weak(d),
        |_| true,
        |d, t| {
            let (track, detection) = (tracks.get(t)?, detections.get(d)?);
            let is_known = !track.is_confirmed() || is_recent(track);
            if !is_known && track.gallery.comparable(detection).is_some() {
                return None;
            }
            let least = if is_known { settings.overlap_threshold } else { doubtful };
            Some(overlap(d, t).filter(|o| *o >= least)? * recency(before - track.time))
        },
    );
    // Objects that come out from behind another one: similar in appearance, and near.
    matching.round(
        |d| !is_weak(d),
        |t| track_is(&|track| track.is_confirmed() && !is_recent(track), t),
        |d, t| {
            let (track, rect, expected) = (tracks.get(t)?, rects.get(d)?, expected.get(t)?);
            let appearance = track.gallery.comparable(detections.get(d)?)?;
            // What stood still behind something that passed is where it was last.
            let near = |other: &Rect| {
                let (area, other_area) = (rect.area(), other.area());
                let is_alike = area >= ALIKE * other_area && other_area >= ALIKE * area;
                if is_alike { rect.buffered(BUFFER).iou(&other.buffered(BUFFER)) } else { 0.0 }
            };
            let (predicted, last) = (near(expected), near(&track.last()));
            let overlap = if predicted > last { predicted } else { last };
            if overlap <= 0.0 || overlap < settings.overlap_threshold {
                return None;
            }
            let similarity = track.gallery.similarity(appearance)?;
            (similarity >= settings.matching_threshold).then(|| overlap * recency(before - track.time))
        },
    );
    // The appearance of a weak detection is unreliable: only its position counts.
    matching.round(
        is_weak,
        |t| track_is(&|track| track.is_confirmed() && is_recent(track), t),
        |d, t| overlap(d, t).filter(|o| *o >= doubtful),
    );
    matching.tracks()
}
