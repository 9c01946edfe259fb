//! Element-wise layers, products of matrices, and quantisation in training.

use super::call::{Call, Refusal, Translated, Value, unsupported};
use crate::openvino::{
    fold::permuted,
    onnx::{float, list},
    tensor::Tensor,
};

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    let operator = match call.layer.kind.as_str() {
        "ReLU" => "Relu",
        "Sigmoid" => "Sigmoid",
        "Tanh" => "Tanh",
        "Exp" => "Exp",
        "Log" => "Log",
        "Sqrt" => "Sqrt",
        "Abs" => "Abs",
        "Negative" => "Neg",
        "Erf" => "Erf",
        "Floor" => "Floor",
        "Ceiling" => "Ceil",
        "HSwish" => "HardSwish",
        "SoftPlus" => "Softplus",
        "Convert" => return Some(convert(call)),
        "Elu" => return Some(elu(call)),
        "HSigmoid" => return Some(unary(call, "HardSigmoid", vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)])),
        "Swish" => return Some(swish(call)),
        "Mish" => return Some(mish(call)),
        "Clamp" => return Some(clamp(call)),
        "PReLU" => return Some(prelu(call)),
        "Add" => return Some(pairwise(call, "Add")),
        "Subtract" => return Some(pairwise(call, "Sub")),
        "Multiply" => return Some(pairwise(call, "Mul")),
        "Divide" => return Some(pairwise(call, "Div")),
        "Power" => return Some(pairwise(call, "Pow")),
        "Maximum" => return Some(pairwise(call, "Max")),
        "Minimum" => return Some(pairwise(call, "Min")),
        "MatMul" => return Some(matmul(call)),
        "FakeQuantize" => return Some(fake_quantize(call)),
        _ => return None,
    };
    Some(unary(call, operator, vec![]))
}

fn unary(call: &mut Call<'_>, operator: &str, attributes: Vec<onnx_ir::AttributeProto>) -> Translated {
    let x = call.name(0)?;
    call.finish(operator, &[&x], attributes)
}

/// All floats have one type here.
fn convert(call: &mut Call<'_>) -> Translated {
    match call.layer.text("destination_type") {
        Some("f16" | "bf16" | "f32" | "f64") => call.inputs.first().cloned().ok_or_else(|| "no input".into()),
        other => Err(unsupported(format!("a conversion to {}", other.unwrap_or("no type")))),
    }
}

fn elu(call: &mut Call<'_>) -> Translated {
    let alpha = call.layer.number("alpha", 1.0)?;
    unary(call, "Elu", vec![float("alpha", alpha)])
}

/// x * sigmoid(beta * x), which a chain of both engines runs in one step where beta is 1.
fn swish(call: &mut Call<'_>) -> Translated {
    if let Some(beta) = call.optional_constant(1)?
        && beta.tensor.as_floats()? != [1.0]
    {
        return Err(unsupported("a beta other than 1"));
    }
    let x = call.name(0)?;
    let gate = call.step("Sigmoid", &[&x], vec![]);
    call.finish("Mul", &[&x, &gate], vec![])
}

/// x * tanh(ln(1 + exp(x))).
fn mish(call: &mut Call<'_>) -> Translated {
    let x = call.name(0)?;
    let soft = call.step("Softplus", &[&x], vec![]);
    let gate = call.step("Tanh", &[&soft], vec![]);
    call.finish("Mul", &[&x, &gate], vec![])
}

fn clamp(call: &mut Call<'_>) -> Translated {
    let (low, high) = (call.layer.number("min", f32::MIN)?, call.layer.number("max", f32::MAX)?);
    let x = call.name(0)?;
    let (low, high) = (call.float(low), call.float(high));
    call.finish("Clip", &[&x, &low, &high], vec![])
}

