//! Constant folding: layers whose operands are constants, computed when the network is read.
//!
//! Exporters compute shapes in the network (`ShapeOf`, `Gather`, `Concat`, `Reshape`) and store
//! weights in a smaller type (`Convert`, `Subtract`, `Multiply`); with fixed shapes all of these
//! are constants. The semantics are those of the operation sets in OpenVINO's documentation.

use super::{
    document::Layer,
    tensor::{Budget, Tensor, Values, count},
};

/// Computes a layer from constant operands; `None` where there is no rule for its kind.
pub(super) fn fold(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Option<Result<Tensor, String>> {
    let fold = match layer.kind.as_str() {
        "Convert" => convert,
        "Reshape" | "Squeeze" | "Unsqueeze" => |layer: &Layer, operands: &[&Tensor], budget: &mut Budget| {
            budget.take(layer.dims()?)?;
            first(operands)?.reshaped(layer.dims()?)
        },
        "Gather" => gather,
        "Concat" => concat,
        "Transpose" => transpose,
        "StridedSlice" => strided_slice,
        "Range" => range,
        "Broadcast" => |layer: &Layer, operands: &[&Tensor], budget: &mut Budget| {
            broadcast(first(operands)?, layer.dims()?, budget)
        },
        "Add" | "Subtract" | "Multiply" | "Divide" | "Maximum" | "Minimum" => arithmetic,
        "FakeQuantize" => fake_quantize,
        _ => return None,
    };
    Some(fold(layer, operands, budget))
}

fn nth<'a>(operands: &[&'a Tensor], index: usize) -> Result<&'a Tensor, String> {
    operands.get(index).copied().ok_or_else(|| format!("no input {index}"))
}

fn first<'a>(operands: &[&'a Tensor]) -> Result<&'a Tensor, String> {
    nth(operands, 0)
}

fn convert(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let from = first(operands)?;
    budget.take(&from.dims)?;
    let to_floats = matches!(layer.text("destination_type"), Some("f16" | "bf16" | "f32" | "f64"));
    let values = match (&from.values, to_floats) {
        (Values::Integers(values), true) => Values::Floats(values.iter().map(|&v| v as f32).collect()),
        // Towards zero, as OpenVINO converts.
        (Values::Floats(values), false) => Values::Integers(values.iter().map(|&v| v as i64).collect()),
        (same, _) => same.clone(),
    };
    Ok(Tensor { dims: from.dims.clone(), values })
}

/// An axis counted from the end where it is negative.
pub(super) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let wrapped = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    wrapped
        .and_then(|axis| usize::try_from(axis).ok())
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {axis} of {rank}"))
}

/// The single value of a scalar or of a list of one.
pub(super) fn scalar(tensor: &Tensor) -> Result<i64, String> {
    match tensor.as_integers()? {
        [value] => Ok(*value),
        values => Err(format!("{} values, where one is expected", values.len())),
    }
}

fn gather(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let (from, indices) = (first(operands)?, nth(operands, 1)?);
    if layer.number("batch_dims", 0i64)? != 0 {
        return Err("batches of indices".into());
    }
    let axis = axis(scalar(nth(operands, 2)?)?, from.dims.len())?;
    let (before, rest) = from.dims.split_at_checked(axis).ok_or("an axis")?;
    let (&size, after) = rest.split_first().ok_or("a scalar to take from")?;
    let dims = [before, indices.dims.as_slice(), after].concat();
    budget.take(&dims)?;
    let (outer, inner) = (count(before)?, count(after)?);
    let mut places = Vec::with_capacity(count(&dims)?);
    for block in 0..outer {
        for &index in indices.as_integers()? {
            let index = if index < 0 { index + size as i64 } else { index };
            let index = usize::try_from(index).ok().filter(|&index| index < size);
            let index = index.ok_or_else(|| format!("an index out of {size}"))?;
            places.extend((0..inner).map(|at| (block * size + index) * inner + at));
        }
    }
    Ok(from.picked(&dims, &places))
}

fn concat(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let head = first(operands)?;
    let axis = axis(layer.number("axis", 0i64)?, head.dims.len())?;
    let part = |dims: &[usize], from: usize, to: usize| count(dims.get(from..to).unwrap_or_default());
    let outer = part(&head.dims, 0, axis)?;
    let mut dims = head.dims.clone();
    let mut blocks = Vec::with_capacity(operands.len());
    let mut along = 0usize;
    for operand in operands {
        let same = operand.dims.len() == dims.len()
            && operand.dims.iter().zip(&dims).enumerate().all(|(at, (a, b))| at == axis || a == b);
        if !same {
            return Err(format!("{:?} beside {:?}", operand.dims, head.dims));
        }
        along = along.saturating_add(operand.dims.get(axis).copied().unwrap_or_default());
        blocks.push(part(&operand.dims, axis, operand.dims.len())?);
    }
    if let Some(size) = dims.get_mut(axis) {
        *size = along;
    }
    budget.take(&dims)?;
    macro_rules! join {
        ($values:ident) => {{
            let lists = operands.iter().map(|t| t.$values()).collect::<Result<Vec<_>, _>>()?;
            let mut joined = Vec::with_capacity(count(&dims)?);
            for at in 0..outer {
                for (list, &block) in lists.iter().zip(&blocks) {
                    joined.extend_from_slice(list.get(at * block..(at + 1) * block).unwrap_or_default());
                }
            }
            joined
        }};
    }
    Ok(match head.values {
        Values::Floats(_) => Tensor::floats(&dims, join!(as_floats)),
        Values::Integers(_) => Tensor::integers(&dims, join!(as_integers)),
    })
}

