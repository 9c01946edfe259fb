//! A picture's lines as windows read them: padded, and parted by stride.
//!
//! With a stride of n, every nth pixel lies side by side, so that what windows side by side read is
//! side by side, whatever the stride.

use macerator::Simd;

use super::vector::{load, store};

/// Every `stride`th pixel of a line that has `before` numbers of padding before it and as many as
/// are needed after it, from the `phase`th on.
#[inline(always)]
pub(super) fn lay<S: Simd>(line: &[f32], stride: usize, phase: usize, before: usize, padding: f32, to: &mut [f32]) {
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
            // The last has no second.
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

/// As much as `to` takes.
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

/// What is whole vectors of the first `most` numbers, and what is not.
#[inline(always)]
fn vectors<S: Simd>(from: &[f32], most: usize) -> (&[f32], &[f32]) {
    let length = from.len().min(most);
    from.split_at(length / S::lanes32() * S::lanes32())
}

/// Not `fill`, which for few numbers costs more than they do.
#[inline(always)]
fn fill(numbers: &mut [f32], with: f32) {
    for number in numbers {
        *number = with;
    }
}
