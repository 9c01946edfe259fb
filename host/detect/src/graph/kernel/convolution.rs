//! Convolutions, transposed convolutions and batch normalisation.

use burn::tensor::{
    module,
    ops::{ConvOptions, ConvTransposeOptions},
};
use onnx_ir::{
    Node,
    node::{
        batch_norm::BatchNormConfig, conv_transpose2d::ConvTranspose2dConfig, conv2d::Conv2dConfig, padding::AutoPad,
    },
};

use super::{
    cpu::{Activation, Convolution},
    operator::{Context, Kernel, Operands},
    window::Window,
};
use crate::graph::{
    error::OperatorError,
    value::{Value, map},
};

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::Conv2d(n) => Ok(convolution(n.config.clone())),
        Node::ConvTranspose2d(n) => transposed(n.config.clone()),
        Node::BatchNormalization(n) => Ok(batch_normalization(match &n.config {
            BatchNormConfig::Static(c) => c.epsilon,
            BatchNormConfig::Runtime(c) => c.epsilon,
        })),
        _ => return None,
    })
}

fn convolution(config: Conv2dConfig) -> Kernel {
    let Conv2dConfig { kernel_size, stride, padding, dilation, groups, auto_pad } = config;
    let window = Window { kernel: kernel_size, stride, dilation, padding, auto_pad };
    Kernel::new(3, move |mut operands| {
        let (x, weight) = (operands.next()?.rank4()?, operands.next()?.rank4()?);
        let bias = operands.optional().map(Value::rank1).transpose()?;
        let [_, channels, height, width] = x.dims();
        let [_, per_group, ..] = weight.dims();
        if channels != per_group * groups {
            return Err(OperatorError::new(format!(
                "{channels} channels, where the weights are for {}",
                per_group * groups
            )));
        }
        let options =
            ConvOptions::new_with_padding(window.stride, window.padding(height, width), window.dilation, groups);
        Ok(vec![Value::R4(module::conv2d(x, weight, bias, options))])
    })
}

/// A CPU convolution with the activation and the sum that follow it. Its operands are x and,
/// optionally, the residual.
pub(crate) fn fused(convolution: Convolution, activation: Activation) -> Kernel {
    Kernel::new(2, move |mut operands| {
        let (x, residual) = (operands.next()?.rank4()?, operands.optional());
        Ok(vec![convolution.run(x, activation, residual, operands.buffers)?])
    })
}

fn transposed(config: ConvTranspose2dConfig) -> Result<Kernel, OperatorError> {
    if matches!(config.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) || config.output_shape.is_some() {
        return Err(OperatorError::new("padding that follows from the size of the output"));
    }
    Ok(Kernel::new(3, move |mut operands: Operands| {
        let (x, weight) = (operands.next()?.rank4()?, operands.next()?.rank4()?);
        let bias = operands.optional().map(Value::rank1).transpose()?;
        let options = ConvTransposeOptions::new(
            config.stride,
            config.padding,
            config.padding_out,
            config.dilation,
            config.groups,
        );
        Ok(vec![Value::R4(module::conv_transpose2d(x, weight, bias, options))])
    }))
}

fn batch_normalization(epsilon: f64) -> Kernel {
    Kernel::new(5, move |mut operands| {
        let x = operands.next()?;
        if x.rank() < 2 {
            return Err(OperatorError::new("no channels to normalise"));
        }
        let (scale, bias) = (operands.next()?.rank1()?, operands.next()?.rank1()?);
        let (mean, variance) = (operands.next()?.rank1()?, operands.next()?.rank1()?);
        Ok(vec![map!(x, t => module::batch_norm(t, scale, bias, mean, variance, epsilon))?])
    })
}