/// The order of axes of a Transpose; none given means reversed.
pub(super) fn order(given: &Tensor, rank: usize) -> Result<Vec<usize>, String> {
    let given = given.as_integers()?;
    if given.is_empty() {
        return Ok((0..rank).rev().collect());
    }
    let order = given.iter().map(|&at| axis(at, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if sorted.into_iter().eq(0..rank) { Ok(order) } else { Err(format!("an order of {given:?} for {rank} axes")) }
}

fn transpose(_: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let from = first(operands)?;
    permuted(from, &order(nth(operands, 1)?, from.dims.len())?, budget)
}

/// The tensor with its axes in this order.
pub(super) fn permuted(from: &Tensor, order: &[usize], budget: &mut Budget) -> Result<Tensor, String> {
    let strides = strides(&from.dims);
    let pick = |of: &[usize]| order.iter().map(|&at| of.get(at).copied().unwrap_or_default()).collect::<Vec<_>>();
    let (dims, strides) = (pick(&from.dims), pick(&strides));
    budget.take(&dims)?;
    Ok(from.picked(&dims, &places(&dims, &strides)?))
}

/// Distance of neighbours along each axis.
fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    let mut product = 1usize;
    for (stride, &size) in strides.iter_mut().zip(dims).rev() {
        *stride = product;
        product = product.saturating_mul(size);
    }
    strides
}

/// The offset of each value of a tensor of this shape, where values lie `strides` apart.
fn places(dims: &[usize], strides: &[usize]) -> Result<Vec<usize>, String> {
    let mut places = vec![0; count(dims)?];
    let mut repeat = 1;
    for (&size, &stride) in dims.iter().zip(strides).rev() {
        for (at, place) in places.iter_mut().enumerate() {
            *place += at / repeat % size.max(1) * stride;
        }
        repeat *= size.max(1);
    }
    Ok(places)
}

/// Broadcasts as numpy does.
fn broadcast(from: &Tensor, dims: &[usize], budget: &mut Budget) -> Result<Tensor, String> {
    let missing = dims.len().checked_sub(from.dims.len());
    let missing = missing.ok_or_else(|| format!("{:?} as {dims:?}", from.dims))?;
    let own = [vec![1; missing], from.dims.clone()].concat();
    if own.iter().zip(dims).any(|(&own, &size)| own != size && own != 1) {
        return Err(format!("{:?} as {dims:?}", from.dims));
    }
    budget.take(dims)?;
    let strides: Vec<usize> =
        strides(&own).into_iter().zip(&own).map(|(stride, &own)| if own == 1 { 0 } else { stride }).collect();
    Ok(from.picked(dims, &places(dims, &strides)?))
}

fn arithmetic(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let dims = layer.dims()?;
    let (left, right) = (broadcast(first(operands)?, dims, budget)?, broadcast(nth(operands, 1)?, dims, budget)?);
    macro_rules! each {
        ($a:expr, $b:expr, $operation:expr) => {
            $a.iter().zip($b).map(|(&a, &b)| $operation(a, b))
        };
    }
    let values = match (&left.values, &right.values) {
        (Values::Floats(a), Values::Floats(b)) => {
            let operation: fn(f32, f32) -> f32 = match layer.kind.as_str() {
                "Add" => |a, b| a + b,
                "Subtract" => |a, b| a - b,
                "Multiply" => |a, b| a * b,
                "Divide" => |a, b| a / b,
                "Maximum" => f32::max,
                _ => f32::min,
            };
            Values::Floats(each!(a, b, operation).collect())
        }
        (Values::Integers(a), Values::Integers(b)) => {
            let operation: fn(i64, i64) -> Option<i64> = match layer.kind.as_str() {
                "Add" => i64::checked_add,
                "Subtract" => i64::checked_sub,
                "Multiply" => i64::checked_mul,
                "Divide" => i64::checked_div,
                "Maximum" => |a, b| Some(a.max(b)),
                _ => |a, b| Some(a.min(b)),
            };
            let values: Option<_> = each!(a, b, operation).collect();
            Values::Integers(values.ok_or("integers out of range")?)
        }
        _ => return Err("floats and integers in one operation".into()),
    };
    Ok(Tensor { dims: dims.to_vec(), values })
}

fn range(_: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let (start, stop, step) = (scalar(first(operands)?)?, scalar(nth(operands, 1)?)?, scalar(nth(operands, 2)?)?);
    let span = if step < 0 { start.checked_sub(stop) } else { stop.checked_sub(start) };
    let span = span.ok_or("a range without end")?.max(0) as u64;
    if step == 0 {
        return Err("a range of step 0".into());
    }
    let length = usize::try_from(span.div_ceil(step.unsigned_abs())).map_err(|_| "a range without end")?;
    budget.take(&[length])?;
    let values = (0..length as i64).map(|at| start.saturating_add(at.saturating_mul(step)));
    Ok(Tensor::integers(&[length], values.collect()))
}

/// Start, end and step along one axis, within its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: i64,
}

