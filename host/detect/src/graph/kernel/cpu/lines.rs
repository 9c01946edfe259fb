//! Lines of a picture in the layout that sliding windows read: padded, and split into phases.
//!
//! A phase has every n-th pixel of a line, where n is the stride. So neighbouring windows read
//! neighbouring pixels, whatever the stride, and one vector serves several windows.

use macerator::Simd;

use super::vector::{load, store};

/// Copies one phase of a line: every `stride`-th pixel from the `phase`-th on, counted with
/// `before` pixels of padding in front of the line. Padding follows the line until `to` is full.
#[inline(always)]
pub(super) fn copy_phase<S: Simd>(
    line: &[f32],
    stride: usize,
    phase: usize,
    before: usize,
    padding: f32,
    to: &mut [f32],
) {
    let skipped = before.saturating_sub(phase).div_ceil(stride).min(to.len());
    let (left, to) = to.split_at_mut(skipped);
    fill(left, padding);
    let line = line.get((skipped * stride + phase).saturating_sub(before)..).unwrap_or_default();
    let (to, right) = to.split_at_mut(line.len().div_ceil(stride).min(to.len()));
    fill(right, padding);
    match stride {
        1 => copy::<S>(line, to),
        2 => {
            let (pairs, rest) = line.as_chunks::<2>();
            // A line of odd length has a last pixel without a partner.
            if let (Some(last), Some(pixel)) = (to.get_mut(pairs.len()), rest.first()) {
                *last = *pixel;
            }
            for (to, [pixel, _]) in to.iter_mut().zip(pairs) {
                *to = *pixel;
            }
        }
        _ => {
            for (to, pixel) in to.iter_mut().zip(line.iter().step_by(stride)) {
                *to = *pixel;
            }
        }
    }
}

/// Copies as much as `to` takes.
#[inline(always)]
pub(super) fn copy<S: Simd>(from: &[f32], to: &mut [f32]) {
    let (from_vectors, from_rest) = vectors::<S>(from, to.len());
    let (to_vectors, to_rest) = to.split_at_mut(from_vectors.len());
    for (to, from) in to_vectors.chunks_exact_mut(S::lanes32()).zip(from_vectors.chunks_exact(S::lanes32())) {
        store::<S>(to, load::<S>(from));
    }
    for (to, from) in to_rest.iter_mut().zip(from_rest) {
        *to = *from;
    }
}

/// Splits the first `most` values into whole vectors and the rest.
#[inline(always)]
fn vectors<S: Simd>(from: &[f32], most: usize) -> (&[f32], &[f32]) {
    let length = from.len().min(most);
    from.split_at(length / S::lanes32() * S::lanes32())
}

/// Not `slice::fill`, whose call costs more than filling a few values.
#[inline(always)]
fn fill(values: &mut [f32], with: f32) {
    for value in values {
        *value = with;
    }
}
