//! Operators on each channel by itself: depthwise convolutions and max-pooling.
//!
//! The lines under a row of windows are kept, in the layout that windows read, in a ring buffer
//! that stays in the core's L1 cache.

#![expect(
    clippy::indexing_slicing,
    reason = "callers check the lengths against the geometry; checks here would be in the inner loop"
)]

use std::array;

use macerator::{Scalar, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    gemm::Epilogue,
    geometry::Geometry,
    lines::copy_phase,
    vector::{Activation, MAX_LANES, load, load_some, run, store, store_some},
};
use crate::graph::buffers::Buffers;

/// Whether [`convolve`] has a kernel for a window of this size.
pub(super) fn supports(kernel: [usize; 2]) -> bool {
    matches!(kernel, [3, 3] | [5, 5] | [7, 7])
}

/// Depthwise convolution: each channel of a picture has its own weights.
pub(super) fn convolve(
    x: &[f32],
    geometry: &Geometry,
    weights: &[f32],
    epilogue: Epilogue,
    buffers: &Buffers,
    out: &mut [f32],
) {
    let (channels, windows) = (out.len() / geometry.windows(), geometry.windows());
    in_parts(
        channels,
        |first, count, out: &mut [f32]| {
            let mut ring = buffers.take(Ring::values(geometry));
            let x = &x[first * geometry.plane()..][..count * geometry.plane()];
            let residual = epilogue.residual.map(|residual| &residual[first * windows..][..out.len()]);
            let epilogue = Epilogue { residual, bias: epilogue.bias.get(first..).unwrap_or_default(), ..epilogue };
            let weights = &weights[first * geometry.kernel[0] * geometry.kernel[1]..];
            run(Convolution { x, geometry, weights, epilogue, ring: &mut ring, out });
            buffers.give(ring);
        },
        windows,
        out,
    );
}

/// Maximum of each window; padding counts as negative infinity.
pub(super) fn max_pool(x: &[f32], geometry: &Geometry, buffers: &Buffers, out: &mut [f32]) {
    let (channels, windows) = (out.len() / geometry.windows(), geometry.windows());
    in_parts(
        channels,
        |first, count, out: &mut [f32]| {
            let line = Ring::line(geometry);
            let mut ring = buffers.take(Ring::values(geometry) + line);
            let x = &x[first * geometry.plane()..][..count * geometry.plane()];
            run(MaxPool { x, geometry, ring: &mut ring, out });
            buffers.give(ring);
        },
        windows,
        out,
    );
}

/// Splits the channels between threads; calls `part` with the first channel, the number of channels
/// and their output.
fn in_parts(channels: usize, part: impl Fn(usize, usize, &mut [f32]) + Sync, windows: usize, out: &mut [f32]) {
    let each = channels.div_ceil(rayon::current_num_threads()).max(1);
    if each >= channels {
        part(0, channels, out);
    } else {
        out.par_chunks_mut(each * windows)
            .enumerate()
            .for_each(|(index, out)| part(index * each, out.len() / windows, out));
    }
}

/// Ring buffer of a plane's lines with their padding, as many as a window is high, and one line of
/// nothing but padding.
struct Ring<'a> {
    values: &'a mut [f32],
    geometry: &'a Geometry,
    padding: f32,
    /// Values in a phase of a line; the pixels of a phase are multiples of the stride apart.
    phase: usize,
}

impl<'a> Ring<'a> {
    fn phase(geometry: &Geometry) -> usize {
        (geometry.columns.next_multiple_of(MAX_LANES) + (geometry.kernel[1] - 1) / geometry.stride[1])
            .next_multiple_of(MAX_LANES)
    }

    /// Values in a line.
    fn line(geometry: &Geometry) -> usize {
        Self::phase(geometry) * geometry.stride[1]
    }

    /// Values in the ring.
    fn values(geometry: &Geometry) -> usize {
        Self::line(geometry) * (geometry.kernel[0] + 1)
    }

