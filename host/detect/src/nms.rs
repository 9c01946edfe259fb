//! Non-maximum suppression: of boxes that overlap, the one with the best score stays.

use ocellus_core::{Landmarks, Point, Rect, Region};

/// A box before non-maximum suppression, in pixels of the network's input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RawBox {
    pub(crate) rect: Rect,
    /// 0..=1.
    pub(crate) score: f32,
    /// Only boxes of one group suppress each other.
    pub(crate) group: usize,
    pub(crate) landmarks: Option<Landmarks>,
}

impl RawBox {
    /// Converts pixels of an input that was scaled by `scale` to those of its picture.
    pub(crate) fn scaled(self, scale: f32) -> Self {
        let Rect { left, top, right, bottom } = self.rect;
        let point = |p: Point| Point { x: p.x / scale, y: p.y / scale };
        let rect = Rect::new(left / scale, top / scale, right / scale, bottom / scale);
        Self { rect, landmarks: self.landmarks.map(|points| points.map(point)), ..self }
    }

    /// Converts pixels of a part of a frame to those of the frame.
    pub(crate) fn moved(self, part: Region) -> Self {
        let Rect { left, top, right, bottom } = self.rect;
        let (x, y) = (part.x as f32, part.y as f32);
        let point = |p: Point| Point { x: p.x + x, y: p.y + y };
        let rect = Rect::new(left + x, top + y, right + x, bottom + y);
        Self { rect, landmarks: self.landmarks.map(|points| points.map(point)), ..self }
    }
}

/// Limit of the boxes that are considered, best first: suppression takes quadratic time, and a
/// picture with very many (noise, a crowd of thousands) must not stall a job.
const MAX_BOXES: usize = 2000;

/// Greedy, as in Felzenszwalb et al. (2010): by descending score, a box stays unless its
/// intersection over union with an earlier one of its group that stayed is above `iou`. Invalid
/// boxes (not finite, no area) are dropped. Equal scores keep their order, so the result is
/// deterministic.
pub(crate) fn suppress(boxes: Vec<RawBox>, iou: f32) -> Vec<RawBox> {
    greedy(ranked(boxes), iou)
}

/// As [`suppress`], and each box that stays takes the mean place of all boxes of its group that
/// overlap it by more than `vote`, weighted by score and overlap: box voting (Gidaris and
/// Komodakis 2015, arXiv:1505.01749). Several cells of a network locate one object, and their mean
/// is nearer to it than the box of the best score. Scores and landmarks stay those of the best.
pub(crate) fn suppress_and_vote(boxes: Vec<RawBox>, iou: f32, vote: f32) -> Vec<RawBox> {
    let all = ranked(boxes);
    let mut kept = greedy(all.clone(), iou);
    for best in &mut kept {
        let (mut sums, mut total) = ([0.0; 4], 0.0);
        for voter in all.iter().filter(|raw| raw.group == best.group) {
            let overlap = voter.rect.iou(&best.rect);
            if overlap > vote {
                let Rect { left, top, right, bottom } = voter.rect;
                let weight = voter.score * overlap;
                sums.iter_mut().zip([left, top, right, bottom]).for_each(|(sum, side)| *sum += weight * side);
                total += weight;
            }
        }
        // 0 where all scores are.
        if total > 0.0 {
            let [left, top, right, bottom] = sums.map(|sum| sum / total);
            best.rect = Rect::new(left, top, right, bottom);
        }
    }
    kept
}

/// Valid boxes, at most [`MAX_BOXES`], the best score first.
fn ranked(mut boxes: Vec<RawBox>) -> Vec<RawBox> {
    boxes.retain(|c| c.rect.is_valid() && c.score.is_finite());
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    boxes.truncate(MAX_BOXES);
    boxes
}

