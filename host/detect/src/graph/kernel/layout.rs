//! Operators that rearrange values without changing them.

use burn::tensor::{Int, Slice, Tensor, TensorData, ops::PadMode};
use onnx_ir::{
    Argument, Node,
    node::{
        depth_to_space::{DepthToSpaceConfig, DepthToSpaceMode},
        expand::ExpandConfig,
        pad,
        reshape::ReshapeInput,
        slice::{SliceConfig, SliceInput},
        split::{SplitConfig, SplitSizesInput},
        squeeze::SqueezeInput,
        tile::TileInput,
        unsqueeze::UnsqueezeConfig,
    },
};

use super::operator::{Context, Kernel, Operands, computed};
use crate::graph::{
    error::OperatorError,
    value::{Value, array, map},
};

pub(super) fn build(node: &Node, context: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::Reshape(n) => Ok(match &n.config.shape {
            ReshapeInput::Static(dims) => {
                fixed_reshape(dims.clone(), context.batched && n.inputs.first().is_some_and(is_computed))
            }
            ReshapeInput::Runtime(_) => Kernel::new(2, |mut operands| {
                let (x, dims) = (operands.next()?, operands.next()?.integers()?);
                Ok(vec![reshape(x, &dims)?])
            }),
        }),
        Node::Transpose(n) => Ok(transpose(n.config.perm.clone())),
        Node::Flatten(n) => {
            let axis = n.config.axis;
            Ok(Kernel::unary(move |x| {
                let dims = x.dims()?;
                let (before, after) = dims
                    .split_at_checked(axis)
                    .ok_or_else(|| OperatorError::new(format!("axis {axis} of {}", dims.len())))?;
                x.reshape(&[before.iter().product(), after.iter().product()])
            }))
        }
        Node::Unsqueeze(n) => match &n.config {
            UnsqueezeConfig::Static(axes) => Ok(unsqueeze(axes.clone())),
            UnsqueezeConfig::Runtime(_) => Err(computed("axes")),
        },
        Node::Squeeze(n) => match &n.config.axes {
            None => Ok(squeeze(None)),
            Some(SqueezeInput::Static(axes)) => Ok(squeeze(Some(axes.clone()))),
            Some(SqueezeInput::Runtime(_)) => Err(computed("axes")),
        },
        Node::Concat(n) => Ok(concat(n.config.axis, n.inputs.len())),
        Node::Slice(n) => slice(&n.config),
        Node::Split(n) => split(&n.config, n.outputs.len()),
        Node::Pad(n) => padding(&n.config),
        Node::Expand(n) => match &n.config {
            ExpandConfig::Static(dims) => {
                let dims = dims.clone();
                Ok(Kernel::unary(move |x| expand(x, &dims)))
            }
            ExpandConfig::Runtime(_) => Ok(Kernel::new(2, |mut operands| {
                let (x, dims) = (operands.next()?, operands.next()?.integers()?);
                Ok(vec![expand(x, &dims)?])
            })),
        },
        Node::Tile(n) => match &n.config.repeats {
            TileInput::Static(repeats) => {
                let repeats = repeats.clone();
                Ok(Kernel::unary(move |x| tile(x, &repeats)))
            }
            TileInput::Runtime(_) => Err(computed("repeats")),
        },
        Node::DepthToSpace(n) => depth_to_space(&n.config),
        Node::Identity(_) => Ok(Kernel::unary(Ok)),
        Node::Dropout(n) if n.outputs.len() == 1 => Ok(Kernel::unary(Ok)),
        _ => return None,
    })
}

fn is_computed(argument: &Argument) -> bool {
    !argument.is_static() && !argument.is_constant()
}

/// An exporter writes its own batch size into shapes: `[1, 85, -1]`. With larger batches, that 1
/// stands for the batch; the first run at load time verifies that the network still works.
fn fixed_reshape(mut dims: Vec<i64>, batched: bool) -> Kernel {
    if let Some(first) = dims.first_mut()
        && batched
        && *first == 1
    {
        *first = 0;
    }
    Kernel::unary(move |x| reshape(x, &dims))
}

fn reshape(x: Value, dims: &[i64]) -> Result<Value, OperatorError> {
    match x {
        // Integers have no rank: added axes of size 1 do not change the list.
        Value::Integers(list) => Ok(Value::Integers(list)),
        x => {
            let resolved = resolve(&x.dims()?, dims)?;
            x.reshape(&resolved)
        }
    }
}

