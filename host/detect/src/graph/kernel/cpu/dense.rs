//! Convolutions that take all channels.
//!
//! For a window of one pixel, some pixels of all channels at a time are laid side by side in a
//! panel that stays in the core's cache. For any other, some lines at a time are laid out with
//! their padding, each stride's pixels together, so that a window's weight always finds its pixels
//! as far from the window's first as for any other window; what lies between two lines is computed
//! and dropped.

#![expect(
    clippy::indexing_slicing,
    reason = "the picture's length is checked against its geometry before; checks here would be in the inner loop"
)]

use macerator::{Simd, WithSimd};
use rayon::prelude::*;

use super::{
    gemm::{self, Finish, Pixels, Place, WIDEST, Weights},
    geometry::Geometry,
    rows::{copy, lay},
    vector::{MOST_LANES, run},
};
use crate::graph::buffers::Buffers;

/// One picture's channels in, one picture's channels out.
pub(super) fn convolve(
    x: &[f32],
    geometry: &Geometry,
    weights: &Weights,
    finish: Finish,
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
        let mut memory = buffers.take(layout.numbers(weights.depth));
        let finish = Finish {
            residual: finish.residual.map(|residual| &residual[index * channels * windows..][..out.len()]),
            ..finish
        };
        let first = index * channels;
        run(Part { x, geometry, layout: &layout, weights, finish, first, memory: &mut memory, out });
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
    /// As many tiles at a time.
    Panel(usize),
    Lines(Lines),
}

impl Layout {
    /// Numbers that it takes; `depth` weights for each output channel.
    fn numbers(&self, depth: usize) -> usize {
        match self {
            Self::Panel(tiles) => tiles * depth * WIDEST * MOST_LANES,
            Self::Lines(lines) => lines.channel * lines.channels + WIDEST * MOST_LANES,
        }
    }
}

/// Tiles in a panel: as many as stay in a core's nearest cache.
fn panel_tiles(depth: usize) -> usize {
    const NUMBERS: usize = 8 * 1024;
    (NUMBERS / (depth * WIDEST * MOST_LANES)).clamp(1, 16)
}

/// Some rows of windows at a time, and the lines under them.
struct Lines {
    channels: usize,
    /// Phases of rows and of columns: what is a multiple of the stride apart belongs to one.
    phases: [usize; 2],
    /// Rows of windows at a time.
    rows: usize,
    /// Numbers in a line, a phase and a channel.
    pitch: usize,
    phase: usize,
    channel: usize,
    /// By weight, where its pixel for the first window lies.
    offsets: Vec<usize>,
}

impl Lines {
    /// `numbers` of the picture.
    fn new(geometry: &Geometry, numbers: usize) -> Self {
        /// What stays in a core's second cache.
        const NUMBERS: usize = 64 * 1024;
        let Geometry { kernel, stride, columns, .. } = *geometry;
        let channels = numbers / geometry.plane();
        let phases = [kernel[0].min(stride[0]), kernel[1].min(stride[1])];
        let pitch = columns + (kernel[1] - 1) / stride[1];
        let more = (kernel[0] - 1) / stride[0];
        let fitting = NUMBERS / (channels * phases[0] * phases[1] * pitch).max(1);
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

    /// Lays out the lines that the rows of windows from `first` on read.
    #[inline(always)]
    fn lay<S: Simd>(&self, x: &[f32], geometry: &Geometry, first: usize, memory: &mut [f32]) {
        let Geometry { height, width, stride, before, .. } = *geometry;
        for (plane, channel) in x.chunks_exact(geometry.plane()).zip(memory.chunks_exact_mut(self.channel)) {
            for (index, phase) in channel.chunks_exact_mut(self.phase).enumerate() {
                let (down, right) = (index / self.phases[1], index % self.phases[1]);
                for (row, line) in phase.chunks_exact_mut(self.pitch).enumerate() {
                    let y = ((first + row) * stride[0] + down).checked_sub(before[0]);
                    let from = y.filter(|&y| y < height).map(|y| &plane[y * width..][..width]).unwrap_or_default();
                    lay::<S>(from, stride[1], right, before[1], 0.0, line);
                }
            }
        }
    }
}

/// Some channels of one picture.
struct Part<'a> {
    x: &'a [f32],
    geometry: &'a Geometry,
    layout: &'a Layout,
    weights: &'a Weights,
    finish: Finish<'a>,
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
        let place = Place { first: self.first, plane: windows, at: 0, rows: 1, columns: windows, pitch: windows };
        let mut from = 0;
        while from < windows {
            from += match vectors_for::<S>(windows - from) {
                1 => self.panel::<S, 1>(place, from, 1),
                2 => self.panel::<S, 2>(place, from, 1),
                _ => self.panel::<S, WIDEST>(place, from, tiles),
            };
        }
    }

    /// The windows from `from` on, in at most `most` tiles; how many they have room for.
    #[inline(always)]
    fn panel<S: Simd, const VECTORS: usize>(&mut self, place: Place, from: usize, most: usize) -> usize {
        let (wide, depth) = (VECTORS * S::lanes32(), self.weights.depth);
        // What does not fill a tile follows in a narrower one.
        let tiles = ((place.columns - from) / wide).clamp(1, most);
        for (tile, panel) in self.memory.chunks_exact_mut(depth * wide).take(tiles).enumerate() {
            let (first, end) = (from + tile * wide, place.columns.min(from + (tile + 1) * wide));
            for (plane, row) in self.x.chunks_exact(place.plane).zip(panel.chunks_exact_mut(wide)) {
                copy::<S>(&plane[first..end], row);
            }
        }
        gemm::multiply::<S, VECTORS>(
            self.weights,
            Pixels::Packed(self.memory),
            (from, tiles),
            self.finish,
            place,
            self.out,
        );
        tiles * wide
    }

    #[inline(always)]
    fn in_lines<S: Simd>(&mut self, lines: &Lines) {
        let (geometry, pitch) = (self.geometry, lines.pitch);
        let mut first = 0;
        while first < geometry.rows {
            lines.lay::<S>(self.x, geometry, first, self.memory);
            let rows = lines.rows.min(geometry.rows - first);
            let (plane, columns) = (geometry.windows(), geometry.columns);
            let place = Place { first: self.first, plane, at: first * columns, rows, columns, pitch };
            let pixels = Pixels::Spread(self.memory, &lines.offsets);
            let sums = (rows - 1) * pitch + columns;
            let mut from = 0;
            while from < sums {
                let vectors = vectors_for::<S>(sums - from);
                let tile = (from, 1);
                match vectors {
                    1 => gemm::multiply::<S, 1>(self.weights, pixels, tile, self.finish, place, self.out),
                    2 => gemm::multiply::<S, 2>(self.weights, pixels, tile, self.finish, place, self.out),
                    _ => gemm::multiply::<S, WIDEST>(self.weights, pixels, tile, self.finish, place, self.out),
                }
                from += vectors * S::lanes32();
            }
            first += rows;
        }
    }
}

/// Vectors of the tile that comes next, with so many pixels left.
#[inline(always)]
fn vectors_for<S: Simd>(left: usize) -> usize {
    left.div_ceil(S::lanes32()).min(WIDEST)
}
