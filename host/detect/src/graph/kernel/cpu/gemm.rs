//! Weights times pixels: the inner loop of every dense convolution.
//!
//! Weights are packed once, in blocks of [`ROWS`] output channels. A tile of sums, some channels by
//! some pixels, stays in registers from the first weight to the last, and goes through bias,
//! activation and residual before it is stored.

#![expect(
    clippy::indexing_slicing,
    reason = "the callers' lengths are checked once for all tiles; checks here would be in the inner loop"
)]

use std::array;

use macerator::{Scalar, Simd};

use super::vector::{Activation, Floats, MOST_LANES, load, store};

/// Output channels in a block.
const ROWS: usize = 4;

/// Vectors side by side in the widest tile.
pub(super) const WIDEST: usize = 3;

/// The weights of a dense convolution, `depth` for each output channel.
pub(super) struct Weights {
    /// Block after block, the weights of its channels side by side; zeros where the last block has
    /// no channel.
    packed: Vec<[f32; ROWS]>,
    pub(super) channels: usize,
    pub(super) depth: usize,
}

impl Weights {
    /// `weights` are those of the first channel, then those of the second, and so on.
    pub(super) fn new(channels: usize, depth: usize, weights: &[f32]) -> Self {
        let mut packed = vec![[0.0; ROWS]; channels.div_ceil(ROWS) * depth];
        for (channel, weights) in weights.chunks_exact(depth.max(1)).take(channels).enumerate() {
            for (place, weight) in packed[channel / ROWS * depth..].iter_mut().zip(weights) {
                place[channel % ROWS] = *weight;
            }
        }
        Self { packed, channels, depth }
    }

    /// Of whole blocks, so that the work can be parted: at least `channels` of them.
    pub(super) fn whole_blocks(channels: usize) -> usize {
        channels.next_multiple_of(2 * ROWS)
    }
}

/// What happens to a sum before it is stored.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a> {
    /// One for each channel, or none.
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    /// Added after the activation: as large as the output.
    pub(super) residual: Option<&'a [f32]>,
}

/// What tiles are multiplied with.
#[derive(Clone, Copy)]
pub(super) enum Pixels<'a> {
    /// Tile after tile, for each weight as many numbers as the tile is wide.
    Packed(&'a [f32]),
    /// For each weight a place; a tile's numbers lie as far after it as the tile lies after the
    /// first.
    Spread(&'a [f32], &'a [usize]),
}

/// Where sums go: rows of `columns` sums, `pitch` apart, of which the first `columns` are wanted.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// The first channel of the output.
    pub(super) first: usize,
    /// Numbers in a channel of the output.
    pub(super) plane: usize,
    /// Where the first sum goes.
    pub(super) at: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) pitch: usize,
}

/// Multiplies, tile after tile of `VECTORS` vectors, `tiles` of them from the sum `from` on, with
/// the channels that `out` has room for; `out` and the residual begin at `place.first`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const VECTORS: usize>(
    weights: &Weights,
    pixels: Pixels,
    (from, tiles): (usize, usize),
    finish: Finish,
    place: Place,
    out: &mut [f32],
) {
    let channels = out.len() / place.plane;
    // Two blocks at a time keep as many sums as there are registers, but on x86-64 before AVX-512,
    // which has half of them.
    let pairs = S::lanes32() == 16 || cfg!(target_arch = "aarch64");
    let mut channel = 0;
    while channel < channels {
        // All tiles for some channels before the next, so that few lines of memory are written at a
        // time.
        if pairs && channels - channel > ROWS {
            for tile in 0..tiles {
                Tile::<VECTORS, 2>::new::<S>(weights, pixels, tile, from, place).run::<S>(finish, channel, out);
            }
            channel += 2 * ROWS;
        } else {
            for tile in 0..tiles {
                Tile::<VECTORS, 1>::new::<S>(weights, pixels, tile, from, place).run::<S>(finish, channel, out);
            }
            channel += ROWS;
        }
    }
}

/// Sums of `BLOCKS` blocks of channels, for `VECTORS` vectors of pixels.
struct Tile<'a, const VECTORS: usize, const BLOCKS: usize> {
    weights: &'a Weights,
    pixels: Pixels<'a>,
    /// The first sum.
    from: usize,
    place: Place,
}

