//! Non-maximum suppression: of boxes that cover each other, the best stays.

use ocellus_core::{Landmarks, Rect};

/// A box as a network gives it, in pixels of its input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) rect: Rect,
    /// 0..=1.
    pub(crate) score: f32,
    /// Only candidates of one group suppress each other.
    pub(crate) group: usize,
    pub(crate) landmarks: Option<Landmarks>,
}

/// More boxes than this are not looked at: the suppression is quadratic, and a picture that no
/// threshold fits (noise, a crowd of thousands) must not stall a job.
const MOST: usize = 2000;

/// Greedy, as in Felzenszwalb et al. (2010): by falling score, a box stays unless its intersection
/// over union with one of its group that stayed is above `iou`. Boxes that are none (not finite, no
/// area) are dropped. Equal scores keep their order, so the same candidates always give the same
/// answer.
pub(crate) fn suppress(mut candidates: Vec<Candidate>, iou: f32) -> Vec<Candidate> {
    candidates.retain(|c| c.rect.is_valid() && c.score.is_finite());
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    candidates.truncate(MOST);
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if !kept.iter().any(|best| best.group == candidate.group && best.rect.iou(&candidate.rect) > iou) {
            kept.push(candidate);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(left: f32, top: f32, side: f32, score: f32, group: usize) -> Candidate {
        Candidate { rect: Rect::new(left, top, left + side, top + side), score, group, landmarks: None }
    }

    #[test]
    fn the_best_of_a_heap_stays_and_neighbours_stay() {
        let heap = vec![
            candidate(0.0, 0.0, 10.0, 0.6, 0),
            candidate(1.0, 0.0, 10.0, 0.9, 0),
            candidate(30.0, 0.0, 10.0, 0.5, 0),
        ];
        let kept = suppress(heap, 0.5);
        assert_eq!(kept.iter().map(|c| c.score).collect::<Vec<_>>(), [0.9, 0.5]);
    }

    #[test]
    fn groups_do_not_suppress_each_other() {
        let kept = suppress(vec![candidate(0.0, 0.0, 10.0, 0.6, 0), candidate(0.0, 0.0, 10.0, 0.9, 1)], 0.5);
        assert_eq!(kept.len(), 2);
    }

    #[test]
    fn boxes_that_are_none_are_dropped() {
        let kept = suppress(
            vec![
                candidate(0.0, 0.0, -1.0, 0.9, 0),
                candidate(f32::NAN, 0.0, 1.0, 0.9, 0),
                candidate(0.0, 0.0, f32::INFINITY, 0.9, 0),
            ],
            0.5,
        );
        assert_eq!(kept, []);
    }

    fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (0f32..100.0, 0f32..100.0, 1f32..50.0, 0f32..1.0, 0usize..3);
        prop::collection::vec(one.prop_map(|(x, y, side, score, group)| candidate(x, y, side, score, group)), 0..60)
    }

    proptest! {
        #[test]
        fn what_stays_is_apart_and_what_goes_was_covered_by_a_better(all in candidates(), iou in 0.1f32..0.9) {
            let kept = suppress(all.clone(), iou);
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[..i].iter().all(|b| a.group != b.group || a.rect.iou(&b.rect) <= iou));
                prop_assert!(all.contains(a));
            }
            for gone in all.iter().filter(|c| !kept.contains(c)) {
                prop_assert!(kept.iter().any(|k| k.group == gone.group && k.score >= gone.score && k.rect.iou(&gone.rect) > iou));
            }
            prop_assert_eq!(suppress(kept.clone(), iou), kept);
        }
    }
}
