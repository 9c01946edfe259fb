//! Operators as closures, one module for each family of operators.
//!
//! A node's settings are read once, when the network is loaded. A setting that no kernel implements
//! is an error then, never approximated.

mod activation;
mod arithmetic;
mod convolution;
mod cpu;
mod layout;
mod logistic;
mod normalization;
mod operator;
mod pooling;
mod reduction;
mod resize;
mod selection;
mod shape;
mod window;

use onnx_ir::Node;

use super::error::OperatorError;

pub(super) use activation::silu;
pub(super) use convolution::fused as convolution;
pub(super) use cpu::{Activation, Convolution};
pub(super) use operator::{Context, Kernel, Operands};

pub(super) fn build(node: &Node, context: Context) -> Result<Kernel, OperatorError> {
    let families = [
        activation::build,
        arithmetic::build,
        convolution::build,
        layout::build,
        normalization::build,
        pooling::build,
        reduction::build,
        resize::build,
        selection::build,
        shape::build,
    ];
    families
        .iter()
        .find_map(|build| build(node, context))
        .unwrap_or_else(|| Err(OperatorError::new("there is no kernel for it")))
}
