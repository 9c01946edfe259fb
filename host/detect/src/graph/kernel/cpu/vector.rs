//! Vectors of floats, as wide as the machine has them, and what activations make of them.
//!
//! The program is built for the oldest machine of its kind; macerator chooses at run time. A kernel
//! is a `WithSimd` whose parts are all inlined into it, since only what is inlined is compiled for
//! the chosen machine: no closures, `#[inline(always)]` throughout.

use macerator::{AutoArch, Scalar, Simd, Vector, WithSimd};

pub(super) type Floats<S> = Vector<S, f32>;

/// Runs a kernel with the widest vectors that the machine has.
pub(super) fn run<Kernel: WithSimd>(kernel: Kernel) -> Kernel::Output {
    #[cfg(test)]
    if let Some(arch) = tests::NARROWER.get() {
        return tests::run_on(arch, kernel);
    }
    AutoArch::new().dispatch(kernel)
}

/// The most workers that any machine has.
pub(super) const MOST_LANES: usize = 16;

/// The first workers of `from`, which has as many at least.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "callers' slices are long enough; the length is known when compiled")]
pub(super) fn load<S: Simd>(from: &[f32]) -> Floats<S> {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(&from[..S::lanes32()]))
}

#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "callers' slices are long enough; the length is known when compiled")]
pub(super) fn store<S: Simd>(to: &mut [f32], vector: Floats<S>) {
    to[..S::lanes32()].copy_from_slice(bytemuck::cast_slice(std::slice::from_ref(&vector)));
}

/// As many workers as `from` has; zeros in the others.
#[inline(always)]
pub(super) fn load_some<S: Simd>(from: &[f32]) -> Floats<S> {
    if from.len() >= S::lanes32() {
        return load::<S>(from);
    }
    let mut workers = [0.0; MOST_LANES];
    for (worker, number) in workers.iter_mut().zip(from) {
        *worker = *number;
    }
    load::<S>(&workers)
}

/// As many workers as `to` takes.
#[inline(always)]
pub(super) fn store_some<S: Simd>(to: &mut [f32], vector: Floats<S>) {
    if to.len() >= S::lanes32() {
        return store::<S>(to, vector);
    }
    let mut workers = [0.0; MOST_LANES];
    store::<S>(&mut workers, vector);
    for (number, worker) in to.iter_mut().zip(workers) {
        *number = worker;
    }
}

/// What a convolution's sum goes through before it is stored.
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
            // NaN is the second operand, which is what comes back.
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

/// e^x within 3e-7 of its value; below -87 it stays at e^-87, above 87 at e^87.
///
/// Cody and Waite (1980): x is n ln 2 + r, so that e^x is 2^n e^r, with |r| <= ln 2 / 2; e^r is its
/// Taylor polynomial.
#[inline(always)]
fn exp<S: Simd>(x: Floats<S>) -> Floats<S> {
    // ln 2 in two parts, the first with few digits, so that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to a whole number, which then stands in the sum's
    // low bits.
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
        /// What kernels on this thread run on in place of the best that there is.
        pub(in super::super) static NARROWER: Cell<Option<Arch>> = const { Cell::new(None) };
    }

    /// What older machines have and this one has, too.
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

    #[allow(unsafe_code, reason = "macerator's safe call takes the best there is")]
    pub(super) fn run_on<Kernel: WithSimd>(arch: Arch, kernel: Kernel) -> Kernel::Output {
        // SAFETY: `older` looked for what the arch needs on this machine.
        unsafe { arch.dispatch(kernel) }
    }
}