    #[inline(always)]
    fn new(values: &'a mut [f32], geometry: &'a Geometry, padding: f32) -> Self {
        let line = Self::line(geometry);
        values[geometry.kernel[0] * line..][..line].fill(padding);
        Self { values, geometry, padding, phase: Self::phase(geometry) }
    }

    /// Copies a line of the plane into the ring.
    #[inline(always)]
    fn put<S: Simd>(&mut self, plane: &[f32], y: usize) {
        let Geometry { width, kernel, stride, before, .. } = *self.geometry;
        let length = self.phase * stride[1];
        let from = &plane[y * width..][..width];
        let to = &mut self.values[(y % kernel[0]) * length..][..length];
        for (phase, to) in to.chunks_exact_mut(self.phase).enumerate() {
            copy_phase::<S>(from, stride[1], phase, before[1], self.padding, to);
        }
    }

    /// Offset in a line of the pixels under a column of the window.
    #[inline(always)]
    fn column(&self, column: usize) -> usize {
        column % self.geometry.stride[1] * self.phase + column / self.geometry.stride[1]
    }

    /// The lines under a row of windows, which are `ROWS` high.
    #[inline(always)]
    fn lines<const ROWS: usize>(&self, row: usize) -> [&[f32]; ROWS] {
        let mut lines = [&self.values[..0]; ROWS];
        for (kernel_row, line) in lines.iter_mut().enumerate() {
            *line = self.line_of(row, kernel_row, ROWS);
        }
        lines
    }

    /// The line under one row of the window, for windows that are `rows` high. Callers pass a
    /// constant where they can, since it is a divisor.
    #[inline(always)]
    fn line_of(&self, row: usize, kernel_row: usize, rows: usize) -> &[f32] {
        let Geometry { height, stride, before, .. } = *self.geometry;
        let length = self.phase * stride[1];
        let y = (row * stride[0] + kernel_row).checked_sub(before[0]);
        let slot = match y {
            Some(y) if y < height => y % rows,
            _ => rows,
        };
        &self.values[slot * length..][..length]
    }

    /// Copies the lines that a row of windows needs and that are not in the ring yet; `next` is the
    /// first of those.
    #[inline(always)]
    fn advance<S: Simd>(&mut self, plane: &[f32], row: usize, next: &mut usize) {
        let Geometry { height, kernel, stride, before, .. } = *self.geometry;
        let first = (row * stride[0]).saturating_sub(before[0]);
        let end = (row * stride[0] + kernel[0]).saturating_sub(before[0]).min(height);
        for y in first.max(*next)..end {
            self.put::<S>(plane, y);
        }
        *next = end.max(*next);
    }
}

struct Convolution<'a> {
    x: &'a [f32],
    geometry: &'a Geometry,
    weights: &'a [f32],
    epilogue: Epilogue<'a>,
    ring: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Convolution<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        match self.geometry.kernel[0] {
            3 => self.run::<S, 3>(),
            5 => self.run::<S, 5>(),
            _ => self.run::<S, 7>(),
        }
    }
}

impl Convolution<'_> {
    #[inline(always)]
    fn run<S: Simd, const SIZE: usize>(self) {
        let geometry = self.geometry;
        let columns = geometry.columns;
        let mut ring = Ring::new(self.ring, geometry, 0.0);
        let offsets: [usize; SIZE] = array::from_fn(|column| ring.column(column));
        for (channel, (plane, out)) in
            self.x.chunks_exact(geometry.plane()).zip(self.out.chunks_exact_mut(geometry.windows())).enumerate()
        {
            let weights = &self.weights[channel * SIZE * SIZE..][..SIZE * SIZE];
            let bias = self.epilogue.bias.get(channel).copied().unwrap_or_default();
            let residual =
                self.epilogue.residual.map(|residual| &residual[channel * geometry.windows()..][..geometry.windows()]);
            let mut next = 0;
            for (row, out) in out.chunks_exact_mut(columns).enumerate() {
                ring.advance::<S>(plane, row, &mut next);
                let row = Row {
                    lines: ring.lines::<SIZE>(row),
                    columns: offsets,
                    weights,
                    bias,
                    activation: self.epilogue.activation,
                    residual: residual.map(|residual| &residual[row * columns..][..columns]),
                };
                let lanes = S::lanes32();
                let mut at = 0;
                while at < columns {
                    let left = columns - at;
                    at += if left > 3 * lanes {
                        row.windows::<S, 4>(at, out)
                    } else if left > 2 * lanes {
                        row.windows::<S, 3>(at, out)
                    } else if left > lanes {
                        row.windows::<S, 2>(at, out)
                    } else {
                        row.windows::<S, 1>(at, out)
                    };
                }
            }
        }
    }
}

