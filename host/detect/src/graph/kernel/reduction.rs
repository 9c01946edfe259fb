//! Reductions along axes: mean, sum, maximum and minimum.

use onnx_ir::{
    Node,
    node::reduce::{ReduceAxes, ReduceConfig},
};

use super::operator::{Context, Kernel, computed};
use crate::graph::{
    error::OperatorError,
    value::{Value, map},
};

macro_rules! along {
    ($config:expr, |$t:ident, $axes:ident| $e:expr) => {
        along($config, |value, $axes| map!(value, $t => $e))
    };
}

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::ReduceMean(n) => along!(&n.config, |t, axes| t.mean_dims(axes)),
        Node::ReduceSum(n) => along!(&n.config, |t, axes| t.sum_dims(axes)),
        Node::ReduceMax(n) => along!(&n.config, |t, axes| t.max_dims(axes)),
        Node::ReduceMin(n) => along!(&n.config, |t, axes| t.neg().max_dims(axes).neg()),
        _ => return None,
    })
}

fn along(
    config: &ReduceConfig,
    reduce: fn(Value, &[usize]) -> Result<Value, OperatorError>,
) -> Result<Kernel, OperatorError> {
    let ReduceAxes::Static(axes) = config.axes.clone() else { return Err(computed("axes")) };
    let (keep, none_is_all) = (config.keepdims, !config.noop_with_empty_axes);
    Ok(Kernel::unary(move |x| {
        let mut dims = x.dims()?;
        let axes = if axes.is_empty() && none_is_all { (0..dims.len()).collect() } else { axes.clone() };
        let reduced = reduce(x, &axes)?;
        if keep {
            return Ok(reduced);
        }
        let mut index = 0;
        dims.retain(|_| {
            index += 1;
            !axes.contains(&(index - 1))
        });
        // A scalar is a list of one: values have at least rank 1.
        let dims = if dims.is_empty() { vec![1] } else { dims };
        reduced.reshape(&dims)
    }))
}
