//! Register-tiled matrix product, weights times pixels: the inner loop of every dense convolution.
//!
//! Weights are packed once, in blocks of [`BLOCK_CHANNELS`] output channels. A tile of sums, some
//! channels by some pixels, stays in registers from the first weight to the last, and goes through
//! the epilogue (bias, activation, residual) before it is stored.

#![expect(
    clippy::indexing_slicing,
    reason = "callers check the lengths once for all tiles; checks here would be in the inner loop"
)]

use std::array;

use macerator::{Scalar, Simd};

use super::vector::{Activation, Floats, MAX_LANES, load, store};

/// Output channels in a block of packed weights.
const BLOCK_CHANNELS: usize = 4;

/// Vectors of pixels in the widest tile.
pub(super) const MAX_VECTORS: usize = 3;

/// Packed weights of a dense convolution, `depth` for each output channel.
pub(super) struct Weights {
    /// Block after block; within a block, weight after weight, each for all channels of the block.
    /// Zeros where the last block has fewer channels.
    packed: Vec<[f32; BLOCK_CHANNELS]>,
    pub(super) channels: usize,
    pub(super) depth: usize,
}

impl Weights {
    /// Packs `weights`, which are in the order output channel, weight.
    pub(super) fn new(channels: usize, depth: usize, weights: &[f32]) -> Self {
        let mut packed = vec![[0.0; BLOCK_CHANNELS]; channels.div_ceil(BLOCK_CHANNELS) * depth];
        for (channel, weights) in weights.chunks_exact(depth.max(1)).take(channels).enumerate() {
            for (packed, weight) in packed[channel / BLOCK_CHANNELS * depth..].iter_mut().zip(weights) {
                packed[channel % BLOCK_CHANNELS] = *weight;
            }
        }
        Self { packed, channels, depth }
    }

    /// The least number of channels, at least `channels`, that fills pairs of blocks: threads share
    /// the channels in parts of this size.
    pub(super) fn whole_blocks(channels: usize) -> usize {
        channels.next_multiple_of(2 * BLOCK_CHANNELS)
    }
}

/// Operations on a sum before it is stored.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    /// One value for each channel, or empty.
    pub(super) bias: &'a [f32],
    pub(super) activation: Activation,
    /// Added after the activation; as long as the output.
    pub(super) residual: Option<&'a [f32]>,
}

/// The right-hand operand of the product.
#[derive(Clone, Copy)]
pub(super) enum Pixels<'a> {
    /// Tile after tile; within a tile, for each weight the pixels of the tile.
    Packed(&'a [f32]),
    /// Pixels, and for each weight the offset of the pixel that it takes for the first sum; those
    /// of the next sums follow.
    Indexed(&'a [f32], &'a [usize]),
}

/// Where sums are stored. They are computed in rows that are `pitch` apart, of which the first
/// `columns` are stored and the rest dropped.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    /// The first channel of the output.
    pub(super) first: usize,
    /// Values in a channel of the output.
    pub(super) plane: usize,
    /// Index in the channel at which the first sum is stored.
    pub(super) at: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) pitch: usize,
}

/// Computes `tiles` tiles of `VECTORS` vectors each, from the sum `from` on, for as many channels
/// as fit `out`; `out` and the residual begin at `destination.first`.
#[inline(always)]
pub(super) fn multiply<S: Simd, const VECTORS: usize>(
    weights: &Weights,
    pixels: Pixels,
    (from, tiles): (usize, usize),
    epilogue: Epilogue,
    destination: Destination,
    out: &mut [f32],
) {
    let channels = out.len() / destination.plane;
    // AVX-512 and AArch64 have 32 vector registers, which hold the sums of two blocks; older x86-64
    // has 16.
    let pairs = S::lanes32() == 16 || cfg!(target_arch = "aarch64");
    let mut channel = 0;
    while channel < channels {
        // All tiles of some channels before the next channels, so that few cache lines are written
        // at a time.
        if pairs && channels - channel > BLOCK_CHANNELS {
            for tile in 0..tiles {
                Tile::<VECTORS, 2>::new::<S>(weights, pixels, tile, from, destination).run::<S>(epilogue, channel, out);
            }
            channel += 2 * BLOCK_CHANNELS;
        } else {
            for tile in 0..tiles {
                Tile::<VECTORS, 1>::new::<S>(weights, pixels, tile, from, destination).run::<S>(epilogue, channel, out);
            }
            channel += BLOCK_CHANNELS;
        }
    }
}