/// A row of windows.
struct Row<'a, const SIZE: usize> {
    lines: [&'a [f32]; SIZE],
    /// Offsets in a line of the pixels under the columns of a window.
    columns: [usize; SIZE],
    weights: &'a [f32],
    bias: f32,
    activation: Activation,
    residual: Option<&'a [f32]>,
}

impl<const SIZE: usize> Row<'_, SIZE> {
    /// Computes `VECTORS` vectors of windows from `at` on; returns how many windows fit those.
    #[inline(always)]
    fn windows<S: Simd, const VECTORS: usize>(&self, at: usize, out: &mut [f32]) -> usize {
        let lanes = S::lanes32();
        let mut sums = [self.bias.splat::<S>(); VECTORS];
        for (line, weights) in self.lines.iter().zip(self.weights.chunks_exact(SIZE)) {
            for (column, weight) in self.columns.into_iter().zip(weights) {
                let pixels = &line[column + at..][..VECTORS * lanes];
                let weight = weight.splat::<S>();
                for (sum, pixels) in sums.iter_mut().zip(pixels.chunks_exact(lanes)) {
                    *sum = load::<S>(pixels).mul_add(weight, *sum);
                }
            }
        }
        for (v, sum) in sums.into_iter().enumerate() {
            let (from, to) = (at + v * lanes, out.len().min(at + (v + 1) * lanes));
            let sum = self.activation.of::<S>(sum);
            let sum = if let Some(residual) = self.residual { sum + load_some::<S>(&residual[from..to]) } else { sum };
            store_some::<S>(&mut out[from..to], sum);
        }
        VECTORS * lanes
    }
}

struct MaxPool<'a> {
    x: &'a [f32],
    geometry: &'a Geometry,
    /// The ring, and a line for the maxima of columns.
    ring: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for MaxPool<'_> {
    type Output = ();

    /// Maxima down each column first, then across the columns of each window.
    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        let (geometry, lanes) = (self.geometry, S::lanes32());
        let [kernel_rows, kernel_columns] = geometry.kernel;
        let (line, ring) = self.ring.split_at_mut(Ring::line(geometry));
        let mut ring = Ring::new(ring, geometry, f32::NEG_INFINITY);
        for (plane, out) in self.x.chunks_exact(geometry.plane()).zip(self.out.chunks_exact_mut(geometry.windows())) {
            let mut next = 0;
            for (row, out) in out.chunks_exact_mut(geometry.columns).enumerate() {
                ring.advance::<S>(plane, row, &mut next);
                line.copy_from_slice(ring.line_of(row, 0, kernel_rows));
                for kernel_row in 1..kernel_rows {
                    larger::<S>(line, ring.line_of(row, kernel_row, kernel_rows));
                }
                for (at, out) in out.chunks_mut(lanes).enumerate() {
                    let mut largest = f32::NEG_INFINITY.splat::<S>();
                    for column in 0..kernel_columns {
                        let from = ring.column(column) + at * lanes;
                        largest = largest.max(load::<S>(&line[from..]));
                    }
                    store_some::<S>(out, largest);
                }
            }
        }
    }
}

/// Keeps the larger of each two values; both slices are whole vectors.
#[inline(always)]
fn larger<S: Simd>(kept: &mut [f32], other: &[f32]) {
    for (kept, other) in kept.chunks_exact_mut(S::lanes32()).zip(other.chunks_exact(S::lanes32())) {
        let larger = load::<S>(kept).max(load::<S>(other));
        store::<S>(kept, larger);
    }
}