impl<'a, const VECTORS: usize, const BLOCKS: usize> Tile<'a, VECTORS, BLOCKS> {
    #[inline(always)]
    fn new<S: Simd>(weights: &'a Weights, pixels: Pixels<'a>, tile: usize, from: usize, place: Place) -> Self {
        let (wide, depth) = (VECTORS * S::lanes32(), weights.depth);
        let pixels = match pixels {
            Pixels::Packed(panel) => Pixels::Packed(&panel[tile * depth * wide..][..depth * wide]),
            Pixels::Spread(numbers, offsets) => Pixels::Spread(&numbers[from + tile * wide..], &offsets[..depth]),
        };
        Self { weights, pixels, from: from + tile * wide, place }
    }

    #[inline(always)]
    fn run<S: Simd>(&self, finish: Finish, channel: usize, out: &mut [f32]) {
        let (workers, depth) = (S::lanes32(), self.weights.depth);
        let first_block = (self.place.first + channel) / ROWS;
        let blocks: [&[[f32; ROWS]]; BLOCKS] =
            array::from_fn(|i| &self.weights.packed[(first_block + i) * depth..][..depth]);
        let sums = match self.pixels {
            Pixels::Packed(panel) => sums_of::<S, VECTORS, BLOCKS>(panel.chunks_exact(VECTORS * workers), blocks),
            Pixels::Spread(numbers, offsets) => {
                let pixels = offsets.iter().map_while(
                    #[inline(always)]
                    |&offset| numbers.get(offset..offset + VECTORS * workers),
                );
                sums_of::<S, VECTORS, BLOCKS>(pixels, blocks)
            }
        };
        let Place { first, plane, at, columns, pitch, .. } = self.place;
        // Where each vector goes, if it goes there as a whole.
        let whole: [Option<usize>; VECTORS] = array::from_fn(|v| {
            let (row, column) = ((self.from + v * workers) / pitch, (self.from + v * workers) % pitch);
            (row < self.place.rows && column + workers <= columns).then_some(at + row * columns + column)
        });
        for (row, sums) in sums.as_flattened().iter().enumerate() {
            let row = channel + row;
            if row * plane >= out.len() {
                return;
            }
            let bias = finish.bias.get(first + row).copied().unwrap_or_default().splat::<S>();
            for (v, (sum, whole)) in sums.iter().zip(whole).enumerate() {
                let sum = finish.activation.of::<S>(*sum + bias);
                if let Some(at) = whole {
                    let at = row * plane + at;
                    let sum = if let Some(residual) = finish.residual { sum + load::<S>(&residual[at..]) } else { sum };
                    store::<S>(&mut out[at..], sum);
                } else {
                    let mut numbers = [0.0; MOST_LANES];
                    store::<S>(&mut numbers, sum);
                    self.scatter(&numbers[..workers], self.from + v * workers, row, finish.residual, out);
                }
            }
        }
    }

    /// Puts sums where they go, and drops those that lie between rows or after the last.
    #[inline(never)]
    fn scatter(&self, sums: &[f32], from: usize, channel: usize, residual: Option<&[f32]>, out: &mut [f32]) {
        let Place { plane, at, rows, columns, pitch, .. } = self.place;
        let mut done = 0;
        while done < sums.len() {
            let (row, column) = ((from + done) / pitch, (from + done) % pitch);
            if row >= rows {
                return;
            }
            let count = columns.saturating_sub(column).min(sums.len() - done);
            let to = channel * plane + at + row * columns + column;
            if count > 0 {
                let (out, sums) = (&mut out[to..to + count], &sums[done..done + count]);
                match residual {
                    None => out.copy_from_slice(sums),
                    Some(residual) => {
                        for ((out, sum), residual) in out.iter_mut().zip(sums).zip(&residual[to..]) {
                            *out = sum + residual;
                        }
                    }
                }
            }
            done += pitch - column;
        }
    }
}

/// The sums over all weights, each of which has its pixels.
#[inline(always)]
fn sums_of<'a, S: Simd, const VECTORS: usize, const BLOCKS: usize>(
    pixels: impl Iterator<Item = &'a [f32]>,
    blocks: [&[[f32; ROWS]]; BLOCKS],
) -> [[[Floats<S>; VECTORS]; ROWS]; BLOCKS] {
    let mut sums = [[[0f32.splat::<S>(); VECTORS]; ROWS]; BLOCKS];
    for (step, pixels) in pixels.enumerate() {
        let mut x = [0f32.splat::<S>(); VECTORS];
        for (x, pixels) in x.iter_mut().zip(pixels.chunks_exact(S::lanes32())) {
            *x = load::<S>(pixels);
        }
        for (sums, block) in sums.iter_mut().zip(blocks) {
            for (sums, weight) in sums.iter_mut().zip(block[step]) {
                let weight = weight.splat::<S>();
                for (sum, x) in sums.iter_mut().zip(x) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
        }
    }
    sums
}