/// Resolves a shape as ONNX writes it: 0 copies the dimension at that index, and a single -1 is
/// inferred from the number of values.
fn resolve(from: &[usize], dims: &[i64]) -> Result<Vec<usize>, OperatorError> {
    let refuse = || OperatorError::new(format!("{from:?} cannot be seen as {dims:?}"));
    let mut resolved = Vec::with_capacity(dims.len());
    let mut open = None;
    for (index, &dim) in dims.iter().enumerate() {
        resolved.push(match dim {
            0 => from.get(index).copied().ok_or_else(refuse)?,
            -1 if open.is_none() => {
                open = Some(index);
                1
            }
            dim => usize::try_from(dim).map_err(|_| refuse())?,
        });
    }
    if resolved.is_empty() {
        resolved.push(1);
    }
    if let Some(place) = open.and_then(|index| resolved.get_mut(index)) {
        let known: usize =
            dims.iter().zip(from.iter().chain(std::iter::repeat(&1))).fold(1, |product, (&dim, &same)| {
                product * if dim == 0 { same } else { usize::try_from(dim).unwrap_or(1) }
            });
        let all: usize = from.iter().product();
        *place = all.checked_div(known).filter(|n| n * known == all).ok_or_else(refuse)?;
    }
    Ok(resolved)
}

fn transpose(axes: Vec<i64>) -> Kernel {
    Kernel::unary(move |x| {
        if axes.len() != x.rank() {
            return Err(OperatorError::new(format!("an order of {} axes for {}", axes.len(), x.rank())));
        }
        map!(x, t => t.permute(array(&axes)))
    })
}

fn unsqueeze(axes: Vec<i64>) -> Kernel {
    Kernel::unary(move |x| {
        let mut dims = match &x {
            Value::Integers(_) => return Ok(x),
            x => x.dims()?,
        };
        let rank = (dims.len() + axes.len()) as i64;
        let mut axes: Vec<usize> =
            axes.iter().filter_map(|&axis| usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()).collect();
        axes.sort_unstable();
        for axis in axes {
            if axis > dims.len() {
                return Err(OperatorError::new(format!("axis {axis} of {rank}")));
            }
            dims.insert(axis, 1);
        }
        x.reshape(&dims)
    })
}

fn squeeze(axes: Option<Vec<i64>>) -> Kernel {
    Kernel::unary(move |x| {
        let dims = match &x {
            Value::Integers(_) => return Ok(x),
            x => x.dims()?,
        };
        let rank = dims.len() as i64;
        let kept = dims.iter().enumerate().filter(|&(index, &size)| match &axes {
            None => size != 1,
            Some(axes) => !axes.iter().any(|&axis| (if axis < 0 { axis + rank } else { axis }) == index as i64),
        });
        let kept: Vec<usize> = kept.map(|(_, &size)| size).collect();
        let kept = if kept.is_empty() { vec![1] } else { kept };
        x.reshape(&kept)
    })
}

fn concat(axis: usize, inputs: usize) -> Kernel {
    macro_rules! join {
        ($values:expr, $first:expr, $($rank:ident),*) => {
            match $first {
                Value::Indices(_) => Err(OperatorError::expected("tensors or lists", "indices")),
                Value::Integers(_) => {
                    let lists = $values.into_iter().map(Value::integers);
                    Ok(Value::Integers(lists.collect::<Result<Vec<_>, _>>()?.concat()))
                }
                $(Value::$rank(_) => {
                    let same = $values.into_iter().map(|value| match value {
                        Value::$rank(t) => Ok(t),
                        _ => Err(OperatorError::new("tensors of different rank")),
                    });
                    Ok(Value::$rank(Tensor::cat(same.collect::<Result<Vec<_>, _>>()?, axis)))
                })*
            }
        };
    }
    Kernel::new(inputs, move |operands: Operands| {
        let values = operands.rest()?;
        let first = values.first().cloned().ok_or_else(|| OperatorError::new("nothing to join"))?;
        let joined: Result<Value, OperatorError> = join!(values, first, R1, R2, R3, R4, R5, R6);
        Ok(vec![joined?])
    })
}

/// A slice along one axis, as ONNX writes it: negative bounds count from the end, and bounds may
/// exceed the axis.
#[derive(Clone, Copy, Debug)]
struct AxisSlice {
    axis: i64,
    start: i64,
    end: i64,
    step: usize,
}

impl AxisSlice {
    fn bounds(self, size: usize) -> (usize, usize) {
        let size = size as i64;
        let place = |at: i64| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size) as usize;
        let (start, end) = (place(self.start), place(self.end));
        (start, end.max(start))
    }
}

