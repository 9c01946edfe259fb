//! Layers that rearrange values without changing them.

use super::call::{Call, Refusal, Translated, Value, unsupported};
use crate::openvino::{
    document::bounded,
    fold::{Bounds, axis, order, scalar, slice_bounds},
    onnx::{integer, list, text},
};

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    Some(match call.layer.kind.as_str() {
        "Reshape" | "Squeeze" | "Unsqueeze" => reshape(call),
        "Transpose" => transpose(call),
        "Concat" => concat(call),
        "Gather" => gather(call),
        "StridedSlice" => strided_slice(call),
        "Slice" => slice(call),
        "Pad" => pad(call),
        "DepthToSpace" => depth_to_space(call),
        _ => return None,
    })
}

/// Shapes are fixed, so that the shape of the output suffices.
fn reshape(call: &mut Call<'_>) -> Translated {
    let dims = call.layer.dims()?.to_vec();
    let (x, shape) = (call.name(0)?, call.sizes(&dims));
    call.finish("Reshape", &[&x, &shape], vec![])
}

/// The layer's output from `x`, which has the same values in another shape.
fn reshaped(call: &mut Call<'_>, x: &str) -> Translated {
    let dims = call.layer.dims()?.to_vec();
    let shape = call.sizes(&dims);
    call.finish("Reshape", &[x, &shape], vec![])
}

fn transpose(call: &mut Call<'_>) -> Translated {
    let order = order(&call.constant(1)?.tensor, call.dims(0)?.len())?;
    let x = call.name(0)?;
    call.finish("Transpose", &[&x], vec![list("perm", order)])
}

fn concat(call: &mut Call<'_>) -> Translated {
    let axis = axis(call.layer.number("axis", 0i64)?, call.dims(0)?.len())?;
    let names = (0..call.inputs.len()).map(|index| call.name(index)).collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    call.finish("Concat", &names, vec![integer("axis", axis as i64)])
}

fn gather(call: &mut Call<'_>) -> Translated {
    if call.layer.number("batch_dims", 0i64)? != 0 {
        return Err(unsupported("batches of indices"));
    }
    let indices = call.constant(1)?;
    let axis = axis(scalar(&call.constant(2)?.tensor)?, call.dims(0)?.len())?;
    let indices = call.integers(indices.tensor.as_integers()?);
    let x = call.name(0)?;
    let attributes = vec![integer("axis", axis as i64)];
    if call.constant(1)?.tensor.dims.len() == 1 {
        return call.finish("Gather", &[&x, &indices], attributes);
    }
    let gathered = call.step("Gather", &[&x, &indices], attributes);
    reshaped(call, &gathered)
}

fn strided_slice(call: &mut Call<'_>) -> Translated {
    let operands = [call.optional_constant(1)?, call.optional_constant(2)?, call.optional_constant(3)?];
    let dims = call.dims(0)?;
    let bounds = slice_bounds(call.layer, &dims, operands.each_ref().map(|c| c.as_ref().map(|c| &c.tensor)));
    // An ellipsis is a setting that is not known here; the other reasons are mistakes of the file.
    let bounds = bounds.map_err(unsupported)?;
    let list = |of: fn(&Bounds) -> i64| bounds.iter().map(of).collect::<Vec<_>>();
    let (starts, ends, steps) = (list(|b| b.start), list(|b| b.end), list(|b| b.step));
    let axes: Vec<i64> = (0..bounds.len() as i64).collect();
    let names = [starts, ends, axes, steps].map(|values| call.integers(&values));
    let x = call.name(0)?;
    let [starts, ends, axes, steps] = &names;
    let sliced = call.step("Slice", &[&x, starts, ends, axes, steps], vec![]);
    // Axes that are taken away have size 1 until here.
    reshaped(call, &sliced)
}

fn slice(call: &mut Call<'_>) -> Translated {
    let mut names = vec![call.name(0)?];
    let (start, stop, step) = (call.constant(1)?, call.constant(2)?, call.constant(3)?);
    let count = start.tensor.len() as i64;
    names.push(call.integers(start.tensor.as_integers()?));
    names.push(call.integers(stop.tensor.as_integers()?));
    names.push(match call.optional_constant(4)? {
        Some(axes) => call.integers(axes.tensor.as_integers()?),
        None => call.integers(&(0..count).collect::<Vec<_>>()),
    });
    names.push(call.integers(step.tensor.as_integers()?));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    call.finish("Slice", &names, vec![])
}

/// The outputs of a `Split`, or of a `VariadicSplit`, one for each part.
pub(super) fn split(call: &mut Call<'_>) -> Result<Vec<Value>, Refusal> {
    let dims = call.dims(0)?;
    let axis = axis(scalar(&call.constant(1)?.tensor)?, dims.len())?;
    let x = call.name(0)?;
    let mut start = 0i64;
    let mut parts = Vec::with_capacity(call.layer.outputs.len());
    for port in &call.layer.outputs {
        // The shapes of the ports say where each part begins.
        let size = port.dims.get(axis).copied().ok_or("a part of another rank")? as i64;
        let bounds = [start, start + size, axis as i64].map(|value| call.integers(&[value]));
        let [from, to, along] = &bounds;
        let part = call.step("Slice", &[&x, from, to, along], vec![]);
        parts.push(Value::Computed(part, port.dims.clone()));
        start += size;
    }
    Ok(parts)
}

fn pad(call: &mut Call<'_>) -> Translated {
    if call.layer.text("pad_mode") != Some("constant") {
        return Err(unsupported("padding with other values than a constant"));
    }
    let (begin, end) = (call.constant(1)?, call.constant(2)?);
    let sides = [begin.tensor.as_integers()?, end.tensor.as_integers()?].concat();
    // Checked here, since the engines allocate by these widths and ignore the shape of the port.
    let widths = sides.iter().map(|&n| usize::try_from(n).map_err(|_| "padding of less than nothing".to_owned()));
    let widest = widths.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or_default();
    bounded(&call.dims(0)?.iter().map(|n| n.saturating_add(2 * widest.min(1 << 32))).collect::<Vec<_>>())?;
    let value = call
        .optional_constant(3)?
        .map_or(Ok(0.0), |c| c.tensor.as_floats().map(|values| values.first().copied().unwrap_or_default()))?;
    let (x, sides, value) = (call.name(0)?, call.integers(&sides), call.float(value));
    call.finish("Pad", &[&x, &sides, &value], vec![text("mode", "constant")])
}

fn depth_to_space(call: &mut Call<'_>) -> Translated {
    let mode = match call.layer.text("mode") {
        Some("blocks_first") => "DCR",
        Some("depth_first") => "CRD",
        other => return Err(unsupported(format!("a mode of {}", other.unwrap_or("no name")))),
    };
    let block = call.layer.number("block_size", 1i64)?;
    let x = call.name(0)?;
    call.finish("DepthToSpace", &[&x], vec![integer("blocksize", block), text("mode", mode)])
}
