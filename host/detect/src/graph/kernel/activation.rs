//! Element-wise functions of one tensor.

use burn::tensor::activation;
use onnx_ir::{Node, node::clip::ClipInput};

use super::{
    arithmetic, logistic,
    operator::{Context, Kernel, Operands, computed},
};
use crate::graph::{
    error::OperatorError,
    value::{Value, map},
};

macro_rules! each {
    ($t:ident => $e:expr) => {
        Kernel::unary(move |value| map!(value, $t => $e))
    };
}

pub(super) fn build(node: &Node, context: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(Ok(match node {
        Node::Relu(_) => each!(t => activation::relu(t)),
        Node::Sigmoid(_) if context.on_cpu => Kernel::unary(|value| map!(value, t => logistic::sigmoid(t)?)),
        Node::Sigmoid(_) => each!(t => activation::sigmoid(t)),
        Node::Tanh(_) => each!(t => t.tanh()),
        Node::Exp(_) => each!(t => t.exp()),
        Node::Log(_) => each!(t => t.log()),
        Node::Sqrt(_) => each!(t => t.sqrt()),
        Node::Abs(_) => each!(t => t.abs()),
        Node::Neg(_) => each!(t => t.neg()),
        Node::Reciprocal(_) => each!(t => t.recip()),
        Node::Erf(_) => each!(t => t.erf()),
        Node::Floor(_) => each!(t => t.floor()),
        Node::Ceil(_) => each!(t => t.ceil()),
        Node::Round(_) => each!(t => t.round()),
        Node::HardSwish(_) => each!(t => activation::hard_swish(t)),
        Node::Mish(_) => each!(t => activation::mish(t)),
        Node::Softplus(_) => each!(t => activation::softplus(t, 1.0)),
        Node::LeakyRelu(n) => {
            let slope = n.config.alpha;
            each!(t => activation::leaky_relu(t, slope))
        }
        Node::Elu(n) => {
            let alpha = n.config.alpha;
            each!(t => activation::elu(t, alpha))
        }
        Node::HardSigmoid(n) => {
            let (alpha, beta) = (n.config.alpha, n.config.beta);
            each!(t => activation::hard_sigmoid(t, alpha, beta))
        }
        Node::Softmax(n) => {
            let axis = n.config.axis;
            each!(t => activation::softmax(t, axis))
        }
        Node::PRelu(_) => Kernel::new(2, prelu),
        Node::Clip(n) => return Some(clip(n.config.min.as_ref(), n.config.max.as_ref())),
        _ => return None,
    }))
}

/// x * sigmoid(x), the activation of the YOLO family.
pub(crate) fn silu(context: Context) -> Kernel {
    if context.on_cpu {
        Kernel::unary(|value| map!(value, t => logistic::silu(t)?))
    } else {
        each!(t => activation::silu(t))
    }
}

fn clip(min: Option<&ClipInput>, max: Option<&ClipInput>) -> Result<Kernel, OperatorError> {
    let bound = |bound: Option<&ClipInput>, otherwise| match bound {
        None => Ok(otherwise),
        Some(ClipInput::Static(value)) => Ok(*value),
        Some(ClipInput::Runtime(_)) => Err(computed("bounds")),
    };
    let (min, max) = (bound(min, f64::NEG_INFINITY)?, bound(max, f64::INFINITY)?);
    Ok(each!(t => t.clamp(min, max)))
}

/// Not burn's `prelu`, which takes one slope for each channel: ONNX's slope broadcasts.
fn prelu(mut operands: Operands) -> Result<Vec<Value>, OperatorError> {
    let (x, slope) = (operands.next()?, operands.next()?);
    let negative = map!(x.clone(), t => t.clamp_max(0.0))?;
    let positive = map!(x, t => t.clamp_min(0.0))?;
    Ok(vec![arithmetic::add(positive, arithmetic::multiply(negative, slope)?)?])
}
