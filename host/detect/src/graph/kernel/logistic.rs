//! Sigmoid and SiLU on the CPU, in place and with SIMD, where they do not follow a convolution.

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::cpu::{self, Activation};
use crate::graph::error::OperatorError;

/// Values in a task: 128 kB, so that they stay in a core's cache.
const PART: usize = 32 * 1024;

/// x * sigmoid(x).
pub(super) fn silu<const D: usize>(tensor: Tensor<D>) -> Result<Tensor<D>, OperatorError> {
    in_place(tensor, Activation::Silu)
}

pub(super) fn sigmoid<const D: usize>(tensor: Tensor<D>) -> Result<Tensor<D>, OperatorError> {
    in_place(tensor, Activation::Sigmoid)
}

fn in_place<const D: usize>(tensor: Tensor<D>, activation: Activation) -> Result<Tensor<D>, OperatorError> {
    let device = tensor.device();
    // Copies only where the tensor is used again later.
    let mut data: TensorData = tensor.try_into_data().map_err(|e| OperatorError::new(format!("{e:?}")))?;
    let numbers = data.as_mut_slice::<f32>().map_err(|e| OperatorError::new(format!("{e:?}")))?;
    numbers.par_chunks_mut(PART).for_each(|part| cpu::activate(activation, part));
    Ok(Tensor::from_data(data, &device))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use proptest::prelude::*;

    use super::*;

    fn of(activation: Activation, x: f32) -> f32 {
        let mut numbers = [x];
        cpu::activate(activation, &mut numbers);
        numbers[0]
    }

    #[test]
    fn sigmoids_at_the_edges() {
        let sigmoid = |x| of(Activation::Sigmoid, x);
        assert_eq!(sigmoid(0.0), 0.5);
        assert!(sigmoid(f32::NAN).is_nan());
        assert!((0.0..1e-37).contains(&sigmoid(f32::NEG_INFINITY)));
        assert_eq!(sigmoid(f32::INFINITY), 1.0);
        assert!(of(Activation::Relu, f32::NAN).is_nan() && of(Activation::Relu, -1.0) == 0.0);
    }

    #[test]
    fn tensors_keep_their_shape() {
        let tensor =
            Tensor::<2>::from_data(TensorData::new(vec![-1e9f32, -1.0, 0.0, 1.0, 1e9, 20.0], [2, 3]), &Device::flex());
        let values = silu(tensor.clone()).unwrap();
        assert_eq!(values.dims(), [2, 3]);
        let values = values.into_data().try_into_vec::<f32>().unwrap();
        let wanted = [0.0, -0.268_941_42, 0.0, 0.731_058_6, 1e9, 20.0];
        assert!(
            values.iter().zip(wanted).all(|(have, want)| (have - want).abs() <= 1e-6 * want.abs().max(1.0)),
            "{values:?}"
        );
        // The tensor is used again, so it was copied and not changed.
        assert_eq!(tensor.into_data().try_into_vec::<f32>().unwrap()[1], -1.0);
    }

    proptest! {
        #[test]
        fn sigmoids_are_close(x in -90f32..90.0) {
            let want = 1.0 / (1.0 + f64::from(-x).exp());
            let have = of(Activation::Sigmoid, x);
            prop_assert!((f64::from(have) - want).abs() <= 1e-6 * want.max(1e-30), "{x}: {have} {want}");
        }
    }
}
