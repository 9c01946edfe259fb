//! Matching in rounds: unmatched detections and tracks take part in the next round.
//!
//! The rounds are those of ByteTrack (Zhang et al. 2022, arXiv:2110.06864): detections of ordinary
//! score are matched first, then weak ones, which continue a track that would otherwise be lost and
//! are too often wrong to start one.

use alloc::{vec, vec::Vec};

use crate::{Pair, Rect, assign};

/// Least overlap of doubtful matches, where `threshold` is that of others: those of a weak
/// detection (ByteTrack's 0.5), and of a track that was missed in the previous frame, whose box is
/// an extrapolation. Twice the threshold where that is less, so that lowering it for recordings
/// with few frames per second applies here, too.
pub fn doubtful_overlap(threshold: f32) -> f32 {
    const ENOUGH: f32 = 0.5;
    let twice = if 2.0 * threshold < ENOUGH { 2.0 * threshold } else { ENOUGH };
    if twice > threshold { twice } else { threshold }
}

/// Weight factor of a match with a track that was last detected this many seconds before the
/// previous frame: it decays, so that of two tracks the more recent one keeps its detection (the
/// idea of DeepSORT's cascade, without its order). It halves in a third of a second; identities on
/// TUD-Stadtmitte are equally stable with half a second and a fifth.
pub fn recency(unseen_seconds: f64) -> f32 {
    1.0 / (1.0 + 3.0 * unseen_seconds as f32)
}

/// Nearness of a box to the predicted box: 1 with equal centres, 0 from a distance of one longer
/// side on. Selects among several boxes for a track that was missed, whose prediction is too vague
/// for overlaps.
pub fn nearness(rect: &Rect, expected: &Rect) -> f32 {
    let side = if rect.width() > rect.height() { rect.width() } else { rect.height() };
    let x = (rect.left + rect.right - expected.left - expected.right) / 2.0;
    let y = (rect.top + rect.bottom - expected.top - expected.bottom) / 2.0;
    let nearness = 1.0 - (x * x + y * y) / (side * side);
    // Also 0 for invalid boxes (NaN).
    if nearness > 0.0 { nearness } else { 0.0 }
}

/// The rounds of one frame, over this many detections and tracks, both numbered from 0.
///
/// ```
/// use ocellus_tracking::Matching;
///
/// let overlap = [[0.9, 0.6], [0.8, 0.3]];
/// let weight = |detection: usize, track: usize| Some(overlap[detection][track]);
/// let mut matching = Matching::new(2, 2);
/// // The second track alone, then what is left.
/// matching.round(|_| true, |track| track == 1, weight);
/// matching.round(|_| true, |_| true, weight);
/// assert_eq!(matching.tracks(), [Some(1), Some(0)]);
/// ```
#[derive(Clone, Debug)]
pub struct Matching {
    /// By detection.
    found: Vec<Option<usize>>,
    /// By track.
    taken: Vec<bool>,
}

impl Matching {
    /// A matching without matches.
    pub fn new(detections: usize, tracks: usize) -> Self {
        Self { found: vec![None; detections], taken: vec![false; tracks] }
    }

    /// Matches the unmatched detections and tracks that take part, so that the sum of the weights
    /// is maximal. Pairs without a weight, or with one that is not above 0, do not match.
    pub fn round(
        &mut self,
        detection_takes_part: impl Fn(usize) -> bool,
        track_takes_part: impl Fn(usize) -> bool,
        weight: impl Fn(usize, usize) -> Option<f32>,
    ) {
        let tracks: Vec<usize> = self
            .taken
            .iter()
            .enumerate()
            .filter(|(n, taken)| !**taken && track_takes_part(*n))
            .map(|(n, _)| n)
            .collect();
        if tracks.is_empty() {
            return;
        }
        let mut pairs = Vec::new();
        for (row, _) in self.found.iter().enumerate().filter(|(n, found)| found.is_none() && detection_takes_part(*n)) {
            for (column, track) in tracks.iter().enumerate() {
                pairs.extend(weight(row, *track).map(|weight| Pair { row, column, weight }));
            }
        }
        if pairs.is_empty() {
            return;
        }
        let matched = assign(self.found.len(), tracks.len(), &pairs);
        for (found, column) in self.found.iter_mut().zip(matched) {
            if let Some(track) = column.and_then(|c| tracks.get(c)) {
                *found = Some(*track);
                self.taken.iter_mut().skip(*track).take(1).for_each(|t| *t = true);
            }
        }
    }

    /// For each detection the matched track.
    pub fn tracks(self) -> Vec<Option<usize>> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn unmatched_detections_and_tracks_take_part_in_the_next_round() {
        let mut matching = Matching::new(3, 2);
        matching.round(|d| d == 2, |_| true, |_, t| Some([0.2, 0.1][t]));
        // Detection 2 and track 0 are matched already.
        matching.round(|_| true, |_| true, |d, _| Some([0.3, 0.4, 0.9][d]));
        assert_eq!(matching.tracks(), [None, Some(1), Some(0)]);
    }

    #[test]
    fn pairs_without_a_weight_do_not_match() {
        let mut matching = Matching::new(2, 2);
        matching.round(|_| true, |_| true, |d, t| (d == t).then_some([0.5, 0.0][d]));
        assert_eq!(matching.tracks(), [Some(0), None]);
    }

    #[test]
    fn nearness_falls_to_zero_within_one_side() {
        let at = |left: f32| Rect { left, top: 0.0, right: left + 20.0, bottom: 40.0 };
        let of = |left: f32| nearness(&at(0.0), &at(left));
        assert_eq!([of(0.0), of(20.0), of(40.0), of(80.0)], [1.0, 0.75, 0.0, 0.0]);
        assert_eq!(nearness(&Rect::default(), &at(0.0)), 0.0);
        assert_eq!(nearness(&at(f32::NAN), &at(0.0)), 0.0);
    }

    proptest! {
        #[test]
        fn no_track_is_taken_twice_and_no_round_undoes_another(
            weights in proptest::collection::vec(0f32..1.0, 30),
            first in proptest::collection::vec(any::<bool>(), 6),
        ) {
            let weight = |d: usize, t: usize| weights.get(d * 5 + t).copied().filter(|w| *w > 0.4);
            let mut matching = Matching::new(6, 5);
            matching.round(|d| first[d], |_| true, weight);
            let before = matching.clone().tracks();
            matching.round(|_| true, |_| true, weight);
            let after = matching.tracks();
            prop_assert!(before.iter().zip(&after).all(|(b, a)| b.is_none() || a == b));
            prop_assert!(before.iter().zip(&first).all(|(b, first)| b.is_none() || *first));
            let mut taken: Vec<usize> = after.iter().flatten().copied().collect();
            taken.sort_unstable();
            prop_assert!(taken.windows(2).all(|w| w[0] < w[1]), "a track was taken twice");
            prop_assert!(after.iter().enumerate().all(|(d, t)| t.is_none_or(|t| weight(d, t).is_some())));
        }
    }

    #[test]
    fn doubtful_matches_need_up_to_half_but_never_less_than_others() {
        assert_eq!([0.0, 0.1, 0.25, 0.4, 0.7].map(doubtful_overlap), [0.0, 0.2, 0.5, 0.5, 0.7]);
    }
}
