//! Tone mapping of pictures with a high dynamic range to standard range, with which networks were
//! trained and in which JPEGs are shown.
//!
//! Sources: ITU-R BT.2100-2 (PQ and HLG), BT.2408-7 (203 cd/m² is reference white), BT.2087-0
//! (BT.2020 from BT.709), BT.1886 (display gamma). Light above the knee is rolled off by Reinhard's
//! extended curve, which begins with slope 1 at the knee.

use std::sync::LazyLock;

/// Transfer function of a high dynamic range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// Perceptual quantizer, SMPTE ST 2084.
    Pq,
    /// Hybrid log-gamma, ARIB STD-B67.
    Hlg,
}

/// Reference white of standard dynamic range, in cd/m².
const WHITE: f32 = 203.0;
/// Light from here on is clipped, in units of white.
const PEAK: f32 = 1000.0 / WHITE;
/// Light up to here is unchanged, in units of white.
const KNEE: f32 = 0.6;
/// Entries of a lookup table: 12 bits.
const STEPS: usize = 1 << 12;

/// Lookup table of PQ: light in units of white.
static PQ: LazyLock<Vec<f32>> = LazyLock::new(|| table(|value| pq(value) / WHITE));
/// Lookup table of HLG: scene light, 0 to 1.
static HLG: LazyLock<Vec<f32>> = LazyLock::new(|| table(hlg));
/// Lookup table of the display gamma: a byte value for light from 0 to 1.
static SCREEN: LazyLock<Vec<f32>> = LazyLock::new(|| table(|light| light.powf(1.0 / 2.4) * 255.0));

fn table(f: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..STEPS).map(|n| f(n as f32 / (STEPS - 1) as f32)).collect()
}

/// The entry for a value from 0 to 1.
fn look_up(table: &[f32], value: f32) -> f32 {
    let place = (value.clamp(0.0, 1.0) * (STEPS - 1) as f32).round() as usize;
    table.get(place).copied().unwrap_or(0.0)
}

/// PQ transfer function: cd/m² of a value from 0 to 1.
fn pq(value: f32) -> f32 {
    const M1: f32 = 2610.0 / 16384.0;
    const M2: f32 = 2523.0 / 4096.0 * 128.0;
    const C1: f32 = 3424.0 / 4096.0;
    const C2: f32 = 2413.0 / 4096.0 * 32.0;
    const C3: f32 = 2392.0 / 4096.0 * 32.0;
    let root = value.powf(1.0 / M2);
    10_000.0 * ((root - C1).max(0.0) / (C2 - C3 * root)).powf(1.0 / M1)
}

/// HLG transfer function: scene light, 0 to 1, of a value from 0 to 1.
fn hlg(value: f32) -> f32 {
    const A: f32 = 0.178_832_77;
    const B: f32 = 0.284_668_92;
    const C: f32 = 0.559_910_7;
    if value <= 0.5 { value * value / 3.0 } else { (((value - C) / A).exp() + B) / 12.0 }
}

/// Luminance of linear BT.2020.
fn luminance([r, g, b]: [f32; 3]) -> f32 {
    0.2627 * r + 0.678 * g + 0.0593 * b
}

/// HLG scene light on a display of 1,000 cd/m², whose system gamma is 1.2, in units of white.
fn hlg_on_screen(scene: [f32; 3]) -> [f32; 3] {
    let gain = PEAK * luminance(scene).max(1e-6).powf(0.2);
    scene.map(|light| light * gain)
}

/// The tone curve: light in units of white to a value up to 1.
fn rolled_off(light: f32) -> f32 {
    if light <= KNEE {
        return light;
    }
    let (over, peak) = ((light - KNEE) / (1.0 - KNEE), (PEAK - KNEE) / (1.0 - KNEE));
    (KNEE + (1.0 - KNEE) * over * (1.0 + over / (peak * peak)) / (1.0 + over)).min(1.0)
}

