//! YOLOX (Ge et al., 2021, arXiv:2107.08430), as Megvii exports it: with sigmoids, without decoding
//! by the grid.
//!
//! One output, `[cells, 5 + classes]`: the grids of stride 8, 16 and 32 one after another, row by
//! row. A cell holds the centre (in cells, from its own corner), the logarithm of the size (in
//! cells), the objectness and the classes.

use ocellus_core::{ChannelOrder, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct Yolox {
    pub(super) score: f32,
    /// The classes that are reported, each with its group.
    pub(super) groups: Vec<(usize, usize)>,
}

const STRIDES: [usize; 3] = [8, 16, 32];

impl Family for Yolox {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Bgr, 114)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let cells: usize = STRIDES.iter().map(|s| (width / s) * (height / s)).sum();
        let classes = self.groups.iter().map(|(class, _)| class + 1).max().unwrap_or_default();
        let unexpected =
            || UnexpectedOutputs::new("yolox", format!("[{cells}, 5 + at least {classes} classes]"), outputs);
        let [Array { dims, data }] = outputs else { return Err(unexpected()) };
        let &[rows, row] = dims.as_slice() else { return Err(unexpected()) };
        if rows != cells || row < 5 + classes {
            return Err(unexpected());
        }

        let mut found = Vec::new();
        let mut values = data.chunks_exact(row);
        for stride in STRIDES {
            for y in 0..height / stride {
                for x in 0..width / stride {
                    let Some([cx, cy, w, h, objectness, scores @ ..]) = values.next() else { return Err(unexpected()) };
                    // Skips nearly all cells without reading their classes.
                    if *objectness < self.score {
                        continue;
                    }
                    let best =
                        self.groups.iter().filter_map(|&(class, group)| Some((objectness * scores.get(class)?, group)));
                    let Some((score, group)) = best.max_by(|a, b| a.0.total_cmp(&b.0)) else { continue };
                    if score < self.score {
                        continue;
                    }
                    let stride = stride as f32;
                    let (cx, cy) = ((cx + x as f32) * stride, (cy + y as f32) * stride);
                    let (w, h) = (w.exp() * stride / 2.0, h.exp() * stride / 2.0);
                    found.push(RawBox {
                        rect: Rect::new(cx - w, cy - h, cx + w, cy + h),
                        score: score.min(1.0),
                        group,
                        landmarks: None,
                    });
                }
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
        // 64x32: grids of 8x4, 4x2 and 2x1 cells; the cell at (1, 1) of the second grid.
        let mut output = Array { dims: vec![32 + 8 + 2, 7], data: vec![0.0; 42 * 7] };
        let cell = 32 + 4 + 1;
        output.data[cell * 7..][..7].copy_from_slice(&[0.5, 0.25, 0.0, 2f32.ln(), 0.9, 0.1, 0.8]);
        let family = Yolox { score: 0.5, groups: vec![(0, 0), (1, 3)] };
        let found = family.decode(&[output], 64, 32).unwrap();
        let [RawBox { rect, score, group: 3, landmarks: None }] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(*rect, Rect::new(24.0 - 8.0, 20.0 - 16.0, 24.0 + 8.0, 20.0 + 16.0));
        assert!((score - 0.72).abs() < 1e-6);
    }

    #[test]
    fn other_outputs_are_refused() {
        let family = Yolox { score: 0.5, groups: vec![(79, 0)] };
        let output = |cells: usize, row: usize| Array { dims: vec![cells, row], data: vec![0.0; cells * row] };
        assert!(family.decode(&[output(42, 85)], 64, 32).is_ok());
        assert!(family.decode(&[output(42, 84)], 64, 32).is_err());
        assert!(family.decode(&[output(41, 85)], 64, 32).is_err());
        assert!(family.decode(&[], 64, 32).is_err());
    }
}