fn slice(config: &SliceConfig) -> Result<Kernel, OperatorError> {
    let fixed = |input: &SliceInput| match input {
        SliceInput::Static(values) => Ok(values.clone()),
        SliceInput::Runtime(_) => Err(computed("bounds")),
    };
    let (starts, ends) = (fixed(&config.starts)?, fixed(&config.ends)?);
    let axes = config.axes.as_ref().map(fixed).transpose()?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = config.steps.as_ref().map(fixed).transpose()?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(OperatorError::new("bounds, axes and steps of different lengths"));
    }
    let slices = starts.iter().zip(&ends).zip(axes.iter().zip(&steps)).map(|((&start, &end), (&axis, &step))| {
        let step =
            usize::try_from(step).ok().filter(|&step| step > 0).ok_or_else(|| OperatorError::new("steps backwards"))?;
        Ok(AxisSlice { axis, start, end, step })
    });
    let slices = slices.collect::<Result<Vec<_>, OperatorError>>()?;
    Ok(Kernel::unary(move |x| {
        if let Value::Integers(list) = &x {
            let Some(slice) = slices.first() else { return Ok(x) };
            let (start, end) = slice.bounds(list.len());
            return Ok(Value::Integers(list.iter().take(end).skip(start).step_by(slice.step).copied().collect()));
        }
        let dims = x.dims()?;
        let mut parts: Vec<Slice> = dims.iter().map(|&n| Slice::new(0, Some(n as isize), 1)).collect();
        for slice in &slices {
            let axis = if slice.axis < 0 { slice.axis + dims.len() as i64 } else { slice.axis };
            let place = usize::try_from(axis).ok().and_then(|axis| parts.get_mut(axis).zip(dims.get(axis)));
            let (part, &size) = place.ok_or_else(|| OperatorError::new(format!("axis {axis} of {}", dims.len())))?;
            let (start, end) = slice.bounds(size);
            if start == end {
                return Err(OperatorError::new(format!("nothing is left of axis {axis}")));
            }
            *part = Slice::new(start as isize, Some(end as isize), slice.step as isize);
        }
        map!(x, t => t.slice(&parts))
    }))
}

fn split(config: &SplitConfig, outputs: usize) -> Result<Kernel, OperatorError> {
    let fixed = match &config.split_sizes {
        Some(SplitSizesInput::Static(sizes)) => Some(sizes.clone()),
        Some(SplitSizesInput::Runtime(_)) => return Err(computed("sizes")),
        None => None,
    };
    let (axis, each) = (config.axis, config.split_size);
    Ok(Kernel::new(1, move |mut operands| {
        let x = operands.next()?;
        let size =
            x.dims()?.get(axis).copied().ok_or_else(|| OperatorError::new(format!("axis {axis} of {}", x.rank())))?;
        let sizes = fixed.clone().unwrap_or_else(|| {
            let each = each.unwrap_or_else(|| size.div_ceil(outputs.max(1)));
            (0..outputs).map(|part| each.min(size.saturating_sub(part * each))).collect()
        });
        if sizes.iter().sum::<usize>() != size || sizes.contains(&0) {
            return Err(OperatorError::new(format!("{size} in parts of {sizes:?}")));
        }
        let mut start = 0;
        let parts = sizes.iter().map(|&length| {
            start += length;
            map!(x.clone(), t => t.narrow(axis, start - length, length))
        });
        parts.collect()
    }))
}

fn padding(config: &pad::PadConfig) -> Result<Kernel, OperatorError> {
    let pad::PadInput::Static(sides) = config.pads.clone() else { return Err(computed("widths")) };
    let mode = match (&config.mode, &config.constant_value) {
        (pad::PadMode::Constant, pad::ConstantValueInput::Static(value)) => PadMode::Constant(*value),
        (pad::PadMode::Constant, pad::ConstantValueInput::Runtime(_)) => return Err(computed("a value")),
        (pad::PadMode::Reflect, _) => PadMode::Reflect,
        (pad::PadMode::Edge, _) => PadMode::Edge,
    };
    Ok(Kernel::unary(move |x| {
        if sides.len() != x.rank() {
            return Err(OperatorError::new(format!("widths for {} axes of {}", sides.len(), x.rank())));
        }
        map!(x, t => t.pad(sides.as_slice(), mode))
    }))
}

