//! The sigmoid and SiLU on the CPU, in place and in vectors.
//!
//! burn-flex takes a scalar exponential for each number, which was more than half of the time of a YOLOX. This one is
//! written so that the compiler makes vectors of it on any x86-64 or ARM, and works on the tensor's own memory.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::graph::Fault;

/// Numbers per task: 128 kB, so that a task's part stays in a core's cache.
const PART: usize = 32 * 1024;

/// x * sigmoid(x).
pub(super) fn silu<const D: usize>(tensor: Tensor<D>) -> Result<Tensor<D>, Fault> {
    in_place(tensor, |x| *x /= 1.0 + exp(-*x))
}

pub(super) fn sigmoid<const D: usize>(tensor: Tensor<D>) -> Result<Tensor<D>, Fault> {
    in_place(tensor, |x| *x = 1.0 / (1.0 + exp(-*x)))
}

fn in_place<const D: usize>(tensor: Tensor<D>, change: impl Fn(&mut f32) + Sync) -> Result<Tensor<D>, Fault> {
    let device = tensor.device();
    // Not copied, where this is the tensor's last use.
    let mut data: TensorData = tensor.try_into_data().map_err(|e| Fault::new(format!("{e:?}")))?;
    let numbers = data.as_mut_slice::<f32>().map_err(|e| Fault::new(format!("{e:?}")))?;
    numbers.par_chunks_mut(PART).for_each(|part| part.iter_mut().for_each(&change));
    Ok(Tensor::from_data(data, &device))
}

/// e^x within 3e-7 of its value; below -87 it stays at e^-87, above 88 at e^88.
///
/// Cody and Waite (1980): x is n ln 2 + r, so that e^x is 2^n e^r, with |r| <= ln 2 / 2; e^r is its Taylor polynomial.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // ln 2 in two parts, the first with few digits, so that n times it is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5 * 2^23 rounds to a whole number, which then stands in the sum's low bits.
    const ROUND: f32 = 12_582_912.0;

    // Not `clamp`, which keeps the compiler from making vectors; NaN stays NaN through r.
    let bounded = if x < -87.0 { -87.0 } else { x };
    let bounded = if bounded > 88.0 { 88.0 } else { bounded };
    let shifted = bounded * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (bounded - n * LN2_HIGH) - n * LN2_LOW;
    let polynomial = 1.0 + r * (1.0 + r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0))))));
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    polynomial * power
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exponentials_at_the_edges() {
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) > 0.0 && exp(f32::NEG_INFINITY) < 1e-37);
        assert!(exp(f32::INFINITY).is_finite() && exp(f32::INFINITY) > 1e38);
    }

    #[test]
    fn tensors_keep_their_shape() {
        let tensor = Tensor::<2>::from_data(TensorData::new(vec![-1e9f32, -1.0, 0.0, 1.0, 1e9, 20.0], [2, 3]), &Device::flex());
        let values = silu(tensor.clone()).unwrap();
        assert_eq!(values.dims(), [2, 3]);
        let values = values.into_data().try_into_vec::<f32>().unwrap();
        let wanted = [0.0, -0.268_941_42, 0.0, 0.731_058_6, 1e9, 20.0];
        assert!(values.iter().zip(wanted).all(|(have, want)| (have - want).abs() <= 1e-6 * want.abs().max(1.0)), "{values:?}");
        // The first is still what it was: it was not the last use.
        assert_eq!(tensor.into_data().try_into_vec::<f32>().unwrap()[1], -1.0);
    }

    proptest! {
        #[test]
        fn exponentials_are_close(x in -87f32..88.0) {
            let want = f64::from(x).exp();
            prop_assert!((f64::from(exp(x)) - want).abs() <= 3e-7 * want, "{x}: {} {want}", exp(x));
        }
    }
}
