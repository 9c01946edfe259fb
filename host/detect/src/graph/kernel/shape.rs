//! Operators on shapes, which are integers and stay on the host.

use onnx_ir::{Node, node::constant_of_shape::ConstantOfShapeShape};

use super::{
    layout,
    operator::{Context, Kernel, computed},
};
use crate::graph::{error::OperatorError, value::Value};

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::Shape(n) => Ok(shape_of(n.config.start, n.config.end)),
        Node::Size(_) => Ok(Kernel::unary(|x| Ok(Value::Integers(vec![x.dims()?.iter().product::<usize>() as i64])))),
        Node::Gather(n) => Ok(gather(n.config.axis)),
        // Floats have one type here, and integers stay integers on the host, for every target type.
        Node::Cast(n) => {
            let (from, to) = (n.inputs.first().map(|i| i.ty.is_on_device()), n.config.to);
            if from == Some(true) && to.is_int() {
                Err(OperatorError::new("from float to integer"))
            } else {
                Ok(Kernel::unary(Ok))
            }
        }
        Node::ConstantOfShape(n) => match (&n.config.shape, &n.config.value) {
            (ConstantOfShapeShape::Static(dims), value) if dims.len() == 1 => {
                let count = dims.first().and_then(|&n| usize::try_from(n).ok()).unwrap_or_default();
                let value =
                    value.as_ref().and_then(|v| v.clone().try_to_vec_as::<i64>().ok()).and_then(|v| v.first().copied());
                let filled = vec![value.unwrap_or_default(); count];
                Ok(Kernel::new(0, move |_| Ok(vec![Value::Integers(filled.clone())])))
            }
            _ => Err(computed("a shape to fill")),
        },
        _ => return None,
    })
}

fn shape_of(start: usize, end: usize) -> Kernel {
    Kernel::unary(move |x| {
        let dims = x.dims()?;
        let part = dims.get(start..end.min(dims.len())).unwrap_or_default();
        Ok(Value::Integers(part.iter().map(|&n| n as i64).collect()))
    })
}

fn gather(axis: usize) -> Kernel {
    Kernel::new(2, move |mut operands| {
        let (from, indices) = (operands.next()?, operands.next()?.integers()?);
        let count = if let Value::Integers(list) = &from {
            list.len()
        } else {
            from.dims()?.get(axis).copied().unwrap_or_default()
        };
        let wrapped = indices.iter().map(|&i| {
            let at = if i < 0 { i + count as i64 } else { i };
            usize::try_from(at)
                .ok()
                .filter(|&at| at < count)
                .ok_or_else(|| OperatorError::new(format!("index {i} of {count}")))
        });
        let wrapped = wrapped.collect::<Result<Vec<usize>, _>>()?;
        match from {
            Value::Integers(list) => {
                Ok(vec![Value::Integers(wrapped.iter().filter_map(|&at| list.get(at).copied()).collect())])
            }
            tensor => Ok(vec![layout::select(tensor, axis, &wrapped)?]),
        }
    })
}
