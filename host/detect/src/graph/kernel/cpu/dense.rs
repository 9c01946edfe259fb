//! Dense convolutions: each output channel sums over all input channels.
//!
//! For a window of one pixel, some pixels of all channels at a time are copied into a panel that
//! stays in the core's cache. For any other window, some lines at a time are copied with their
//! padding and split into phases by stride, so that the pixel of a weight is at the same offset
//! from the first pixel of every window; sums between the end of a line and the next are computed
//! and dropped. Nothing is unfolded (im2col).

#![expect(
    clippy::indexing_slicing,
    reason = "callers check the picture's length against its geometry; checks here would be in the inner loop"
)]

use macerator::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    gemm::{self, Destination, Epilogue, MAX_VECTORS, Pixels, Weights},
    geometry::Geometry,
    lines::{copy, copy_phase},
    vector::{MAX_LANES, run},
};
use crate::graph::buffers::Buffers;

/// Convolves one picture; `x` and `out` are its planes, one for each channel.
pub(super) fn convolve(
    x: &[f32],
    geometry: &Geometry,
    weights: &Weights,
    epilogue: Epilogue,
    buffers: &Buffers,
    out: &mut [f32],
) {
    let windows = geometry.windows();
    let threads = rayon::current_num_threads();
    let channels =
        if threads == 1 { weights.channels } else { Weights::whole_blocks(weights.channels.div_ceil(threads)) };
    let layout = if geometry.pointwise() {
        Layout::Panel(panel_tiles(weights.depth))
    } else {
        Layout::Lines(Lines::new(geometry, x.len()))
    };
    let part = |index: usize, out: &mut [f32]| {
        let mut memory = buffers.take(layout.values(weights.depth));
        let epilogue = Epilogue {
            residual: epilogue.residual.map(|residual| &residual[index * channels * windows..][..out.len()]),
            ..epilogue
        };
        let first = index * channels;
        run(Part { x, geometry, layout: &layout, weights, epilogue, first, memory: &mut memory, out });
        buffers.give(memory);
    };
    if channels >= weights.channels {
        part(0, out);
    } else {
        out.par_chunks_mut(channels * windows).enumerate().for_each(|(index, out)| part(index, out));
    }
}

/// How pixels are laid out for the product.
enum Layout {
    /// This many tiles at a time.
    Panel(usize),
    Lines(Lines),
}

impl Layout {
    /// Values that it holds; `depth` is the number of weights for each output channel.
    fn values(&self, depth: usize) -> usize {
        match self {
            Self::Panel(tiles) => tiles * depth * MAX_VECTORS * MAX_LANES,
            Self::Lines(lines) => lines.channel * lines.channels + MAX_VECTORS * MAX_LANES,
        }
    }
}

/// Tiles in a panel: as many as stay in a core's L1 cache.
fn panel_tiles(depth: usize) -> usize {
    const VALUES: usize = 8 * 1024;
    (VALUES / (depth * MAX_VECTORS * MAX_LANES)).clamp(1, 16)
}

/// Some rows of windows at a time, and the lines that they read.
struct Lines {
    channels: usize,
    /// Phases of lines and of columns; those of a phase are multiples of the stride apart.
    phases: [usize; 2],
    /// Rows of windows at a time.
    rows: usize,
    /// Values in a line of a phase.
    pitch: usize,
    /// Values in a phase.
    phase: usize,
    /// Values in a channel.
    channel: usize,
    /// By weight, the offset of its pixel for the first window.
    offsets: Vec<usize>,
}

impl Lines {
    /// `values` is the length of the picture.
    fn new(geometry: &Geometry, values: usize) -> Self {
        /// As many as stay in a core's L2 cache.
        const VALUES: usize = 64 * 1024;
        let Geometry { kernel, stride, columns, .. } = *geometry;
        let channels = values / geometry.plane();
        let phases = [kernel[0].min(stride[0]), kernel[1].min(stride[1])];
        let pitch = columns + (kernel[1] - 1) / stride[1];
        let more = (kernel[0] - 1) / stride[0];
        let fitting = VALUES / (channels * phases[0] * phases[1] * pitch).max(1);
        let rows = fitting.saturating_sub(more).clamp(1, geometry.rows);
        let phase = (rows + more) * pitch;
        let channel = phase * phases[0] * phases[1];
        let mut offsets = Vec::with_capacity(channels * kernel[0] * kernel[1]);
        for first in (0..channels).map(|index| index * channel) {
            for row in 0..kernel[0] {
                for column in 0..kernel[1] {
                    let in_phase = row / stride[0] * pitch + column / stride[1];
                    offsets.push(first + (row % stride[0] * phases[1] + column % stride[1]) * phase + in_phase);
                }
            }
        }
        Self { channels, phases, rows, pitch, phase, channel, offsets }
    }

