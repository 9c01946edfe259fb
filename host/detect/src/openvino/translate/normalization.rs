//! Reductions, normalisation and softmax.

use super::call::{Call, Refusal, Translated, unsupported};
use crate::openvino::{
    fold::axis,
    onnx::{float, integer, list},
};

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    Some(match call.layer.kind.as_str() {
        "ReduceMean" => reduce(call, "ReduceMean"),
        "ReduceMax" => reduce(call, "ReduceMax"),
        "ReduceMin" => reduce(call, "ReduceMin"),
        "ReduceSum" => reduce_sum(call),
        "SoftMax" | "Softmax" => softmax(call),
        "MVN" => mean_variance(call),
        "NormalizeL2" => unit_length(call),
        "BatchNormInference" => batch_normalization(call),
        _ => return None,
    })
}

fn keep_dims(call: &Call<'_>) -> Result<i64, String> {
    Ok(i64::from(call.layer.flag("keep_dims", false)?))
}

fn reduce(call: &mut Call<'_>, operator: &str) -> Translated {
    let axes = call.axes(1, call.dims(0)?.len())?;
    let attributes = vec![list("axes", axes), integer("keepdims", keep_dims(call)?)];
    let x = call.name(0)?;
    call.finish(operator, &[&x], attributes)
}

/// Its axes are an operand in ONNX, where those of the other reductions are an attribute.
fn reduce_sum(call: &mut Call<'_>) -> Translated {
    let axes = call.axes(1, call.dims(0)?.len())?;
    let attributes = vec![integer("keepdims", keep_dims(call)?)];
    let (x, axes) = (call.name(0)?, call.sizes(&axes));
    call.finish("ReduceSum", &[&x, &axes], attributes)
}

fn softmax(call: &mut Call<'_>) -> Translated {
    let axis = axis(call.layer.number("axis", 1i64)?, call.dims(0)?.len())?;
    let x = call.name(0)?;
    call.finish("Softmax", &[&x], vec![integer("axis", axis as i64)])
}

/// Mean-variance normalisation: axes are an operand since operation set 6, and follow from
/// `across_channels` before.
fn mean_variance(call: &mut Call<'_>) -> Translated {
    let rank = call.dims(0)?.len();
    let axes = if call.layer.opset >= 6 {
        call.axes(1, rank)?
    } else {
        (if call.layer.flag("across_channels", false)? { 1 } else { 2 }..rank).collect()
    };
    let inside = match call.layer.text("eps_mode").unwrap_or("inside_sqrt").to_ascii_lowercase().as_str() {
        "inside_sqrt" => true,
        "outside_sqrt" => false,
        other => return Err(unsupported(format!("an eps_mode of {other}"))),
    };
    let eps = call.layer.number("eps", 1e-9f32)?;
    let along = || vec![list("axes", axes.iter().copied()), integer("keepdims", 1)];
    let x = call.name(0)?;
    let mean = call.step("ReduceMean", &[&x], along());
    if !call.layer.flag("normalize_variance", true)? {
        return call.finish("Sub", &[&x, &mean], vec![]);
    }
    let centred = call.step("Sub", &[&x, &mean], vec![]);
    let squares = call.step("Mul", &[&centred, &centred], vec![]);
    let variance = call.step("ReduceMean", &[&squares], along());
    let eps = call.float(eps);
    let deviation = if inside {
        let sum = call.step("Add", &[&variance, &eps], vec![]);
        call.step("Sqrt", &[&sum], vec![])
    } else {
        let root = call.step("Sqrt", &[&variance], vec![]);
        call.step("Add", &[&root, &eps], vec![])
    };
    call.finish("Div", &[&centred, &deviation], vec![])
}

/// Vectors along some axes, divided by their length.
fn unit_length(call: &mut Call<'_>) -> Translated {
    let axes = call.axes(1, call.dims(0)?.len())?;
    let combine = match call.layer.text("eps_mode") {
        Some("add") => "Add",
        Some("max") => "Max",
        other => return Err(unsupported(format!("an eps_mode of {}", other.unwrap_or("no name")))),
    };
    let eps = call.layer.number("eps", 0.0f32)?;
    let (x, axes, eps) = (call.name(0)?, call.sizes(&axes), call.float(eps));
    let squares = call.step("Mul", &[&x, &x], vec![]);
    let sum = call.step("ReduceSum", &[&squares, &axes], vec![integer("keepdims", 1)]);
    let sum = call.step(combine, &[&sum, &eps], vec![]);
    let length = call.step("Sqrt", &[&sum], vec![]);
    call.finish("Div", &[&x, &length], vec![])
}

/// The picture is the first input since operation set 5, and the third before.
fn batch_normalization(call: &mut Call<'_>) -> Translated {
    let order = if call.layer.opset >= 5 { [0, 1, 2, 3, 4] } else { [2, 0, 1, 3, 4] };
    let names = order.into_iter().map(|index| call.name(index)).collect::<Result<Vec<_>, Refusal>>()?;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let eps = call.layer.number("epsilon", 1e-5f32)?;
    call.finish("BatchNormalization", &names, vec![float("epsilon", eps)])
}
