//! Appearance descriptor of an object: histograms of colour and brightness, band by band from top
//! to bottom.
//!
//! The picture is cut into horizontal bands; for each there is a histogram of brightness and one of
//! hue, in which a pixel counts by its saturation. Square roots are taken (comparing by cosine is
//! then the Hellinger affinity of the histograms), the mean is subtracted, so that two objects that
//! have nothing in common have a similarity near 0 rather than near .7, and the whole has length 1:
//! the cosine similarity of two objects is the dot product.
//!
//! It distinguishes a red coat from a black one, not two people in the same uniform.

use ocellus_core::{Rect, Size};
use ocellus_media::{Frame, Patch, PatchKind};

/// Size of the sampled picture: a few hundred pixels suffice for histograms, and swscale averages.
const SAMPLE: Size = Size { width: 16, height: 32 };
const BANDS: usize = 4;
const BRIGHTNESS: usize = 6;
const HUES: usize = 8;
const BINS: usize = BRIGHTNESS + HUES;

/// The descriptor of the region `rect`: 56 numbers; empty where it lies outside the frame.
pub(crate) fn appearance(frame: &Frame, rect: Rect) -> Vec<f32> {
    let Patch { region, out, .. } = patch(rect);
    frame.colours(region, out).map_or_else(|_| Vec::new(), |image| descriptor(&image.data))
}

/// The patch of a box whose [`descriptor`] is its appearance.
pub(crate) fn patch(rect: Rect) -> Patch {
    // The margins of a box show the background.
    let (dx, dy) = (rect.width() * 0.1, rect.height() * 0.05);
    let inner = Rect::new(rect.left + dx, rect.top + dy, rect.right - dx, rect.bottom - dy);
    Patch { kind: PatchKind::Colours, region: inner, out: SAMPLE }
}

/// The descriptor of the pixels of a [`patch`].
pub(crate) fn descriptor(rgb: &[u8]) -> Vec<f32> {
    let mut bins = vec![0.0_f32; BANDS * BINS];
    let (width, height) = (SAMPLE.width as usize, SAMPLE.height as usize);
    for (n, pixel) in rgb.chunks_exact(3).enumerate() {
        let band = (n / width) * BANDS / height;
        let &[r, g, b] = pixel else { continue };
        let [r, g, b] = [r, g, b].map(|v| f32::from(v) / 255.0);
        let brightness = (r + g + b) / 3.0;
        // The two axes of the colour plane perpendicular to grey.
        let (x, y) = (r - (g + b) / 2.0, (g - b) * 0.866);
        let hue = (y.atan2(x) / std::f32::consts::TAU).rem_euclid(1.0);
        spread(&mut bins, band * BINS, BRIGHTNESS, brightness * (BRIGHTNESS - 1) as f32, false, 1.0);
        spread(&mut bins, band * BINS + BRIGHTNESS, HUES, hue * HUES as f32, true, 2.0 * x.hypot(y));
    }
    bins.iter_mut().for_each(|v| *v = v.sqrt());
    let mean = bins.iter().sum::<f32>() / bins.len() as f32;
    bins.iter_mut().for_each(|v| *v -= mean);
    let length = bins.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        bins.iter_mut().for_each(|v| *v /= length);
    }
    bins
}

/// Splits `weight` between the two bins next to `at`, so that the histogram is continuous.
fn spread(bins: &mut [f32], first: usize, count: usize, at: f32, around: bool, weight: f32) {
    let low = at.floor();
    let share = at - low;
    for (bin, weight) in [(low as usize, weight * (1.0 - share)), (low as usize + 1, weight * share)] {
        let bin = if around { bin % count } else { bin.min(count - 1) };
        if let Some(bin) = bins.get_mut(first + bin) {
            *bin += weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(colour: impl Fn(u32) -> [u8; 3]) -> Vec<u8> {
        (0..SAMPLE.height).flat_map(|y| std::iter::repeat_n(colour(y), SAMPLE.width as usize)).flatten().collect()
    }

    fn similarity(a: &[u8], b: &[u8]) -> f32 {
        descriptor(a).iter().zip(descriptor(b)).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn light_changes_it_little_and_clothes_much() {
        let red = |top: u8| move |y: u32| if y < 16 { [top, 30, 40] } else { [30, 30, 60] };
        let blue = |y: u32| if y < 16 { [30, 60, 200] } else { [140, 130, 120] };
        assert!(similarity(&picture(red(200)), &picture(red(170))) > 0.85);
        assert!(similarity(&picture(red(200)), &picture(blue)) < 0.3);
    }

    #[test]
    fn it_has_length_one_and_is_the_same_for_the_same_picture() {
        let grey = picture(|y| [(y * 8) as u8; 3]);
        assert!((similarity(&grey, &grey) - 1.0).abs() < 1e-5);
        assert_eq!(descriptor(&grey).len(), BANDS * BINS);
    }
}
