//! YuNet (Wu et al., 2023, doi:10.1007/s11633-023-1423-y), as the OpenCV model zoo publishes it.
//!
//! Twelve outputs, `[cells, values]`: the class (1), the objectness (1), the box (4) and the
//! landmarks (10), each for the strides 8, 16 and 32. Centre and landmarks are in cells from the
//! cell's corner, the size is a logarithm of cells; the score is the geometric mean of class and
//! objectness.

use ocellus_core::{ChannelOrder, Point, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct YuNet {
    pub(super) score: f32,
}

const STRIDES: [usize; 3] = [8, 16, 32];

impl Family for YuNet {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Bgr, 0)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let cells = STRIDES.map(|s| (width / s) * (height / s));
        let unexpected =
            || UnexpectedOutputs::new("yunet", format!("1, 1, 4 and 10 numbers for {cells:?} cells each"), outputs);
        let wanted = [1, 1, 4, 10].into_iter().flat_map(|numbers| cells.map(|cells| vec![cells, numbers]));
        if !outputs.iter().map(|o| &o.dims).eq(wanted.collect::<Vec<_>>().iter()) {
            return Err(unexpected());
        }

        let mut found = Vec::new();
        for (level, stride) in STRIDES.into_iter().enumerate() {
            let columns = width / stride;
            let map = |kind: usize| outputs.get(kind * STRIDES.len() + level).ok_or_else(unexpected);
            let (class, objectness, boxes, points) = (map(0)?, map(1)?, map(2)?, map(3)?);
            let cells = class
                .data
                .iter()
                .zip(&objectness.data)
                .zip(boxes.data.chunks_exact(4).zip(points.data.chunks_exact(10)));
            for (cell, ((class, objectness), (place, points))) in cells.enumerate() {
                let score = (class.clamp(0.0, 1.0) * objectness.clamp(0.0, 1.0)).sqrt();
                let &[cx, cy, w, h] = place else { continue };
                if score < self.score {
                    continue;
                }
                let (x, y, stride) = ((cell % columns) as f32, (cell / columns) as f32, stride as f32);
                let (cx, cy) = ((cx + x) * stride, (cy + y) * stride);
                let (w, h) = (w.exp() * stride / 2.0, h.exp() * stride / 2.0);
                let mut landmarks = [Point::default(); 5];
                for (point, xy) in landmarks.iter_mut().zip(points.chunks_exact(2)) {
                    if let &[px, py] = xy {
                        *point = Point { x: (px + x) * stride, y: (py + y) * stride };
                    }
                }
                let rect = Rect::new(cx - w, cy - h, cx + w, cy + h);
                found.push(RawBox { rect, score, group: 0, landmarks: Some(landmarks) });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_decoded_at_its_place() {
        let cells = [32, 8, 2];
        let mut outputs: Vec<Array> = [1, 1, 4, 10]
            .into_iter()
            .flat_map(|numbers| {
                cells.map(|cells| Array { dims: vec![cells, numbers], data: vec![0.0; cells * numbers] })
            })
            .collect();
        // The cell at (2, 1) of the grid of stride 16, which is 4 cells wide.
        outputs[1].data[6] = 0.81;
        outputs[4].data[6] = 1.0;
        outputs[7].data[6 * 4..][..4].copy_from_slice(&[0.5, 0.5, 2f32.ln(), 0.0]);
        outputs[10].data[6 * 10 + 4..][..2].copy_from_slice(&[0.25, 1.0]);
        let found = YuNet { score: 0.6 }.decode(&outputs, 64, 32).unwrap();
        let [face] = found.as_slice() else { panic!("{found:?}") };
        assert!((face.score - 0.9).abs() < 1e-6);
        assert_eq!(face.rect, Rect::new(40.0 - 16.0, 24.0 - 8.0, 40.0 + 16.0, 24.0 + 8.0));
        assert_eq!(face.landmarks.unwrap()[2], Point { x: 36.0, y: 32.0 });
        assert!(YuNet { score: 0.6 }.decode(&outputs, 64, 64).is_err());
    }
}