/// A list of slopes is one for each channel in OpenVINO, and one for each column in ONNX.
fn prelu(call: &mut Call<'_>) -> Translated {
    let (dims, slope) = (call.dims(0)?, call.constant(1)?);
    let by_channel = slope.tensor.dims.len() == 1 && dims.len() > 2 && dims.get(1) == Some(&slope.tensor.len());
    let slope = if by_channel {
        let mut shape = vec![1; dims.len() - 1];
        if let Some(channels) = shape.first_mut() {
            *channels = slope.tensor.len();
        }
        let tensor = slope.tensor.reshaped(&shape)?;
        call.tensor(&tensor)
    } else {
        call.name(1)?
    };
    let x = call.name(0)?;
    call.finish("PRelu", &[&x, &slope], vec![])
}

fn pairwise(call: &mut Call<'_>, operator: &str) -> Translated {
    match call.layer.text("auto_broadcast") {
        None | Some("numpy" | "none" | "") => {}
        Some(other) => return Err(unsupported(format!("broadcasting as {other}"))),
    }
    let (a, b) = (call.name(0)?, call.name(1)?);
    call.finish(operator, &[&a, &b], vec![])
}

fn matmul(call: &mut Call<'_>) -> Translated {
    let mut operands = Vec::with_capacity(2);
    for (index, flag) in [(0, "transpose_a"), (1, "transpose_b")] {
        let rank = call.dims(index)?.len();
        if rank < 2 {
            return Err(unsupported("a vector in a product of matrices"));
        }
        if !call.layer.flag(flag, false)? {
            operands.push(call.name(index)?);
            continue;
        }
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 1, rank - 2);
        operands.push(match call.inputs.get(index) {
            Some(Value::Constant(constant)) => {
                let transposed = permuted(&constant.tensor, &order, call.budget)?;
                call.tensor(&transposed)
            }
            _ => {
                let x = call.name(index)?;
                call.step("Transpose", &[&x], vec![list("perm", order)])
            }
        });
    }
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    call.finish("MatMul", &operands, vec![])
}

/// Rounds to one of `levels` values between two bounds. x is clamped to the bounds of the input
/// first, and then mapped to those of the output.
fn fake_quantize(call: &mut Call<'_>) -> Translated {
    let steps = call.layer.number("levels", 256u32)?.saturating_sub(1).max(1) as f32;
    let limits = [call.constant(1)?, call.constant(2)?, call.constant(3)?, call.constant(4)?];
    let [in_low, in_high, out_low, out_high] = limits.each_ref().map(|limit| &limit.tensor);
    let span = |low: &Tensor, high: &Tensor, factor: fn(f32, f32) -> f32| -> Result<Tensor, Refusal> {
        if low.dims != high.dims {
            return Err(unsupported("bounds of different shapes"));
        }
        let pairs = low.as_floats()?.iter().zip(high.as_floats()?);
        Ok(Tensor::floats(&low.dims, pairs.map(|(&low, &high)| factor(low, high)).collect()))
    };
    if span(in_low, in_high, |low, high| high - low)?.as_floats()?.iter().any(|span| span.is_nan() || *span <= 0.0) {
        return Err(unsupported("bounds without a span"));
    }
    let scaled = |tensor: Tensor, by: f32| -> Result<Tensor, String> {
        Ok(Tensor::floats(&tensor.dims, tensor.as_floats()?.iter().map(|v| v * by).collect()))
    };
    let to_steps = scaled(span(in_low, in_high, |low, high| 1.0 / (high - low))?, steps)?;
    let from_steps = scaled(span(out_low, out_high, |low, high| high - low)?, 1.0 / steps)?;
    let (to_steps, from_steps) = (call.tensor(&to_steps), call.tensor(&from_steps));
    let (x, low, high, out_low) = (call.name(0)?, call.name(1)?, call.name(2)?, call.name(3)?);
    let x = call.step("Max", &[&x, &low], vec![]);
    let x = call.step("Min", &[&x, &high], vec![]);
    let x = call.step("Sub", &[&x, &low], vec![]);
    let x = call.step("Mul", &[&x, &to_steps], vec![]);
    let x = call.step("Round", &[&x], vec![]);
    let x = call.step("Mul", &[&x, &from_steps], vec![]);
    call.finish("Add", &[&x, &out_low], vec![])
}