fn expand(x: Value, dims: &[i64]) -> Result<Value, OperatorError> {
    let rank = dims.len().max(x.rank());
    let x = x.raised_to(rank)?;
    // Broadcasting goes both ways: where the requested size is 1, the tensor keeps its own.
    let own = x.dims()?;
    let missing = rank - dims.len();
    let wanted: Vec<i64> = own
        .iter()
        .enumerate()
        .map(|(axis, &size)| {
            axis.checked_sub(missing)
                .and_then(|at| dims.get(at))
                .copied()
                .filter(|&want| want != 1)
                .unwrap_or(size as i64)
        })
        .collect();
    Ok(match x {
        Value::R1(t) => Value::R1(t.expand(array::<1>(&wanted))),
        Value::R2(t) => Value::R2(t.expand(array::<2>(&wanted))),
        Value::R3(t) => Value::R3(t.expand(array::<3>(&wanted))),
        Value::R4(t) => Value::R4(t.expand(array::<4>(&wanted))),
        Value::R5(t) => Value::R5(t.expand(array::<5>(&wanted))),
        Value::R6(t) => Value::R6(t.expand(array::<6>(&wanted))),
        Value::Indices(indices) => Value::Indices(indices.spread(&wanted)?),
        Value::Integers(list) => Value::Integers(list),
    })
}

fn tile(x: Value, repeats: &[usize]) -> Result<Value, OperatorError> {
    match x {
        Value::Indices(indices) if indices.dims.len() == repeats.len() => {
            let dims: Vec<i64> = indices.dims.iter().zip(repeats).map(|(&n, &times)| (n * times) as i64).collect();
            Ok(Value::Indices(indices.spread(&dims)?))
        }
        x => map!(x, t => t.repeat(repeats)),
    }
}

/// Rearranges channels into pixels: `[n, c*b*b, h, w]` to `[n, c, h*b, w*b]`.
fn depth_to_space(config: &DepthToSpaceConfig) -> Result<Kernel, OperatorError> {
    let block = config.block_size;
    if block == 0 {
        return Err(OperatorError::new("blocks of no size"));
    }
    let columns_first = config.mode == DepthToSpaceMode::Crd;
    Ok(Kernel::unary(move |x| {
        let x = x.rank4()?;
        let [n, channels, h, w] = x.dims();
        let out = channels / (block * block);
        if out * block * block != channels {
            return Err(OperatorError::new(format!("{channels} channels in blocks of {block}x{block}")));
        }
        // The rank is fixed, so this needs no `Value` of rank 6.
        let spread = if columns_first {
            x.reshape([n, out, block, block, h, w]).permute([0, 1, 4, 2, 5, 3])
        } else {
            x.reshape([n, block, block, out, h, w]).permute([0, 3, 4, 1, 5, 2])
        };
        Ok(Value::R4(spread.reshape([n, out, h * block, w * block])))
    }))
}

/// Takes slices of `x` along `axis`, in the order of `indices`.
pub(super) fn select(x: Value, axis: usize, indices: &[usize]) -> Result<Value, OperatorError> {
    let indices: Vec<i64> = indices.iter().map(|&i| i as i64).collect();
    map!(x, t => {
        let at = Tensor::<1, Int>::from_data(TensorData::new(indices.clone(), [indices.len()]), &t.device());
        t.select(axis, at)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shapes_as_onnx_writes_them() {
        assert_eq!(resolve(&[2, 85, 52, 52], &[0, 85, -1]).unwrap(), [2, 85, 2704]);
        assert_eq!(resolve(&[6], &[2, 3]).unwrap(), [2, 3]);
        assert_eq!(resolve(&[2, 3], &[0, -1, 0]).ok(), None);
        assert_eq!(resolve(&[2, 3], &[4, -1]).ok(), None);
        assert_eq!(resolve(&[2, 3], &[-1, -1]).ok(), None);
        assert_eq!(resolve(&[0, 3], &[0, -1]).ok(), None);
    }

    #[test]
    fn slices_count_from_the_end_and_may_exceed_it() {
        let slice = |start, end| AxisSlice { axis: 0, start, end, step: 1 }.bounds(10);
        assert_eq!(slice(0, i64::MAX), (0, 10));
        assert_eq!(slice(-3, i64::MAX), (7, 10));
        assert_eq!(slice(i64::MIN, -1), (0, 9));
        assert_eq!(slice(8, 3), (8, 8));
    }

    proptest! {
        #[test]
        fn a_resolved_shape_holds_as_many_numbers(dims in prop::collection::vec(1usize..6, 1..5), open in 0usize..4) {
            let mut wanted: Vec<i64> = dims.iter().map(|&n| n as i64).collect();
            let open = open % wanted.len();
            wanted[open] = -1;
            prop_assert_eq!(resolve(&dims, &wanted).unwrap(), dims);
        }

        #[test]
        fn bounds_lie_within(start: i64, end: i64, size in 0usize..100) {
            let (start, end) = AxisSlice { axis: 0, start, end, step: 1 }.bounds(size);
            prop_assert!(start <= end && end <= size);
        }
    }
}
