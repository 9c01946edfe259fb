//! Detection of hard cuts, where a recording continues with another scene.
//!
//! A frame is compared with the one before on a coarse grid of grey levels. At a cut a large part
//! of the grid changes at once; an object that moves, however large, changes less of it, and a
//! flash or a fade changes all of it by little. On recordings with known cuts, 40 to 89 % of the
//! cells change at a cut, and mostly at most 17 % anywhere else (a person close to the camera,
//! vehicles from above). At cuts between two persons before one background it is 23 % and more:
//! from [`POSSIBLE`] on a cut is possible, and the appearance of the objects decides (`tracklet`).
//!
//! A vehicle that fills the frame changes up to 38 % of it, frame after frame. It is not a cut:
//! either the change is not twice that of the frame before, as at a cut (an adaptive threshold), or
//! the cells are found again close to where they were: at most 7 % are not, and 27 to 75 % at cuts
//! between two pictures. Where it passes in front of an object, no cut is possible, either.

use ocellus_core::{InputImage, InputSpec};

/// Cells of the grid.
const COLUMNS: usize = 32;
const ROWS: usize = 24;
/// Grey levels by which a cell must differ to count as changed.
const CHANGE: u8 = 16;
/// Share of changed cells above which a change may be a cut.
const CUT: f32 = 0.30;
/// Share of changed cells that hardly occurs without a cut.
const POSSIBLE: f32 = 0.19;
/// Least ratio of the changed cells at a cut to those in the frame before it.
const SUDDEN: f32 = 2.0;
/// The same where a cut is possible; while a vehicle passes, the ratio is about 1.
const GROWING: f32 = 1.5;
/// Share of cells without a match nearby, above which a change right after another one is a cut.
const GONE: f32 = 0.15;
/// Distance in cells, in both directions, within which a match is searched for.
const REACH: usize = 2;

/// Change between two frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SceneChange {
    /// One scene, in which something may move.
    #[default]
    None,
    /// A cut before the same background, or something very large that moves suddenly.
    Possible,
    /// A cut.
    Cut,
}

/// Compares each frame with the one before it.
#[derive(Default)]
pub(crate) struct CutDetector {
    before: Option<Before>,
}

/// The previous frame.
struct Before {
    spec: InputSpec,
    grid: Vec<u8>,
    /// Share of the cells that changed in it.
    changed: f32,
}

impl CutDetector {
    /// The change from the previous frame to this one, given as a detector's input; none for the
    /// first.
    pub(crate) fn change(&mut self, image: &InputImage) -> SceneChange {
        let now = grid(image);
        let changed = self.before.as_ref().map_or(0.0, |before| changed(&before.grid, &now));
        let before = self.before.replace(Before { spec: image.spec, grid: now.clone(), changed });
        let Some(before) = before else { return SceneChange::None };
        // Frames of another size are another scene.
        if before.spec != image.spec {
            return SceneChange::Cut;
        }
        let is_new = |ratio: f32| changed > ratio * before.changed || gone(&before.grid, &now) > GONE;
        match changed {
            _ if changed > CUT && is_new(SUDDEN) => SceneChange::Cut,
            _ if changed > POSSIBLE && is_new(GROWING) => SceneChange::Possible,
            _ => SceneChange::None,
        }
    }
}

/// Share of the cells that differ.
fn changed(before: &[u8], now: &[u8]) -> f32 {
    let changed = now.iter().zip(before).filter(|(a, b)| a.abs_diff(**b) > CHANGE).count();
    changed as f32 / now.len() as f32
}

/// Share of the cells that differ from all cells within [`REACH`] of their place in the previous
/// frame.
fn gone(before: &[u8], now: &[u8]) -> f32 {
    let near = |at: usize, end: usize| at.saturating_sub(REACH)..(at + REACH + 1).min(end);
    let is_gone = |(place, level): &(usize, &u8)| {
        let (x, y) = (place % COLUMNS, place / COLUMNS);
        near(y, ROWS)
            .filter_map(|row| before.get(row * COLUMNS..)?.get(near(x, COLUMNS)))
            .flatten()
            .all(|other| level.abs_diff(*other) > CHANGE)
    };
    now.iter().enumerate().filter(is_gone).count() as f32 / now.len() as f32
}