/// Sums of `BLOCKS` blocks of channels, for `VECTORS` vectors of pixels.
struct Tile<'a, const VECTORS: usize, const BLOCKS: usize> {
    weights: &'a Weights,
    pixels: Pixels<'a>,
    /// The first sum.
    from: usize,
    destination: Destination,
}

impl<'a, const VECTORS: usize, const BLOCKS: usize> Tile<'a, VECTORS, BLOCKS> {
    #[inline(always)]
    fn new<S: Simd>(
        weights: &'a Weights,
        pixels: Pixels<'a>,
        tile: usize,
        from: usize,
        destination: Destination,
    ) -> Self {
        let (width, depth) = (VECTORS * S::lanes32(), weights.depth);
        let pixels = match pixels {
            Pixels::Packed(panel) => Pixels::Packed(&panel[tile * depth * width..][..depth * width]),
            Pixels::Indexed(pixels, offsets) => Pixels::Indexed(&pixels[from + tile * width..], &offsets[..depth]),
        };
        Self { weights, pixels, from: from + tile * width, destination }
    }

    #[inline(always)]
    fn run<S: Simd>(&self, epilogue: Epilogue, channel: usize, out: &mut [f32]) {
        let (lanes, depth) = (S::lanes32(), self.weights.depth);
        let first_block = (self.destination.first + channel) / BLOCK_CHANNELS;
        let blocks: [&[[f32; BLOCK_CHANNELS]]; BLOCKS] =
            array::from_fn(|i| &self.weights.packed[(first_block + i) * depth..][..depth]);
        let sums = match self.pixels {
            Pixels::Packed(panel) => sums_of::<S, VECTORS, BLOCKS>(panel.chunks_exact(VECTORS * lanes), blocks),
            Pixels::Indexed(values, offsets) => {
                let pixels = offsets.iter().map_while(
                    #[inline(always)]
                    |&offset| values.get(offset..offset + VECTORS * lanes),
                );
                sums_of::<S, VECTORS, BLOCKS>(pixels, blocks)
            }
        };
        let Destination { first, plane, at, columns, pitch, .. } = self.destination;
        // Index at which each vector is stored, if all of it is.
        let whole: [Option<usize>; VECTORS] = array::from_fn(|v| {
            let (row, column) = ((self.from + v * lanes) / pitch, (self.from + v * lanes) % pitch);
            (row < self.destination.rows && column + lanes <= columns).then_some(at + row * columns + column)
        });
        for (row, sums) in sums.as_flattened().iter().enumerate() {
            let row = channel + row;
            if row * plane >= out.len() {
                return;
            }
            let bias = epilogue.bias.get(first + row).copied().unwrap_or_default().splat::<S>();
            for (v, (sum, whole)) in sums.iter().zip(whole).enumerate() {
                let sum = epilogue.activation.of::<S>(*sum + bias);
                if let Some(at) = whole {
                    let at = row * plane + at;
                    let sum =
                        if let Some(residual) = epilogue.residual { sum + load::<S>(&residual[at..]) } else { sum };
                    store::<S>(&mut out[at..], sum);
                } else {
                    let mut sums = [0.0; MAX_LANES];
                    store::<S>(&mut sums, sum);
                    self.scatter(&sums[..lanes], self.from + v * lanes, row, epilogue.residual, out);
                }
            }
        }
    }

    /// Stores the sums of a vector that are in rows, and drops those between rows or after the
    /// last.
    #[inline(never)]
    fn scatter(&self, sums: &[f32], from: usize, channel: usize, residual: Option<&[f32]>, out: &mut [f32]) {
        let Destination { plane, at, rows, columns, pitch, .. } = self.destination;
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

/// Sums over all weights; `pixels` yields those of each weight.
#[inline(always)]
fn sums_of<'a, S: Simd, const VECTORS: usize, const BLOCKS: usize>(
    pixels: impl Iterator<Item = &'a [f32]>,
    blocks: [&[[f32; BLOCK_CHANNELS]]; BLOCKS],
) -> [[[Floats<S>; VECTORS]; BLOCK_CHANNELS]; BLOCKS] {
    let mut sums = [[[0f32.splat::<S>(); VECTORS]; BLOCK_CHANNELS]; BLOCKS];
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
