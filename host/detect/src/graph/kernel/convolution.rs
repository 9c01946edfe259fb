//! Convolutions and what comes with them: transposed ones, batch normalisation, padding worked out
//! from sizes.

use burn::tensor::{
    module,
    ops::{ConvOptions, ConvTransposeOptions},
};
use onnx_ir::{
    Node,
    node::{
        batch_norm::BatchNormConfig,
        conv_transpose2d::ConvTranspose2dConfig,
        conv2d::Conv2dConfig,
        padding::{AutoPad, PaddingConfig2d},
    },
};

use super::{
    Fault, Kernel, Operands, Setting, Value,
    host::{Activation, Convolution},
};
use crate::graph::value::map;

pub(super) fn build(node: &Node, _: Setting) -> Option<Result<Kernel, Fault>> {
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

/// Padding of a window over a picture, worked out from the picture's size where ONNX says `SAME`.
#[derive(Clone)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) padding: PaddingConfig2d,
    pub(super) auto_pad: AutoPad,
}

impl Window {
    /// Pixels before and after, for rows and for columns.
    pub(super) fn padding(&self, height: usize, width: usize) -> [(usize, usize); 2] {
        let (top, left, bottom, right) = self.padding.as_tuple();
        match self.auto_pad {
            AutoPad::NotSet => [(top, bottom), (left, right)],
            AutoPad::Valid => [(0, 0), (0, 0)],
            AutoPad::SameUpper | AutoPad::SameLower => {
                let axis = |size, kernel, stride, dilation| {
                    let (small, large) = same_padding(size, kernel, stride, dilation);
                    if self.auto_pad == AutoPad::SameUpper { (small, large) } else { (large, small) }
                };
                let ([kh, kw], [sh, sw], [dh, dw]) = (self.kernel, self.stride, self.dilation);
                [axis(height, kh, sh, dh), axis(width, kw, sw, dw)]
            }
        }
    }
}

/// The padding that gives ceil(size / stride) windows, as its smaller and its larger half.
fn same_padding(size: usize, kernel: usize, stride: usize, dilation: usize) -> (usize, usize) {
    let stride = stride.max(1);
    let covered = (size.div_ceil(stride).saturating_sub(1)) * stride + kernel.saturating_sub(1) * dilation + 1;
    let total = covered.saturating_sub(size);
    (total / 2, total - total / 2)
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
            return Err(Fault::new(format!("{channels} channels, where the weights are for {}", per_group * groups)));
        }
        let options =
            ConvOptions::new_with_padding(window.stride, window.padding(height, width), window.dilation, groups);
        Ok(vec![Value::R4(module::conv2d(x, weight, bias, options))])
    })
}

/// A convolution of ours with what follows it: x, and what is added, where something is.
pub(in crate::graph) fn fused(convolution: Convolution, activation: Activation) -> Kernel {
    Kernel::new(2, move |mut operands| {
        let (x, residual) = (operands.next()?.rank4()?, operands.optional());
        Ok(vec![convolution.run(x, activation, residual, operands.buffers)?])
    })
}

fn transposed(config: ConvTranspose2dConfig) -> Result<Kernel, Fault> {
    if matches!(config.auto_pad, AutoPad::SameUpper | AutoPad::SameLower) || config.output_shape.is_some() {
        return Err(Fault::new("padding that follows from the size of the output"));
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
            return Err(Fault::new("no channels to normalise"));
        }
        let (scale, bias) = (operands.next()?.rank1()?, operands.next()?.rank1()?);
        let (mean, variance) = (operands.next()?.rank1()?, operands.next()?.rank1()?);
        Ok(vec![map!(x, t => module::batch_norm(t, scale, bias, mean, variance, epsilon))?])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_gives_one_window_per_stride() {
        assert_eq!(same_padding(5, 3, 1, 1), (1, 1));
        assert_eq!(same_padding(5, 3, 2, 1), (1, 1));
        assert_eq!(same_padding(6, 3, 2, 1), (0, 1));
        assert_eq!(same_padding(6, 1, 2, 1), (0, 0));
        assert_eq!(same_padding(7, 3, 1, 2), (2, 2));
    }

    #[test]
    fn the_odd_pixel_goes_to_the_end_for_upper_and_to_the_start_for_lower() {
        let window = |auto_pad| Window {
            kernel: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            padding: PaddingConfig2d::Valid,
            auto_pad,
        };
        assert_eq!(window(AutoPad::SameUpper).padding(6, 5), [(0, 1), (1, 1)]);
        assert_eq!(window(AutoPad::SameLower).padding(6, 5), [(1, 0), (1, 1)]);
        assert_eq!(window(AutoPad::Valid).padding(6, 5), [(0, 0), (0, 0)]);
    }
}