/// Mean level of each cell over all channels, since only differences count.
fn grid(image: &InputImage) -> Vec<u8> {
    let (size, _) = image.spec.fit(image.frame);
    let line = image.spec.width as usize * 3;
    let (width, height) = (size.width as usize, size.height as usize);
    let mut sums = vec![(0_u32, 0_u32); COLUMNS * ROWS];
    for (y, row) in image.data.chunks_exact(line).take(height).enumerate() {
        for (x, pixel) in row.chunks_exact(3).take(width).enumerate() {
            if let Some((sum, count)) = sums.get_mut(y * ROWS / height * COLUMNS + x * COLUMNS / width) {
                *sum += pixel.iter().map(|v| u32::from(*v)).sum::<u32>();
                *count += 3;
            }
        }
    }
    sums.iter().map(|(sum, count)| (sum / (*count).max(1)) as u8).collect()
}

#[cfg(test)]
mod tests {
    use ocellus_core::{ChannelOrder, Size};

    use super::*;

    /// A picture with these levels by column and row.
    fn image(level: impl Fn(usize, usize) -> u8) -> InputImage {
        let spec = InputSpec { width: 64, height: 64, order: ChannelOrder::Rgb, fill: 114 };
        let data = (0..64).flat_map(|y| (0..64).map(move |x| (x, y))).flat_map(|(x, y)| [level(x, y); 3]).collect();
        InputImage { spec, data, scale: 1.0, frame: Size { width: 64, height: 48 } }
    }

    #[test]
    fn another_picture_is_a_cut_and_the_first_is_none() {
        let mut cuts = CutDetector::default();
        assert_eq!(cuts.change(&image(|x, _| x as u8)), SceneChange::None);
        assert_eq!(cuts.change(&image(|x, _| x as u8 + 3)), SceneChange::None);
        assert_eq!(cuts.change(&image(|x, _| 255 - x as u8)), SceneChange::Cut);
        assert_eq!(cuts.change(&image(|x, _| 255 - x as u8)), SceneChange::None);
    }

    #[test]
    fn a_vehicle_that_fills_the_frame_is_no_cut_while_it_passes() {
        let mut cuts = CutDetector::default();
        // Stripes wider than a cell, which move by one cell from frame to frame.
        let passing =
            |n: usize| image(move |x, y| if y > 12 && ((x + 2 * n) / 4).is_multiple_of(2) { 200 } else { 80 });
        cuts.change(&passing(0));
        cuts.change(&passing(1));
        assert!((2..9).all(|n| cuts.change(&passing(n)) == SceneChange::None));
        let other = image(|x, y| if (x / 16 + y / 16) % 2 == 0 { 20 } else { 250 });
        assert_eq!(cuts.change(&other), SceneChange::Cut, "a cut among it");
    }

    #[test]
    fn each_picture_of_a_slide_show_of_single_frames_is_a_cut() {
        let mut cuts = CutDetector::default();
        let picture = |n: usize| image(move |x, y| ((x / 8 * 5 + y / 8 * 3 + n * n * n * 7) % 11 * 23) as u8);
        cuts.change(&picture(0));
        assert!((1..9).all(|n| cuts.change(&picture(n)) == SceneChange::Cut));
    }

    #[test]
    fn a_large_object_that_moves_is_no_cut() {
        let mut cuts = CutDetector::default();
        let object = |left: usize| image(move |x, y| if (left..left + 10).contains(&x) && y < 24 { 255 } else { 0 });
        assert_eq!(cuts.change(&object(0)), SceneChange::None);
        assert_eq!(cuts.change(&object(10)), SceneChange::None);
    }

    #[test]
    fn an_object_in_place_of_another_may_be_a_cut() {
        let mut cuts = CutDetector::default();
        let object = |level| image(move |x, _| if (20..36).contains(&x) { level } else { 90 });
        assert_eq!(cuts.change(&object(0)), SceneChange::None);
        assert_eq!(cuts.change(&object(255)), SceneChange::Possible);
    }
}