fn greedy(ranked: Vec<RawBox>, iou: f32) -> Vec<RawBox> {
    let mut kept: Vec<RawBox> = Vec::new();
    for raw in ranked {
        if !kept.iter().any(|best| best.group == raw.group && best.rect.iou(&raw.rect) > iou) {
            kept.push(raw);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw_box(left: f32, top: f32, side: f32, score: f32, group: usize) -> RawBox {
        RawBox { rect: Rect::new(left, top, left + side, top + side), score, group, landmarks: None }
    }

    #[test]
    fn the_best_of_overlapping_boxes_stays_and_distant_ones_stay() {
        let overlapping =
            vec![raw_box(0.0, 0.0, 10.0, 0.6, 0), raw_box(1.0, 0.0, 10.0, 0.9, 0), raw_box(30.0, 0.0, 10.0, 0.5, 0)];
        let kept = suppress(overlapping, 0.5);
        assert_eq!(kept.iter().map(|c| c.score).collect::<Vec<_>>(), [0.9, 0.5]);
    }

    #[test]
    fn groups_do_not_suppress_each_other() {
        let kept = suppress(vec![raw_box(0.0, 0.0, 10.0, 0.6, 0), raw_box(0.0, 0.0, 10.0, 0.9, 1)], 0.5);
        assert_eq!(kept.len(), 2);
    }

    #[test]
    fn invalid_boxes_are_dropped() {
        let kept = suppress(
            vec![
                raw_box(0.0, 0.0, -1.0, 0.9, 0),
                raw_box(f32::NAN, 0.0, 1.0, 0.9, 0),
                raw_box(0.0, 0.0, f32::INFINITY, 0.9, 0),
            ],
            0.5,
        );
        assert_eq!(kept, []);
    }

    #[test]
    fn a_box_takes_the_mean_place_of_those_that_overlap_it() {
        let near = || vec![raw_box(0.0, 0.0, 10.0, 0.6, 0), raw_box(0.0, 0.0, 10.0, 0.2, 0)];
        assert_eq!(suppress_and_vote(near(), 0.5, 0.5), suppress(near(), 0.5), "in one place");
        // Half a pixel to the right: an overlap of 9.5 / 10.5 in one dimension.
        let moved = vec![raw_box(0.0, 0.0, 10.0, 0.6, 0), raw_box(0.5, 0.0, 10.0, 0.3, 0)];
        let overlap = 9.5 / 10.5;
        let [RawBox { rect, score, .. }] = &suppress_and_vote(moved, 0.5, 0.5)[..] else { panic!("one box") };
        assert!((rect.left - 0.5 * 0.3 * overlap / (0.6 + 0.3 * overlap)).abs() < 1e-5 && rect.top == 0.0, "{rect:?}");
        assert_eq!(*score, 0.6);
    }

    #[test]
    fn distant_boxes_and_those_of_other_groups_have_no_vote() {
        let boxes =
            vec![raw_box(0.0, 0.0, 10.0, 0.6, 0), raw_box(1.0, 0.0, 10.0, 0.9, 1), raw_box(4.0, 0.0, 10.0, 0.5, 0)];
        assert_eq!(suppress_and_vote(boxes.clone(), 0.6, 0.6), suppress(boxes, 0.6));
    }

    fn raw_boxes() -> impl Strategy<Value = Vec<RawBox>> {
        let one = (0f32..100.0, 0f32..100.0, 1f32..50.0, 0f32..1.0, 0usize..3);
        prop::collection::vec(one.prop_map(|(x, y, side, score, group)| raw_box(x, y, side, score, group)), 0..60)
    }

    proptest! {
        #[test]
        fn kept_boxes_are_apart_and_dropped_ones_overlap_a_better_one(all in raw_boxes(), iou in 0.1f32..0.9) {
            let kept = suppress(all.clone(), iou);
            for (i, a) in kept.iter().enumerate() {
                prop_assert!(kept[..i].iter().all(|b| a.group != b.group || a.rect.iou(&b.rect) <= iou));
                prop_assert!(all.contains(a));
            }
            for gone in all.iter().filter(|c| !kept.contains(c)) {
                let mut better = kept.iter().filter(|k| k.group == gone.group && k.score >= gone.score);
                prop_assert!(better.any(|k| k.rect.iou(&gone.rect) > iou));
            }
            let voted = suppress_and_vote(all, iou, 0.65);
            prop_assert!(voted.iter().all(|v| v.rect.is_valid()), "a mean of valid boxes is one");
            prop_assert_eq!(voted.len(), kept.len());
            prop_assert_eq!(suppress(kept.clone(), iou), kept);
        }
    }
}
