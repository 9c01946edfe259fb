//! CenterFace (Xu et al., 2019, arXiv:1911.03599): faces as points, no anchors.
//!
//! Four maps at a quarter of the input's size: the heat map of face centres (sigmoid applied); the
//! logarithm of height and width, in cells; the offset of the centre in its cell, y and x; five
//! landmarks, y and x, as fractions of the box's sides from its top left corner.

use ocellus_core::{ChannelOrder, Point, Rect};

use super::interface::{Family, UnexpectedOutputs};
use crate::{array::Array, nms::RawBox};

pub(super) struct CenterFace {
    pub(super) score: f32,
}

const STRIDE: usize = 4;

impl Family for CenterFace {
    fn input_format(&self) -> (ChannelOrder, u8) {
        (ChannelOrder::Rgb, 0)
    }

    fn decode(&self, outputs: &[Array], width: usize, height: usize) -> Result<Vec<RawBox>, UnexpectedOutputs> {
        let (columns, rows) = (width / STRIDE, height / STRIDE);
        let maps = [1, 2, 2, 10].map(|channels| vec![channels, rows, columns]);
        let unexpected = || UnexpectedOutputs::new("centerface", format!("{maps:?}"), outputs);
        let [heat, size, offset, points] = outputs else { return Err(unexpected()) };
        if outputs.iter().zip(&maps).any(|(output, map)| output.dims != *map) {
            return Err(unexpected());
        }

        let cells = rows * columns;
        let mut found = Vec::new();
        for (cell, &score) in heat.data.iter().enumerate().filter(|(_, score)| **score >= self.score) {
            let at = |map: &Array, channel: usize| map.data.get(channel * cells + cell).copied().ok_or_else(unexpected);
            let stride = STRIDE as f32;
            let (y, x) = ((cell / columns) as f32, (cell % columns) as f32);
            let (h, w) = (at(size, 0)?.exp() * stride, at(size, 1)?.exp() * stride);
            let (cx, cy) = ((x + at(offset, 1)? + 0.5) * stride, (y + at(offset, 0)? + 0.5) * stride);
            let rect = Rect::new(cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0);
            let mut landmarks = [Point::default(); 5];
            for (i, point) in landmarks.iter_mut().enumerate() {
                *point = Point { x: at(points, 2 * i + 1)? * w + rect.left, y: at(points, 2 * i)? * h + rect.top };
            }
            found.push(RawBox { rect, score: score.min(1.0), group: 0, landmarks: Some(landmarks) });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(rows: usize, columns: usize) -> Vec<Array> {
        [1, 2, 2, 10]
            .map(|channels| Array { dims: vec![channels, rows, columns], data: vec![0.0; channels * rows * columns] })
            .into()
    }

    #[test]
    fn a_hot_cell_is_a_face() {
        let mut outputs = maps(8, 16);
        let cell = 3 * 16 + 5;
        let mut set = |map: usize, channel: usize, value: f32| outputs[map].data[channel * 128 + cell] = value;
        set(0, 0, 0.75);
        set(1, 0, 4f32.ln());
        set(1, 1, 2f32.ln());
        set(2, 0, 0.25);
        set(2, 1, -0.25);
        set(3, 4, 0.5);
        set(3, 5, 0.25);
        let found = CenterFace { score: 0.5 }.decode(&outputs, 64, 32).unwrap();
        let [face] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(face.score, 0.75);
        assert_eq!(face.rect, Rect::new(21.0 - 4.0, 15.0 - 8.0, 21.0 + 4.0, 15.0 + 8.0));
        let landmarks = face.landmarks.unwrap();
        assert_eq!(landmarks[2], Point { x: 17.0 + 2.0, y: 7.0 + 8.0 });
        assert_eq!(landmarks[0], Point { x: 17.0, y: 7.0 });
    }

    #[test]
    fn other_outputs_are_refused() {
        assert!(CenterFace { score: 0.5 }.decode(&maps(8, 16), 64, 64).is_err());
        assert!(CenterFace { score: 0.5 }.decode(&maps(8, 16)[..3], 64, 32).is_err());
    }
}
