//! SCRFD (Guo et al., 2021, arXiv:2105.04714), as InsightFace exports it: faces, with or without
//! five landmarks.
//!
//! Six or nine outputs, `[cells * anchors, values]`: the score (1, sigmoid applied), the distances
//! of the box's left, top, right and bottom side from the cell (4), and the offsets of the
//! landmarks (10, absent in some exports), each for the strides 8, 16 and 32; in cells of the
//! stride.

use ocellus_core::{ChannelOrder, Point, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct Scrfd {
    pub(super) score: f32,
}

const STRIDES: [usize; 3] = [8, 16, 32];

impl Family for Scrfd {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Rgb, 0)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let cells = STRIDES.map(|s| (width / s) * (height / s));
        let unexpected = || {
            UnexpectedOutputs::new(
                "scrfd",
                format!("1, 4 and maybe 10 numbers for {cells:?} cells by anchors"),
                outputs,
            )
        };
        let (Some(scores), Some(boxes), points) = (outputs.get(..3), outputs.get(3..6), outputs.get(6..9)) else {
            return Err(unexpected());
        };
        if outputs.len() != if points.is_some() { 9 } else { 6 } {
            return Err(unexpected());
        }
        let mut found = Vec::new();
        for (level, ((stride, cells), (scores, boxes))) in
            STRIDES.into_iter().zip(cells).zip(scores.iter().zip(boxes)).enumerate()
        {
            let points = points.and_then(|points| points.get(level));
            let rows = scores.data.len();
            let anchors = rows.checked_div(cells).unwrap_or_default();
            let shaped = |array: &Array, values: usize| array.dims == [rows, values];
            if anchors * cells != rows
                || !shaped(scores, 1)
                || !shaped(boxes, 4)
                || points.is_some_and(|p| !shaped(p, 10))
            {
                return Err(unexpected());
            }
            let (step, columns) = (stride as f32, width / stride);
            for (row, (&score, &[left, top, right, bottom])) in
                scores.data.iter().zip(boxes.data.as_chunks::<4>().0).enumerate()
            {
                if score < self.score {
                    continue;
                }
                let cell = row / anchors;
                let (x, y) = ((cell % columns) as f32 * step, (cell / columns) as f32 * step);
                let landmarks = points.and_then(|points| points.data.as_chunks::<10>().0.get(row)).map(|offsets| {
                    let mut landmarks = [Point::default(); 5];
                    for (point, &[dx, dy]) in landmarks.iter_mut().zip(offsets.as_chunks::<2>().0) {
                        *point = Point { x: x + dx * step, y: y + dy * step };
                    }
                    landmarks
                });
                let rect = Rect::new(x - left * step, y - top * step, x + right * step, y + bottom * step);
                found.push(RawBox { rect, score: score.min(1.0), group: 0, landmarks });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For an input of 64x32, with two anchors in each cell.
    fn outputs(kinds: &[usize]) -> Vec<Array> {
        let rows = [2 * 32, 2 * 8, 2 * 2];
        let maps = kinds.iter().flat_map(|&values| rows.map(|rows| (rows, values)));
        maps.map(|(rows, values)| Array { dims: vec![rows, values], data: vec![0.0; rows * values] }).collect()
    }

    #[test]
    fn an_anchor_is_decoded_at_its_cell() {
        let mut outputs = outputs(&[1, 4, 10]);
        // Stride 16 has cells of 4x2; the second anchor of the cell at column 1, row 1.
        let row = 2 * 5 + 1;
        outputs[1].data[row] = 0.75;
        outputs[4].data[4 * row..][..4].copy_from_slice(&[0.5, 0.25, 1.0, 0.75]);
        outputs[7].data[10 * row..][..4].copy_from_slice(&[0.0, 0.5, -0.25, 0.0]);
        let found = Scrfd { score: 0.5 }.decode(&outputs, 64, 32).unwrap();
        let [face] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(face.rect, Rect::new(16.0 - 8.0, 16.0 - 4.0, 16.0 + 16.0, 16.0 + 12.0));
        let landmarks = face.landmarks.unwrap();
        assert_eq!((landmarks[0], landmarks[1]), (Point { x: 16.0, y: 24.0 }, Point { x: 12.0, y: 16.0 }));
        assert_eq!(Scrfd { score: 0.5 }.decode(&outputs[..6], 64, 32).unwrap()[0].landmarks, None);
    }

    #[test]
    fn other_outputs_are_refused() {
        let family = Scrfd { score: 0.5 };
        assert!(family.decode(&outputs(&[1, 4]), 64, 32).is_ok());
        assert!(family.decode(&outputs(&[1, 4]), 64, 96).is_err());
        assert!(family.decode(&outputs(&[4, 1]), 64, 32).is_err());
        assert!(family.decode(&outputs(&[1, 4, 8]), 64, 32).is_err());
        assert!(family.decode(&outputs(&[1]), 64, 32).is_err());
        assert!(family.decode(&outputs(&[1, 4, 10])[..7], 64, 32).is_err());
    }
}
