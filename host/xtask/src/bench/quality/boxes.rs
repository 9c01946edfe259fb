//! Precision, recall and average precision of boxes, by size.
//!
//! As COCO (Lin et al., 2014, arXiv:1405.0312) computes them at an intersection over union of 0.5:
//! boxes take labels greedily in the order of their scores; labels of other sizes are ignored, and
//! so are boxes of other sizes that have no label.

use super::{
    labels::Label,
    rect::{Rect, common, shorter_side},
};

/// Intersection over union from which on a box matches a label.
pub(super) const FOUND: f32 = 0.5;

/// Size classes by the shorter side of a box in pixels, as `filter_min_size` measures it: title,
/// inclusive lower bound, exclusive upper bound.
pub(super) const SIZES: [(&str, f32, f32); 4] = [
    ("all", 0.0, f32::INFINITY),
    ("below 30", 0.0, 30.0),
    ("30 to 60", 30.0, 60.0),
    ("60 and more", 60.0, f32::INFINITY),
];

/// A box with its score.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scored {
    pub rect: Rect,
    pub score: f32,
}

/// Boxes that were found in labelled frames, compared with the labels, for one size.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Labels of the size.
    labels: usize,
    /// Score of each box that counts, and whether it has found a label.
    boxes: Vec<(f32, bool)>,
}

impl Tally {
    /// Adds a frame. `size`: the shorter side, from and below.
    pub(super) fn add(&mut self, labels: &[Label], boxes: &[Scored], (from, below): (f32, f32)) {
        let within = |rect: &Rect| (from..below).contains(&shorter_side(rect));
        let counts = |label: &Label| !label.ignore && within(&label.rect);
        self.labels += labels.iter().filter(|label| counts(label)).count();
        let mut boxes: Vec<&Scored> = boxes.iter().collect();
        boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
        let mut taken = vec![false; labels.len()];
        for scored in boxes {
            let free = labels.iter().enumerate().zip(&taken).filter(|(_, taken)| !**taken).map(|(label, _)| label);
            let overlaps =
                free.map(|(n, label)| (n, label, label.rect.iou(&scored.rect))).filter(|(_, _, iou)| *iou >= FOUND);
            // Labels that count come before those that do not.
            let best = overlaps.max_by(|(_, a, x), (_, b, y)| counts(a).cmp(&counts(b)).then(x.total_cmp(y)));
            match best {
                Some((n, label, _)) => {
                    if let Some(taken) = taken.get_mut(n) {
                        *taken = true;
                    }
                    if counts(label) {
                        self.boxes.push((scored.score, true));
                    }
                }
                None if !within(&scored.rect) || labels.iter().any(|l| l.ignore && covers(&l.rect, &scored.rect)) => {}
                None => self.boxes.push((scored.score, false)),
            }
        }
    }

    fn found(&self) -> usize {
        self.boxes.iter().filter(|(_, found)| *found).count()
    }

    /// Labels of the size.
    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// Share of the boxes that have found a label; `None` without boxes.
    pub(super) fn precision(&self) -> Option<f64> {
        share(self.found(), self.boxes.len())
    }

    /// Share of the labels that were found; `None` without labels.
    pub(super) fn recall(&self) -> Option<f64> {
        share(self.found(), self.labels)
    }

    /// Mean of the best precision at 101 levels of recall; `None` without labels.
    pub(super) fn average_precision(&self) -> Option<f64> {
        let mut boxes = self.boxes.clone();
        boxes.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut found = 0.0;
        let mut curve: Vec<(f64, f64)> = Vec::with_capacity(boxes.len());
        for (n, (_, hit)) in boxes.iter().enumerate() {
            found += f64::from(u8::from(*hit));
            curve.push((found / self.labels as f64, found / (n + 1) as f64));
        }
        let level = |n: u32| {
            let reached = curve.iter().filter(|(recall, _)| *recall >= f64::from(n) / 100.0 - 1e-9);
            reached.map(|(_, precision)| *precision).fold(0.0, f64::max)
        };
        (self.labels > 0).then(|| (0..=100).map(level).sum::<f64>() / 101.0)
    }
}

/// Whether more than half of a box lies in an area that is not labelled in detail.
fn covers(area: &Rect, rect: &Rect) -> bool {
    common(area, rect) > rect.area() / 2.0
}

pub(super) fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::{super::rect::rect, *};

    fn label(left: f32, side: f32, ignore: bool) -> Label {
        Label { rect: rect([left, 0.0, left + side, side]), id: None, ignore }
    }

    fn scored(left: f32, side: f32, score: f32) -> Scored {
        Scored { rect: rect([left, 0.0, left + side, side]), score }
    }

    const ALL: (f32, f32) = (0.0, f32::INFINITY);

    #[test]
    fn each_label_is_found_once() {
        let mut tally = Tally::default();
        let labels = [label(0.0, 100.0, false), label(200.0, 100.0, false)];
        tally.add(&labels, &[scored(0.0, 100.0, 0.9), scored(5.0, 100.0, 0.8), scored(500.0, 50.0, 0.1)], ALL);
        assert_eq!((tally.precision(), tally.recall()), (Some(1.0 / 3.0), Some(0.5)));
        // Recall 0 to .50 at precision 1, nothing beyond.
        assert!((tally.average_precision().unwrap() - 51.0 / 101.0).abs() < 1e-9);
    }

    #[test]
    fn average_precision_takes_the_best_precision_to_the_right() {
        let mut tally = Tally::default();
        tally.add(&[label(0.0, 100.0, false)], &[scored(0.0, 100.0, 0.5), scored(500.0, 100.0, 0.9)], ALL);
        assert!((tally.average_precision().unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(Tally::default().average_precision(), None);
    }

    #[test]
    fn ignored_labels_are_neither_hits_nor_misses() {
        let mut tally = Tally::default();
        let labels = [label(0.0, 100.0, true), label(200.0, 20.0, false), label(300.0, 80.0, false)];
        let boxes =
            [scored(0.0, 100.0, 0.9), scored(10.0, 30.0, 0.9), scored(200.0, 20.0, 0.9), scored(600.0, 20.0, 0.9)];
        tally.add(&labels, &boxes, (60.0, f32::INFINITY));
        assert_eq!((tally.labels(), tally.precision(), tally.recall()), (1, None, Some(0.0)));
        let mut small = Tally::default();
        small.add(&labels, &boxes, (0.0, 30.0));
        assert_eq!((small.labels(), small.precision(), small.recall()), (1, Some(0.5), Some(1.0)));
    }
}