/// The bounds of a StridedSlice for each axis of the input, whose shape is `dims`.
pub(super) fn slice_bounds(
    layer: &Layer,
    dims: &[usize],
    operands: [Option<&Tensor>; 3],
) -> Result<Vec<Bounds>, String> {
    let mask = |name| layer.list::<u8>(name);
    let (begin_mask, end_mask, shrink) = (mask("begin_mask")?, mask("end_mask")?, mask("shrink_axis_mask")?);
    if mask("ellipsis_mask")?.contains(&1) || mask("new_axis_mask")?.contains(&1) {
        return Err("an ellipsis or a new axis".into());
    }
    let [begin, end, steps] = operands;
    let (begin, end) = (begin.ok_or("no start")?.as_integers()?, end.ok_or("no end")?.as_integers()?);
    let steps = steps.map(Tensor::as_integers).transpose()?;
    if begin.len() > dims.len() || end.len() != begin.len() {
        return Err(format!("{} starts and {} ends for {} axes", begin.len(), end.len(), dims.len()));
    }
    let set = |mask: &[u8], axis: usize| mask.get(axis) == Some(&1);
    let mut bounds = Vec::with_capacity(dims.len());
    for (axis, &size) in dims.iter().enumerate() {
        let size = size as i64;
        let step = steps.and_then(|steps| steps.get(axis)).copied().unwrap_or(1);
        if step <= 0 {
            return Err("steps backwards".into());
        }
        let place = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size);
        // A mask of 1 means that the value given is ignored.
        let start = begin.get(axis).filter(|_| !set(&begin_mask, axis)).map_or(0, |&at| place(at));
        let stop = end.get(axis).filter(|_| !set(&end_mask, axis)).map_or(size, |&at| place(at));
        let stop = if set(&shrink, axis) { start + 1 } else { stop };
        if start >= stop || stop > size {
            return Err(format!("nothing is left of axis {axis}"));
        }
        bounds.push(Bounds { start, end: stop, step });
    }
    Ok(bounds)
}

fn strided_slice(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let from = first(operands)?;
    let bounds = slice_bounds(layer, &from.dims, [1, 2, 3].map(|index: usize| operands.get(index).copied()))?;
    let strides = strides(&from.dims);
    let dims: Vec<usize> = bounds.iter().map(|b| ((b.end - b.start) as u64).div_ceil(b.step as u64) as usize).collect();
    budget.take(&dims)?;
    let offset: usize = bounds.iter().zip(&strides).map(|(b, stride)| b.start as usize * stride).sum();
    let steps: Vec<usize> = bounds.iter().zip(&strides).map(|(b, stride)| b.step as usize * stride).collect();
    let places: Vec<usize> = places(&dims, &steps)?.into_iter().map(|place| offset + place).collect();
    // Axes that the slice shrinks are of size 1 here, and absent in the shape of the port.
    from.picked(&dims, &places).reshaped(layer.dims()?)
}

/// Rounds to one of `levels` values between two bounds, as in quantisation-aware training.
fn fake_quantize(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let dims = layer.dims()?;
    let steps = layer.number("levels", 256u32)?.saturating_sub(1).max(1) as f32;
    let mut all = Vec::with_capacity(5);
    for index in 0..5 {
        all.push(broadcast(nth(operands, index)?, dims, budget)?);
    }
    let floats = all.iter().map(Tensor::as_floats).collect::<Result<Vec<_>, _>>()?;
    let [x, in_low, in_high, out_low, out_high] = floats.as_slice() else { return Err("five inputs".into()) };
    let limits = in_low.iter().zip(*in_high).zip(out_low.iter().zip(*out_high));
    let values = x.iter().zip(limits).map(|(&x, ((&il, &ih), (&ol, &oh)))| {
        if x <= il.min(ih) {
            ol
        } else if x > il.max(ih) {
            oh
        } else {
            ((x - il) / (ih - il) * steps).round_ties_even() / steps * (oh - ol) + ol
        }
    });
    Ok(Tensor::floats(dims, values.collect()))
}
