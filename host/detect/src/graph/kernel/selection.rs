//! Selection of queries in DETR-like detectors: the indices of the largest values (TopK), and the
//! values at such indices (GatherElements).
//!
//! Indices stay on the host. The sorted values are read back once.

use burn::tensor::{Int, Tensor, TensorData};
use onnx_ir::{Node, node::topk::TopKInput};

use super::operator::{Context, Kernel, computed};
use crate::graph::{
    error::OperatorError,
    value::{Indices, Value, map},
};

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::TopK(n) => match n.config.k {
            TopKInput::Static(k) => Ok(top(k, n.config.axis, n.config.largest)),
            TopKInput::Runtime(_) => Err(computed("a number of values")),
        },
        Node::GatherElements(n) => Ok(gather_elements(n.config.axis)),
        _ => return None,
    })
}

/// The `k` largest or smallest values along an axis, in order, and their indices; of equal ones the
/// first.
fn top(k: usize, axis: usize, largest: bool) -> Kernel {
    Kernel::new(1, move |mut operands| {
        let x = operands.next()?;
        let device = x.device()?;
        let (mut dims, values) = x.into_floats()?;
        let size = dims.get(axis).copied().unwrap_or_default();
        if k == 0 || k > size {
            return Err(OperatorError::new(format!("{k} of {size} values")));
        }
        // Values of one line along the axis are `stride` apart.
        let stride: usize = dims.iter().skip(axis + 1).product();
        let lines: usize = dims.iter().take(axis).product();
        if let Some(size) = dims.get_mut(axis) {
            *size = k;
        }
        let (mut chosen, mut indices) = (vec![0.0; lines * k * stride], vec![0; lines * k * stride]);
        let mut order: Vec<usize> = Vec::with_capacity(size);
        for (line, column) in (0..lines).flat_map(|line| (0..stride).map(move |column| (line, column))) {
            let value = |place: usize| values.get((line * size + place) * stride + column).copied().unwrap_or_default();
            order.clear();
            order.extend(0..size);
            // Stable: of equal values the first stays first.
            order.sort_by(|&a, &b| {
                let ascending = value(a).total_cmp(&value(b));
                if largest { ascending.reverse() } else { ascending }
            });
            for (rank, &place) in order.iter().take(k).enumerate() {
                let at = (line * k + rank) * stride + column;
                if let (Some(to), Some(index)) = (chosen.get_mut(at), indices.get_mut(at)) {
                    (*to, *index) = (value(place), place as i64);
                }
            }
        }
        let chosen = Value::from_data(TensorData::new(chosen, dims.clone()), &device)?;
        Ok(vec![chosen, Value::Indices(Indices { dims, list: indices })])
    })
}

/// The values of a tensor at indices along an axis, which differ from line to line.
fn gather_elements(axis: usize) -> Kernel {
    Kernel::new(2, move |mut operands| {
        let (x, indices) = (operands.next()?, operands.next()?.indices()?);
        let dims = x.dims()?;
        let is_line = |(at, (own, other)): (usize, (&usize, &usize))| at == axis || own == other;
        if indices.dims.len() != dims.len() || !dims.iter().zip(&indices.dims).enumerate().all(is_line) {
            return Err(OperatorError::new(format!("indices {:?} in {dims:?}", indices.dims)));
        }
        let size = dims.get(axis).copied().unwrap_or_default() as i64;
        let wrapped = indices.list.iter().map(|&place| {
            let at = if place < 0 { place + size } else { place };
            if (0..size).contains(&at) { Ok(at) } else { Err(OperatorError::new(format!("index {place} of {size}"))) }
        });
        let data = TensorData::new(wrapped.collect::<Result<Vec<i64>, _>>()?, indices.dims);
        map!(x, t => {
            let device = t.device();
            t.gather(axis, Tensor::<_, Int>::from_data(data, &device))
        })
        .map(|found| vec![found])
    })
}
