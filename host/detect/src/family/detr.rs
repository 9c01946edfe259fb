//! DETR and its successors RT-DETR (arXiv:2304.08069) and D-FINE (arXiv:2410.13842), exported
//! without post-processing.
//!
//! Two outputs: logits, `[queries, classes]`, and boxes, `[queries, 4]` (centre x and y, width and
//! height, as fractions of the input's sides). Each query is at most one object; there is no
//! background class.

use ocellus_core::{ChannelOrder, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct Detr {
    pub(super) score: f32,
    /// The classes that are reported, each with its group.
    pub(super) groups: Vec<(usize, usize)>,
}

impl Family for Detr {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Rgb, 0)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let least = self.groups.iter().map(|(class, _)| class + 1).max().unwrap_or_default();
        let unexpected =
            || UnexpectedOutputs::new("detr", format!("logits [n, at least {least}] and boxes [n, 4]"), outputs);
        let [logits, boxes] = outputs else { return Err(unexpected()) };
        let (&[queries, classes], &[rows, 4]) = (logits.dims.as_slice(), boxes.dims.as_slice()) else {
            return Err(unexpected());
        };
        if queries != rows || classes < least {
            return Err(unexpected());
        }
        let (width, height) = (width as f32, height as f32);
        let mut found = Vec::new();
        for (logits, &[cx, cy, w, h]) in logits.data.chunks_exact(classes).zip(boxes.data.as_chunks::<4>().0) {
            let best = self.groups.iter().filter_map(|&(class, group)| Some((*logits.get(class)?, group)));
            let Some((logit, group)) = best.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
            let score = 1.0 / (1.0 + (-logit).exp());
            if score >= self.score {
                let (cx, cy, w, h) = (cx * width, cy * height, w * width / 2.0, h * height / 2.0);
                let rect = Rect::new(cx - w, cy - h, cx + w, cy + h);
                found.push(RawBox { rect, score, group, landmarks: None });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(queries: usize, classes: usize) -> [Array; 2] {
        let array =
            |columns: usize, value: f32| Array { dims: vec![queries, columns], data: vec![value; queries * columns] };
        [array(classes, -10.0), array(4, 0.5)]
    }

    #[test]
    fn a_query_is_one_object_of_its_best_class() {
        let [mut logits, mut boxes] = outputs(2, 3);
        logits.data[3..].copy_from_slice(&[9.0, 0.0, 3f32.ln()]);
        boxes.data[4..].copy_from_slice(&[0.5, 0.25, 0.5, 0.25]);
        let family = Detr { score: 0.6, groups: vec![(1, 0), (2, 1)] };
        let found = family.decode(&[logits, boxes], 100, 200).unwrap();
        let [RawBox { rect, score, group: 1, landmarks: None }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*rect, Rect::new(25.0, 25.0, 75.0, 75.0));
        assert!((score - 0.75).abs() < 1e-6);
    }

    #[test]
    fn other_outputs_are_refused() {
        let family = Detr { score: 0.5, groups: vec![(2, 0)] };
        let [logits, boxes] = outputs(2, 3);
        assert!(family.decode(&[logits.clone(), boxes.clone()], 8, 8).is_ok());
        assert!(family.decode(&[boxes.clone(), logits.clone()], 8, 8).is_err());
        assert!(family.decode(&[outputs(2, 2)[0].clone(), boxes.clone()], 8, 8).is_err());
        assert!(family.decode(&[outputs(3, 3)[0].clone(), boxes], 8, 8).is_err());
        assert!(family.decode(&[logits], 8, 8).is_err());
    }
}
