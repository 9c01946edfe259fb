//! Size of a detector's input for a frame, by what its manifest allows.

use ocellus_core::Size;

use crate::manifest::{InputSize, MAX_SIDE};

/// Width and height in pixels of the input for a frame. Deterministic, so that a resumed job gets
/// the same inputs.
pub(crate) fn input_size(size: InputSize, frame: Size) -> (u32, u32) {
    match size {
        InputSize::Fixed { width, height } => (width, height),
        InputSize::Adaptive { max_side, multiple } => {
            // Small frames are not enlarged: that costs time and adds no detail.
            let longer = frame.width.max(frame.height).max(1);
            let scale = (f64::from(max_side) / f64::from(longer)).min(1.0);
            let side = |n: u32| ((f64::from(n) * scale).round() as u32).clamp(1, max_side).next_multiple_of(multiple);
            (side(frame.width), side(frame.height))
        }
        InputSize::Budget { max_pixels, multiple } => within_budget(max_pixels, multiple, frame),
    }
}

/// The input in which the frame is largest, and of those the smallest. Small frames are enlarged:
/// such networks find objects of the sizes that they were trained with.
fn within_budget(max_pixels: u32, multiple: u32, frame: Size) -> (u32, u32) {
    let (width, height) = (f64::from(frame.width.max(1)), f64::from(frame.height.max(1)));
    let tallest = (max_pixels / multiple).min(MAX_SIDE);
    let mut best = (0.0, (multiple, multiple));
    for rows in (multiple..=tallest).step_by(multiple as usize) {
        let columns = (max_pixels / rows).min(MAX_SIDE) / multiple * multiple;
        let scale = (f64::from(columns) / width).min(f64::from(rows) / height);
        // The scaled frame, rounded up to the multiple.
        let side = |n: f64, max: u32| ((n * scale).round() as u32).clamp(1, max).next_multiple_of(multiple);
        let sides = (side(width, columns), side(height, rows));
        let pixels = |(columns, rows): (u32, u32)| columns * rows;
        if scale > best.0 || (scale == best.0 && pixels(sides) < pixels(best.1)) {
            best = (scale, sides);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use ocellus_core::{ChannelOrder, InputSpec};
    use proptest::prelude::*;

    use super::*;

    const ADAPTIVE: InputSize = InputSize::Adaptive { max_side: 640, multiple: 32 };
    const BUDGET: InputSize = InputSize::Budget { max_pixels: 544 * 320, multiple: 32 };

    #[test]
    fn adaptive_inputs_keep_the_aspect_ratio_and_do_not_enlarge() {
        let of = |width, height| input_size(ADAPTIVE, Size { width, height });
        assert_eq!(of(1920, 1080), (640, 384));
        assert_eq!(of(1080, 1920), (384, 640));
        assert_eq!(of(960, 540), (640, 384));
        assert_eq!(of(640, 480), (640, 480));
        assert_eq!(of(176, 144), (192, 160));
        assert_eq!(of(5000, 1), (640, 32));
    }

    #[test]
    fn a_budget_is_spent_on_the_frame() {
        let of = |width, height| input_size(BUDGET, Size { width, height });
        assert_eq!(of(1920, 1080), (544, 320));
        assert_eq!(of(1080, 1920), (320, 544));
        assert_eq!(of(640, 480), (480, 352));
        assert_eq!(of(500, 500), (416, 416));
        assert_eq!(of(100, 100), (416, 416), "small frames are enlarged");
        assert_eq!(of(640, 272), (608, 256));
        assert_eq!(of(8000, 1), (4096, 32));
        let gpu = InputSize::Budget { max_pixels: 640 * 640, multiple: 32 };
        assert_eq!(input_size(gpu, Size { width: 1920, height: 1080 }), (832, 480));
    }

    proptest! {
        #[test]
        fn a_frame_fits_into_its_input(width in 1u32..8000, height in 1u32..8000) {
            let frame = Size { width, height };
            for (size, max_side, max_pixels) in [(ADAPTIVE, 640, 640 * 640), (BUDGET, 4096, 544 * 320)] {
                let (w, h) = input_size(size, frame);
                prop_assert!(w % 32 == 0 && h % 32 == 0 && w <= max_side && h <= max_side && w * h <= max_pixels);
                let spec = InputSpec { width: w, height: h, order: ChannelOrder::Rgb, fill: 0 };
                let (shown, scale) = spec.fit(frame);
                prop_assert!(shown.width <= w && shown.height <= h);
                // Letterboxing and its inverse agree to a pixel of the input.
                prop_assert!((shown.width as f32 / scale - width as f32).abs() <= 1.0 / scale);
                prop_assert!((shown.height as f32 / scale - height as f32).abs() <= 1.0 / scale);
            }
        }

        #[test]
        fn no_square_of_the_budget_shows_a_frame_larger(width in 1u32..4000, height in 1u32..4000) {
            let frame = Size { width, height };
            let (w, h) = input_size(BUDGET, frame);
            let scale = |width: u32, height: u32| {
                InputSpec { width, height, order: ChannelOrder::Rgb, fill: 0 }.fit(frame).1
            };
            prop_assert!(scale(w, h) >= scale(416, 416) * 0.999);
        }
    }
}
