//! SIMD vectors of floats, as wide as the machine has them, and activations on them.
//!
//! The program is compiled for the baseline of each architecture; macerator selects the instruction
//! set at run time. A kernel is a `WithSimd`, and only code that is inlined into it is compiled for
//! the selected instruction set: no closures, `#[inline(always)]` throughout.

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

pub(super) type Floats<S> = Vector<S, f32>;

/// Runs a kernel with the widest vectors of the machine.
pub(super) fn run<Kernel: WithSimd>(kernel: Kernel) -> Kernel::Output {
    #[cfg(test)]
    if let Some(arch) = tests::NARROWER.get() {
        return tests::run_on(arch, kernel);
    }
    AutoArch::new().dispatch(kernel)
}

/// The most lanes that a vector has on any machine.
pub(super) const MAX_LANES: usize = 16;

/// Loads the first values of `from`, which has at least as many as a vector.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "callers' slices are long enough; the length is known when compiled")]
pub(super) fn load<S: Simd>(from: &[f32]) -> Floats<S> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&from[..S::lanes32()]))
}

/// Stores a vector in the first values of `to`, which has at least as many.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "callers' slices are long enough; the length is known when compiled")]
pub(super) fn store<S: Simd>(to: &mut [f32], vector: Floats<S>) {
    to[..S::lanes32()].copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&vector)));
}

/// Loads as many lanes as `from` has; zeros in the others.
#[inline(always)]
pub(super) fn load_some<S: Simd>(from: &[f32]) -> Floats<S> {
    if from.len() >= S::lanes32() {
        return load::<S>(from);
    }
    let mut lanes = [0.0; MAX_LANES];
    for (lane, value) in lanes.iter_mut().zip(from) {
        *lane = *value;
    }
    load::<S>(&lanes)
}

/// Stores as many lanes as `to` takes.
#[inline(always)]
pub(super) fn store_some<S: Simd>(to: &mut [f32], vector: Floats<S>) {
    if to.len() >= S::lanes32() {
        return store::<S>(to, vector);
    }
    let mut lanes = [0.0; MAX_LANES];
    store::<S>(&mut lanes, vector);
    for (value, lane) in to.iter_mut().zip(lanes) {
        *value = lane;
    }
}

/// Activation function of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Relu,
    Sigmoid,
    /// x * sigmoid(x).
    Silu,
}

impl Activation {
    #[inline(always)]
    pub(super) fn of<S: Simd>(self, x: Floats<S>) -> Floats<S> {
        match self {
            Self::None => x,
            // The second operand is returned where one is NaN.
            Self::Relu => 0f32.splat::<S>().max(x),
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x),
        }
    }
}

#[inline(always)]
fn sigmoid<S: Simd>(x: Floats<S>) -> Floats<S> {
    let one = 1f32.splat::<S>();
    (one + exp(0f32.splat::<S>() - x)).recip()
}

/// e^x with a relative error below 3e-7; below -87 it stays at e^-87, above 87 at e^87.
///
/// Cody and Waite (1980): x is n ln 2 + r, so that e^x is 2^n e^r, with |r| <= ln 2 / 2; e^r is its
/// Taylor polynomial.
#[inline(always)]
fn exp<S: Simd>(x: Floats<S>) -> Floats<S> {
    // ln 2 in two parts, the first with few digits, so that its product with n is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 * 2^23 rounds to an integer, which the low bits of the sum hold.
    const ROUND: f32 = 12_582_912.0;

    let bounded = 87f32.splat::<S>().min((-87f32).splat::<S>().max(x));
    let shifted = bounded.mul_add(std::f32::consts::LOG2_E.splat(), ROUND.splat());
    let n = shifted - ROUND.splat();
    let r = n.mul_add((-LN2_LOW).splat(), n.mul_add((-LN2_HIGH).splat(), bounded));
    let mut polynomial = (1.0f32 / 720.0).splat::<S>();
    for factor in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 1.0 / 2.0, 1.0, 1.0f32] {
        polynomial = polynomial.mul_add(r, factor.splat());
    }
    let power = (shifted.reinterpret::<i32>() + 127i32.splat()) << 23;
    polynomial * power.reinterpret()
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use macerator::Arch;

    use super::*;

    thread_local! {
        /// Instruction set that kernels on this thread use in place of the best available.
        pub(in super::super) static NARROWER: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    /// Instruction sets of older machines that this one has, too; `None` is the best available.
    pub(in super::super) fn older() -> Vec<Option<Arch>> {
        let mut older = vec![None, Some(Arch::Scalar)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("sse4.2") && is_x86_feature_detected!("popcnt") {
                older.push(Some(Arch::V2));
                if is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("f16c")
                    && is_x86_feature_detected!("lzcnt")
                    && is_x86_feature_detected!("movbe")
                {
                    older.push(Some(Arch::V3));
                }
            }
        }
        older
    }

    #[allow(unsafe_code, reason = "macerator's safe call selects the best available")]
    pub(super) fn run_on<Kernel: WithSimd>(arch: Arch, kernel: Kernel) -> Kernel::Output {
        // SAFETY: `older` checked that this machine has the instruction set.
        unsafe { arch.dispatch(kernel) }
    }
}
