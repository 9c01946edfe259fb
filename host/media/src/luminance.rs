//! Luminance statistics of a part of a frame: sharpness, contrast and brightness.

use ocellus_core::{Rect, Size};

/// Pixels of the shorter side to which a part is reduced before it is measured; smaller parts are
/// not enlarged.
///
/// A common scale makes detail count in relation to the part. It is small enough that noise of
/// single pixels averages out in parts of 60 pixels and more.
const MEASURED_SIDE: u32 = 32;

/// Luminance variance of a flat part from noise and rounding, in squared levels: keeps the
/// sharpness of parts without content near 0.
const NOISE: f64 = 25.0;

/// Luminance statistics of a part of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Luminance {
    /// The share of detail in the contrast: the variance of the Laplacian (Pech-Pacheco et al.,
    /// "Diatom autofocusing in brightfield microscopy", ICPR 2000) over the variance of the
    /// luminance, both at a shorter side of 32 pixels. Depends on neither size nor contrast.
    ///
    /// From 0 (flat). About 1 for a sharp person, .6 for a sharp face; a blur with a sigma of 2 %
    /// of the shorter side makes a quarter of that.
    pub sharpness: f32,
    /// Standard deviation, 0..=127.5.
    pub contrast: f32,
    /// Mean, 0 (black)..=255 (white).
    pub brightness: f32,
}

impl Luminance {
    /// The size at which the part of `rect` within a frame is measured, for
    /// [`Frame::luma`](crate::Frame::luma).
    pub fn measured_size(rect: &Rect, frame: Size) -> Size {
        // Casts of floats saturate, and take a NaN as 0.
        let side = |low: f32, high: f32, most: u32| (high.ceil() as u32).min(most).saturating_sub(low.floor() as u32);
        let width = side(rect.left, rect.right, frame.width);
        let height = side(rect.top, rect.bottom, frame.height);
        let shorter = width.min(height);
        if shorter <= MEASURED_SIDE {
            return Size { width, height };
        }
        let reduced = |n: u32| {
            let scaled = u64::from(n) * u64::from(MEASURED_SIDE) + u64::from(shorter / 2);
            (scaled / u64::from(shorter)) as u32
        };
        Size { width: reduced(width), height: reduced(height) }
    }

    /// The statistics of a grey picture, `luma.len() == size.width * size.height`. All 0 where a
    /// side is below 3, or there are fewer samples than that.
    pub fn of(luma: &[u8], size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        if width < 3 || height < 3 || luma.len() < width * height {
            return Self::default();
        }
        let rows: Vec<&[u8]> = luma.chunks_exact(width).take(height).collect();
        let (brightness, variance) = moments(rows.iter().flat_map(|row| row.iter()).map(|&v| i64::from(v)));
        let laplacians = rows.windows(3).filter_map(|three| <&[&[u8]; 3]>::try_from(three).ok()).flat_map(|three| {
            let [above, row, below] = *three;
            let beside = row.windows(3).zip(above.iter().skip(1).zip(below.iter().skip(1)));
            beside.map(|(side, (&above, &below))| laplacian(side, above, below))
        });
        let (_, detail) = moments(laplacians);
        Self {
            sharpness: (detail / (variance + NOISE)) as f32,
            contrast: variance.sqrt() as f32,
            brightness: brightness as f32,
        }
    }
}

/// The Laplacian at the middle of three pixels of a row.
fn laplacian(row: &[u8], above: u8, below: u8) -> i64 {
    let &[left, here, right] = row else { return 0 };
    i64::from(left) + i64::from(right) + i64::from(above) + i64::from(below) - 4 * i64::from(here)
}

/// Mean and variance; 0 and 0 of nothing.
fn moments(values: impl Iterator<Item = i64>) -> (f64, f64) {
    let (mut count, mut sum, mut squares) = (0_i64, 0_i64, 0_i64);
    for value in values {
        count += 1;
        sum += value;
        squares += value * value;
    }
    if count == 0 {
        return (0.0, 0.0);
    }
    let mean = sum as f64 / count as f64;
    (mean, (squares as f64 / count as f64 - mean * mean).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 8, height: 8 };

    #[test]
    fn flat_and_sloping_pictures_have_no_detail() {
        assert_eq!(Luminance::of(&[7; 64], SIZE), Luminance { sharpness: 0.0, contrast: 0.0, brightness: 7.0 });
        let slope: Vec<u8> = (0..64).map(|i| (i % 8) * 3 + (i / 8) * 5).collect();
        let measured = Luminance::of(&slope, SIZE);
        assert_eq!((measured.sharpness, measured.brightness), (0.0, 28.0));
        assert!(measured.contrast > 10.0);
    }

    #[test]
    fn a_checkerboard_by_hand() {
        let board: Vec<u8> = (0..64).map(|i| if (i % 8 + i / 8) % 2 == 0 { 0 } else { 10 }).collect();
        // Every inner pixel differs by 10 from its four neighbours: the Laplacian is +40 and -40 in
        // equal number. The pixels themselves are 5 from their mean.
        let expected = Luminance { sharpness: 1600.0 / (25.0 + 25.0), contrast: 5.0, brightness: 5.0 };
        assert_eq!(Luminance::of(&board, SIZE), expected);
    }

    #[test]
    fn contrast_hardly_changes_sharpness() {
        let stripes = |level: u8| (0..64).map(|i| if i % 8 < 4 { 0 } else { level }).collect::<Vec<u8>>();
        let (dim, bright) = (Luminance::of(&stripes(100), SIZE), Luminance::of(&stripes(200), SIZE));
        assert!((dim.sharpness / bright.sharpness - 1.0).abs() < 0.01, "{dim:?} {bright:?}");
    }

    #[test]
    fn degenerate_pictures_measure_as_zero() {
        assert_eq!(Luminance::of(&[1, 2, 3, 4], Size { width: 2, height: 2 }), Luminance::default());
        assert_eq!(Luminance::of(&[1; 10], SIZE), Luminance::default());
    }

    #[test]
    fn parts_are_reduced_and_never_enlarged() {
        let size = |width, height| Size { width, height };
        let measured =
            |left, top, right, bottom| Luminance::measured_size(&Rect::new(left, top, right, bottom), size(1000, 1200));
        assert_eq!(measured(100.0, 0.0, 420.0, 960.0), size(32, 96));
        assert_eq!(measured(-50.0, 10.0, 100.0, 60.0), size(64, 32));
        assert_eq!(measured(980.5, 10.0, 1100.0, 80.0), size(20, 70));
        assert_eq!(measured(f32::NAN, 10.0, 100.0, -5.0), size(100, 0));
    }
}