    /// Copies the lines that are read by the rows of windows from `first` on.
    #[inline(always)]
    fn copy_lines<S: Simd>(&self, x: &[f32], geometry: &Geometry, first: usize, memory: &mut [f32]) {
        let Geometry { height, width, stride, before, .. } = *geometry;
        for (plane, channel) in x.chunks_exact(geometry.plane()).zip(memory.chunks_exact_mut(self.channel)) {
            for (index, phase) in channel.chunks_exact_mut(self.phase).enumerate() {
                let (down, right) = (index / self.phases[1], index % self.phases[1]);
                for (row, line) in phase.chunks_exact_mut(self.pitch).enumerate() {
                    let y = ((first + row) * stride[0] + down).checked_sub(before[0]);
                    let from = y.filter(|&y| y < height).map(|y| &plane[y * width..][..width]).unwrap_or_default();
                    copy_phase::<S>(from, stride[1], right, before[1], 0.0, line);
                }
            }
        }
    }
}

/// A thread's part of the output: some channels of one picture.
struct Part<'a> {
    x: &'a [f32],
    geometry: &'a Geometry,
    layout: &'a Layout,
    weights: &'a Weights,
    epilogue: Epilogue<'a>,
    /// The first channel of `out`.
    first: usize,
    memory: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self) {
        match self.layout {
            Layout::Panel(tiles) => self.in_panels::<S>(*tiles),
            Layout::Lines(lines) => self.in_lines::<S>(lines),
        }
    }
}

impl Part<'_> {
    #[inline(always)]
    fn in_panels<S: Simd>(&mut self, tiles: usize) {
        let windows = self.geometry.windows();
        let destination =
            Destination { first: self.first, plane: windows, at: 0, rows: 1, columns: windows, pitch: windows };
        let mut from = 0;
        while from < windows {
            from += match vectors_for::<S>(windows - from) {
                1 => self.panel::<S, 1>(destination, from, 1),
                2 => self.panel::<S, 2>(destination, from, 1),
                _ => self.panel::<S, MAX_VECTORS>(destination, from, tiles),
            };
        }
    }

    /// Computes the windows from `from` on in at most `most` tiles; returns how many windows fit
    /// those.
    #[inline(always)]
    fn panel<S: Simd, const VECTORS: usize>(&mut self, destination: Destination, from: usize, most: usize) -> usize {
        let (width, depth) = (VECTORS * S::lanes32(), self.weights.depth);
        // Windows that do not fill a tile follow in a narrower one.
        let tiles = ((destination.columns - from) / width).clamp(1, most);
        for (tile, panel) in self.memory.chunks_exact_mut(depth * width).take(tiles).enumerate() {
            let (first, end) = (from + tile * width, destination.columns.min(from + (tile + 1) * width));
            for (plane, row) in self.x.chunks_exact(destination.plane).zip(panel.chunks_exact_mut(width)) {
                copy::<S>(&plane[first..end], row);
            }
        }
        gemm::multiply::<S, VECTORS>(
            self.weights,
            Pixels::Packed(self.memory),
            (from, tiles),
            self.epilogue,
            destination,
            self.out,
        );
        tiles * width
    }

    #[inline(always)]
    fn in_lines<S: Simd>(&mut self, lines: &Lines) {
        let (geometry, pitch) = (self.geometry, lines.pitch);
        let mut first = 0;
        while first < geometry.rows {
            lines.copy_lines::<S>(self.x, geometry, first, self.memory);
            let rows = lines.rows.min(geometry.rows - first);
            let (plane, columns) = (geometry.windows(), geometry.columns);
            let destination = Destination { first: self.first, plane, at: first * columns, rows, columns, pitch };
            let pixels = Pixels::Indexed(self.memory, &lines.offsets);
            let sums = (rows - 1) * pitch + columns;
            let mut from = 0;
            while from < sums {
                let vectors = vectors_for::<S>(sums - from);
                let tile = (from, 1);
                match vectors {
                    1 => gemm::multiply::<S, 1>(self.weights, pixels, tile, self.epilogue, destination, self.out),
                    2 => gemm::multiply::<S, 2>(self.weights, pixels, tile, self.epilogue, destination, self.out),
                    _ => gemm::multiply::<S, MAX_VECTORS>(
                        self.weights,
                        pixels,
                        tile,
                        self.epilogue,
                        destination,
                        self.out,
                    ),
                }
                from += vectors * S::lanes32();
            }
            first += rows;
        }
    }
}

/// Vectors of the next tile, where `left` windows remain.
#[inline(always)]
fn vectors_for<S: Simd>(left: usize) -> usize {
    left.div_ceil(S::lanes32()).min(MAX_VECTORS)
}
