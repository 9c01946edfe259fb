//! SSD (Liu et al., 2016, arXiv:1512.02325), with decoded boxes, before non-maximum suppression.
//!
//! Two outputs: boxes, `[priors, 4]` (left, top, right, bottom, as fractions of the input's sides),
//! and scores, `[priors, classes]`, between 0 and 1. OpenVINO networks that end in a
//! DetectionOutput are read this way; ONNX files of single-stage detectors often have these
//! outputs.

use ocellus_core::{ChannelOrder, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct Ssd {
    pub(super) score: f32,
    /// The classes that are reported, each with its group.
    pub(super) groups: Vec<(usize, usize)>,
}

impl Family for Ssd {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Bgr, 0)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let least = self.groups.iter().map(|(class, _)| class + 1).max().unwrap_or_default();
        let unexpected =
            || UnexpectedOutputs::new("ssd", format!("boxes [n, 4] and scores [n, at least {least}]"), outputs);
        // Exporters differ in the order of the two; the one with four columns is the boxes.
        let (boxes, scores) = match outputs {
            [boxes, scores] if boxes.dims.get(1) == Some(&4) => (boxes, scores),
            [scores, boxes] => (boxes, scores),
            _ => return Err(unexpected()),
        };
        let (&[count, 4], &[rows, classes]) = (boxes.dims.as_slice(), scores.dims.as_slice()) else {
            return Err(unexpected());
        };
        if count != rows || classes < least {
            return Err(unexpected());
        }

        let (width, height) = (width as f32, height as f32);
        let mut found = Vec::new();
        for (&[left, top, right, bottom], scores) in
            boxes.data.as_chunks::<4>().0.iter().zip(scores.data.chunks_exact(classes))
        {
            for &(class, group) in &self.groups {
                let score = scores.get(class).copied().unwrap_or_default();
                // A network may return empty boxes and NaN.
                if score >= self.score && left < right && top < bottom {
                    let rect = Rect::new(left * width, top * height, right * width, bottom * height);
                    found.push(RawBox { rect, score: score.min(1.0), group, landmarks: None });
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(count: usize, classes: usize) -> [Array; 2] {
        let array = |columns: usize| Array { dims: vec![count, columns], data: vec![0.0; count * columns] };
        [array(4), array(classes)]
    }

    #[test]
    fn boxes_are_fractions_of_the_input() {
        let [mut boxes, mut scores] = outputs(3, 3);
        boxes.data[4..8].copy_from_slice(&[0.25, 0.5, 0.75, 1.0]);
        boxes.data[8..12].copy_from_slice(&[0.5, 0.5, 0.25, 1.0]);
        scores.data[3..9].copy_from_slice(&[0.1, 0.3, 0.6, 0.0, 0.0, 0.9]);
        let family = Ssd { score: 0.5, groups: vec![(1, 0), (2, 1)] };
        let one = RawBox { rect: Rect::new(25.0, 100.0, 75.0, 200.0), score: 0.6, group: 1, landmarks: None };
        let found = family.decode(&[boxes.clone(), scores.clone()], 100, 200).unwrap();
        assert_eq!(found, std::slice::from_ref(&one), "neither class 1, nor the box whose sides are swapped");
        assert_eq!(family.decode(&[scores, boxes], 100, 200).unwrap(), [one]);
    }

    #[test]
    fn other_outputs_are_refused() {
        let family = Ssd { score: 0.5, groups: vec![(1, 0)] };
        let [boxes, scores] = outputs(3, 2);
        assert!(family.decode(&[boxes.clone(), scores.clone()], 10, 10).is_ok());
        assert!(family.decode(std::slice::from_ref(&boxes), 10, 10).is_err());
        assert!(family.decode(&[boxes.clone(), outputs(2, 2)[1].clone()], 10, 10).is_err());
        assert!(family.decode(&[boxes, outputs(3, 1)[1].clone()], 10, 10).is_err());
        assert!(family.decode(&[scores.clone(), scores], 10, 10).is_err());
    }
}
