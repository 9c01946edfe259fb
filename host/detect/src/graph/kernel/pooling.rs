//! Max-pooling and average-pooling, of windows and of whole pictures.

use burn::tensor::{
    module,
    ops::{AvgPoolOptions, MaxPoolOptions},
};
use onnx_ir::{
    Node,
    node::{avg_pool2d::AvgPool2dConfig, max_pool2d::MaxPool2dConfig},
};

use super::{
    cpu,
    operator::{Context, Kernel},
    window::Window,
};
use crate::graph::{error::OperatorError, value::Value};

pub(super) fn build(node: &Node, context: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::MaxPool2d(n) if n.outputs.len() > 1 => Err(OperatorError::new("the indices of the maxima as an output")),
        Node::MaxPool2d(n) => Ok(maximum(n.config.clone(), context)),
        Node::AveragePool2d(n) => average(n.config.clone()),
        Node::GlobalAveragePool(_) => {
            Ok(Kernel::unary(|x| Ok(Value::R4(module::adaptive_avg_pool2d(x.rank4()?, [1, 1])))))
        }
        Node::GlobalMaxPool(_) => Ok(Kernel::unary(|x| Ok(Value::R4(x.rank4()?.max_dim(2).max_dim(3))))),
        _ => return None,
    })
}

fn maximum(config: MaxPool2dConfig, context: Context) -> Kernel {
    let MaxPool2dConfig { kernel_size, strides, padding, dilation, ceil_mode, auto_pad, .. } = config;
    let window = Window { kernel: kernel_size, stride: strides, dilation, padding, auto_pad };
    let simd = context.on_cpu && window.dilation == [1, 1] && !ceil_mode;
    Kernel::new(1, move |mut operands| {
        let mut x = operands.next()?.rank4()?;
        if simd {
            match cpu::max_pool(x, &window, operands.buffers)? {
                Ok(pooled) => return Ok(vec![Value::R4(pooled)]),
                Err(unchanged) => x = unchanged,
            }
        }
        let [_, _, height, width] = x.dims();
        let options = MaxPoolOptions::new(window.kernel)
            .with_stride(window.stride)
            .with_padding_pairs(window.padding(height, width))
            .with_dilation(window.dilation)
            .with_ceil_mode(ceil_mode);
        Ok(vec![Value::R4(module::max_pool2d(x, options))])
    })
}

fn average(config: AvgPool2dConfig) -> Result<Kernel, OperatorError> {
    let AvgPool2dConfig { kernel_size, strides, padding, count_include_pad, dilation, ceil_mode, auto_pad, .. } =
        config;
    if dilation != [1, 1] {
        return Err(OperatorError::new("windows with gaps"));
    }
    let window = Window { kernel: kernel_size, stride: strides, dilation, padding, auto_pad };
    Ok(Kernel::unary(move |x| {
        let x = x.rank4()?;
        let [_, _, height, width] = x.dims();
        let options = AvgPoolOptions::new(window.kernel)
            .with_stride(window.stride)
            .with_padding_pairs(window.padding(height, width))
            .with_count_include_pad(count_include_pad)
            .with_ceil_mode(ceil_mode);
        Ok(Value::R4(module::avg_pool2d(x, options)))
    }))
}
