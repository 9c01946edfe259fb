//! Tiles: overlapping parts of a frame that a detector processes beside the whole, for objects that
//! are too small in it.
//!
//! As in slicing-aided inference (Akyon et al., 2022, arXiv:2202.06934). An object no larger than
//! the overlap lies completely in at least one tile; so boxes of tiles are dropped if they are
//! larger, or cut by an edge of the tile.

use ocellus_core::{Rect, Region, Size};

use crate::{manifest::Tiles, nms::RawBox};

/// Distance to a tile's edge, in pixels of the frame, below which a box may be cut by it.
const EDGE: f32 = 2.0;
/// Share of the smaller of two boxes within the other, from which boxes of tile and frame are one
/// object: small boxes are less exact in the whole frame than in a tile.
const COMMON: f32 = 0.75;
/// Ratio of the smaller area to the larger, from which that holds: a person before a group is not
/// the group.
const ALIKE: f32 = 0.25;

impl Tiles {
    /// The tiles of a frame, row by row.
    pub(crate) fn of(self, frame: Size) -> Vec<Region> {
        let along = |side: u32| {
            let (count, length) = (self.per_side, self.length(side));
            (0..count).map(move |n| (u64::from(n) * u64::from(side - length) / u64::from(count - 1), length))
        };
        let rows = along(frame.height);
        let region = |(y, height), (x, width)| Region { x: x as i32, y: y as i32, width, height };
        rows.flat_map(|row| along(frame.width).map(move |column| region(row, column))).collect()
    }

    /// Pixels of a tile along a side of the frame.
    fn length(self, side: u32) -> u32 {
        // Neighbours share `overlap` of a tile, so that all together cover `side`.
        let tiles = f64::from(self.per_side) - f64::from(self.per_side - 1) * f64::from(self.overlap);
        ((f64::from(side) / tiles).ceil() as u32).clamp(1, side)
    }

    /// Whether a box that was found in a tile is reported; both in pixels of the frame.
    pub(crate) fn keeps(self, rect: &Rect, tile: Region, frame: Size) -> bool {
        let edges = tile.to_rect();
        let cut = |side: f32, edge: f32, of_frame: f32| (side - edge).abs() <= EDGE && (edge - of_frame).abs() > EDGE;
        let is_cut = cut(rect.left.max(edges.left), edges.left, 0.0)
            || cut(rect.top.max(edges.top), edges.top, 0.0)
            || cut(rect.right.min(edges.right), edges.right, frame.width as f32)
            || cut(rect.bottom.min(edges.bottom), edges.bottom, frame.height as f32);
        let common = |side: u32| self.overlap * side as f32;
        !is_cut && rect.width() <= common(tile.width) && rect.height() <= common(tile.height)
    }
}

/// Merges the boxes of the whole frame and of its tiles, in pixels of the frame, without
/// duplicates, best score first. `iou`: as for [`suppress`](crate::nms::suppress).
pub(crate) fn merge(mut boxes: Vec<RawBox>, iou: f32) -> Vec<RawBox> {
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<RawBox> = Vec::new();
    for raw in boxes {
        if !kept.iter().any(|better| better.group == raw.group && are_one(&better.rect, &raw.rect, iou)) {
            kept.push(raw);
        }
    }
    kept
}

fn are_one(a: &Rect, b: &Rect, iou: f32) -> bool {
    let (smaller, larger) = (a.area().min(b.area()), a.area().max(b.area()));
    a.iou(b) > iou || (a.intersection(b).area() > COMMON * smaller && smaller > ALIKE * larger)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TILES: Tiles = Tiles { per_side: 2, overlap: 0.25 };
    const FRAME: Size = Size { width: 1750, height: 700 };

    #[test]
    fn tiles_cover_the_frame_and_overlap() {
        let region = |x, y| Region { x, y, width: 1000, height: 400 };
        assert_eq!(TILES.of(FRAME), [region(0, 0), region(750, 0), region(0, 300), region(750, 300)]);
        let tiny = Tiles { per_side: 8, overlap: 0.05 }.of(Size { width: 1, height: 3 });
        assert!(tiny.iter().all(|t| t.width == 1 && t.x == 0 && t.y >= 0 && t.y as u32 + t.height <= 3));
    }

    #[test]
    fn boxes_that_a_tile_cuts_or_that_exceed_the_overlap_are_dropped() {
        let tile = Region { x: 750, y: 0, width: 1000, height: 400 };
        let keeps =
            |left: f32, top: f32, side: f32| TILES.keeps(&Rect::new(left, top, left + side, top + side), tile, FRAME);
        assert!(keeps(800.0, 100.0, 80.0));
        assert!(!keeps(751.0, 100.0, 80.0), "at the tile's left edge, which cuts it");
        assert!(!keeps(740.0, 100.0, 80.0));
        assert!(keeps(1665.0, 0.0, 84.0), "at the frame's edges");
        assert!(!keeps(800.0, 100.0, 120.0), "larger than the overlap");
    }

    #[test]
    fn boxes_of_one_object_in_tile_and_frame_are_merged() {
        let raw = |left: f32, side: f32, score, group| RawBox {
            rect: Rect::new(left, 0.0, left + side, side),
            score,
            group,
            landmarks: None,
        };
        let merged = merge(
            vec![raw(0.0, 20.0, 0.5, 0), raw(2.0, 14.0, 0.8, 0), raw(2.0, 14.0, 0.4, 1), raw(0.0, 90.0, 0.3, 0)],
            0.5,
        );
        assert_eq!(merged.iter().map(|raw| raw.score).collect::<Vec<_>>(), [0.8, 0.4, 0.3]);
    }

    proptest! {
        #[test]
        fn a_small_object_lies_completely_in_some_tile(
            (width, height) in (300u32..4000, 300u32..4000), (x, y) in (0.0f32..1.0, 0.0f32..1.0), per_side in 2u32..=8,
        ) {
            let (tiles, frame) = (Tiles { per_side, overlap: 0.3 }, Size { width, height });
            let sides = (tiles.length(width) as f32 * 0.3 - 8.0, tiles.length(height) as f32 * 0.3 - 8.0);
            prop_assume!(sides.0 > 1.0 && sides.1 > 1.0);
            let (left, top) = (x * (width as f32 - sides.0), y * (height as f32 - sides.1));
            let rect = Rect::new(left, top, left + sides.0, top + sides.1);
            let keeps = |tile: &Region| {
                let edges = tile.to_rect();
                let within = edges.intersection(&rect).area() >= rect.area() * 0.9999;
                within && tiles.keeps(&rect, *tile, frame)
            };
            prop_assert!(tiles.of(frame).iter().any(keeps), "{rect:?}");
        }
    }
}
