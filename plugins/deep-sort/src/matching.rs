//! Matching of detections to tracks: the cascade of DeepSORT, then overlap.

use ocellus_plugin::{
    Detection,
    tracking::{self, GATE, Pair, Rect, assign},
};

use crate::{Settings, track::Track};

/// For each detection the index of its track, if it continues one. `step`: how many frames this one
/// is after the one before.
pub(crate) fn associate(
    tracks: &[Track],
    detections: &[Detection],
    frame: u64,
    step: u64,
    settings: &Settings,
) -> Vec<Option<usize>> {
    let mut matching =
        Matching { tracks, detections, found: vec![None; detections.len()], taken: vec![false; tracks.len()] };
    let age = |track: &Track| frame.saturating_sub(track.frame);

    // The cascade: a track that was seen more recently chooses first, since one that was long out
    // of sight is expected nearly anywhere.
    let mut ages: Vec<u64> = tracks.iter().filter(|t| t.is_confirmed()).map(age).collect();
    ages.sort_unstable();
    ages.dedup();
    for of_age in ages {
        matching.round(
            |track| track.is_confirmed() && age(track) == of_age,
            |track, detection, rect| {
                // The gate first: it is cheap, and few pass it.
                let appearance = track.gallery.comparable(detection).filter(|_| track.distance(rect) <= GATE)?;
                track.gallery.similarity(appearance).filter(|s| *s >= settings.matching_threshold)
            },
        );
    }
    matching.round(
        |_| true,
        |track, detection, rect| {
            let recent = !track.is_confirmed() || age(track) <= step;
            if !recent && track.gallery.comparable(detection).is_some() {
                return None;
            }
            let overlap = rect.iou(&track.expected());
            (overlap >= settings.overlap_threshold).then_some(overlap)
        },
    );
    matching.found
}

struct Matching<'a> {
    tracks: &'a [Track],
    detections: &'a [Detection],
    found: Vec<Option<usize>>,
    taken: Vec<bool>,
}

impl Matching<'_> {
    /// Matches the remaining detections and tracks, so that the sum of the weights is the greatest.
    /// Pairs without a weight do not match.
    fn round(
        &mut self,
        takes_part: impl Fn(&Track) -> bool,
        weight: impl Fn(&Track, &Detection, &Rect) -> Option<f32>,
    ) {
        let tracks: Vec<(usize, &Track)> = self
            .tracks
            .iter()
            .enumerate()
            .zip(&self.taken)
            .filter(|((_, t), taken)| !**taken && takes_part(t))
            .map(|(t, _)| t)
            .collect();
        let mut pairs = Vec::new();
        for (row, (detection, found)) in self.detections.iter().zip(&self.found).enumerate() {
            if found.is_some() {
                continue;
            }
            let rect = tracking::Rect::from(detection.rect);
            for (column, (_, track)) in tracks.iter().enumerate() {
                pairs.extend(weight(track, detection, &rect).map(|weight| Pair { row, column, weight }));
            }
        }
        let matched = assign(self.detections.len(), tracks.len(), &pairs);
        for (found, column) in self.found.iter_mut().zip(matched) {
            if let Some((place, _)) = column.and_then(|c| tracks.get(c)) {
                *found = Some(*place);
                self.taken.iter_mut().skip(*place).take(1).for_each(|t| *t = true);
            }
        }
    }
}