/// Maps one pixel from 16-bit samples to bytes.
fn mapped(pixel: [u16; 3], transfer: Transfer) -> [u8; 3] {
    let value = |sample: u16| f32::from(sample) / f32::from(u16::MAX);
    let light = match transfer {
        Transfer::Pq => pixel.map(|sample| look_up(&PQ, value(sample))),
        Transfer::Hlg => hlg_on_screen(pixel.map(|sample| look_up(&HLG, value(sample)))),
    };
    // By the largest component, so that no colour changes its hue.
    let strongest = light.into_iter().fold(1e-6, f32::max);
    let [r, g, b] = light.map(|light| light * rolled_off(strongest) / strongest);
    let ordinary = [
        1.6605 * r - 0.5876 * g - 0.0728 * b,
        -0.1246 * r + 1.1329 * g - 0.0083 * b,
        -0.0182 * r - 0.1006 * g + 1.1187 * b,
    ];
    ordinary.map(|light| look_up(&SCREEN, light).round() as u8)
}

/// Maps rows of 16-bit little-endian RGB to rows of bytes in the same order or, `reversed`, as BGR.
/// Strides are in bytes; pixels that do not fit are dropped.
pub(crate) fn map_rows(
    from: (&[u8], usize),
    to: (&mut [u8], usize),
    width: usize,
    height: usize,
    transfer: Transfer,
    reversed: bool,
) {
    let rows = from.0.chunks(from.1.max(1)).zip(to.0.chunks_mut(to.1.max(1))).take(height);
    for (from, to) in rows {
        for (from, to) in from.chunks_exact(6).zip(to.chunks_exact_mut(3)).take(width) {
            let &[a, b, c, d, e, f] = from else { continue };
            let mut bytes = mapped([[a, b], [c, d], [e, f]].map(u16::from_le_bytes), transfer);
            if reversed {
                bytes.reverse();
            }
            to.copy_from_slice(&bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: f32, transfer: Transfer) -> u8 {
        let sample = (value * f32::from(u16::MAX)).round() as u16;
        let [r, g, b] = mapped([sample; 3], transfer);
        assert!(r.abs_diff(g) <= 1 && g.abs_diff(b) <= 1, "grey stays grey: {r} {g} {b}");
        g
    }

    #[test]
    fn values_of_the_standards() {
        // BT.2408-7 table 1: reference white is 58 % PQ and 75 % HLG.
        assert!((pq(0.5807) - 203.0).abs() < 1.5, "{}", pq(0.5807));
        assert!((pq(1.0) - 10_000.0).abs() < 1.0 && pq(0.0) < 1e-3);
        let [white, ..] = hlg_on_screen([hlg(0.75); 3]);
        assert!((white - 1.0).abs() < 0.02, "{white}");
        assert!((hlg(1.0) - 1.0).abs() < 1e-3);
    }

    #[test]
    fn brighter_is_never_darker_and_dark_stays_as_it_is() {
        for transfer in [Transfer::Pq, Transfer::Hlg] {
            let shown: Vec<u8> = (0..=100).map(|n| grey(n as f32 / 100.0, transfer)).collect();
            assert!(shown.is_sorted(), "{transfer:?}: {shown:?}");
            assert_eq!((shown[0], shown[100]), (0, 255), "{transfer:?}");
        }
        // 18 % grey, 26 cd/m² of BT.2408: the same as in an ordinary picture.
        assert!(grey(0.38, Transfer::Pq).abs_diff((0.128_f32.powf(1.0 / 2.4) * 255.0) as u8) < 6);
    }

    #[test]
    fn colours_of_both_orders() {
        let red: Vec<u8> = [40_000_u16, 10_000, 10_000].into_iter().flat_map(u16::to_le_bytes).collect();
        let mut out = [[0; 3]; 2];
        for (out, reversed) in out.iter_mut().zip([false, true]) {
            map_rows((&red, 6), (out, 3), 1, 1, Transfer::Pq, reversed);
        }
        let [[r, g, b], [x, y, z]] = out;
        assert!(r > g && r > b);
        assert_eq!([x, y, z], [b, g, r]);
    }
}
