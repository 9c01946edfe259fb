//! Convolutions and pooling: layers of sliding windows over rows and columns.

use onnx_ir::AttributeProto;

use super::call::{Call, Refusal, Translated, Value, unsupported};
use crate::openvino::{
    document::{Layer, bounded},
    onnx::{integer, list},
};

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    Some(match call.layer.kind.as_str() {
        "Convolution" => convolution(call, false),
        "GroupConvolution" => convolution(call, true),
        "ConvolutionBackpropData" => transposed(call, false),
        "GroupConvolutionBackpropData" => transposed(call, true),
        "MaxPool" => maximum(call),
        "AvgPool" => average(call),
        _ => return None,
    })
}

/// Geometry of a window; each pair is rows, columns.
struct Window {
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    begin: [usize; 2],
    end: [usize; 2],
}

impl Window {
    /// The window of a layer over an input of this shape, with the padding that follows from the
    /// input's size written out.
    fn new(layer: &Layer, dims: &[usize], kernel: &[usize]) -> Result<Self, Refusal> {
        let (&[_, _, height, width], &[rows, columns]) = (dims, kernel) else {
            return Err(unsupported(format!("windows over {} axes", kernel.len())));
        };
        let pair = |name: &str, otherwise: usize| -> Result<[usize; 2], Refusal> {
            match layer.list::<u32>(name)?.as_slice() {
                [] => Ok([otherwise; 2]),
                &[rows, columns] => Ok([rows as usize, columns as usize]),
                other => Err(unsupported(format!("{} {name}", other.len()))),
            }
        };
        let kernel = [rows, columns];
        let (strides, dilations) = (pair("strides", 1)?, pair("dilations", 1)?);
        if [kernel, strides, dilations].iter().flatten().any(|&n| n == 0 || n > 1 << 16) {
            return Err("a window, a stride or a dilation of no size".into());
        }
        let (begin, end) = match layer.text("auto_pad").unwrap_or("explicit") {
            "explicit" | "notset" => (pair("pads_begin", 0)?, pair("pads_end", 0)?),
            "valid" => ([0; 2], [0; 2]),
            same @ ("same_upper" | "same_lower") => {
                let total = |size: usize, kernel: usize, stride: usize, dilation: usize| {
                    let covered = (size.div_ceil(stride).saturating_sub(1)) * stride + (kernel - 1) * dilation + 1;
                    covered.saturating_sub(size)
                };
                let ([kh, kw], [sh, sw], [dh, dw]) = (kernel, strides, dilations);
                let total = [total(height, kh, sh, dh), total(width, kw, sw, dw)];
                let (small, large) = (total.map(|n| n / 2), total.map(|n| n - n / 2));
                if same == "same_upper" { (small, large) } else { (large, small) }
            }
            other => return Err(unsupported(format!("padding as {other}"))),
        };
        let mut window = Self { kernel, strides, dilations, begin, end };
        match layer.text("rounding_type").unwrap_or("floor") {
            "floor" => {}
            "ceil" => window.cover([height, width]),
            other => return Err(unsupported(format!("rounding as {other}"))),
        }
        let ([top, left], [bottom, right]) = (window.begin, window.end);
        bounded(&[dims.get(1).copied().unwrap_or(1), height + top + bottom, width + left + right])?;
        Ok(window)
    }

    /// Refuses the result of a transposed convolution that is too large to allocate.
    fn check_transposed(&self, dims: &[usize], channels: usize) -> Result<(), String> {
        let &[_, _, height, width] = dims else { return Ok(()) };
        let ([sh, sw], [kh, kw], [dh, dw]) = (self.strides, self.kernel, self.dilations);
        bounded(&[channels, height * sh + kh * dh, width * sw + kw * dw])
    }

    /// Extends the padding so that the last window, which is partly outside, counts. ONNX has a
    /// setting for that, which engines read differently.
    fn cover(&mut self, size: [usize; 2]) {
        let Self { kernel, strides, dilations, begin, end } = self;
        for ((((size, kernel), stride), dilation), (begin, end)) in
            size.iter().zip(kernel).zip(strides).zip(dilations).zip(begin.iter().zip(end))
        {
            let there = size + *begin + *end;
            let window = (*kernel - 1) * *dilation + 1;
            let covered = there.saturating_sub(window).div_ceil(*stride) * *stride + window;
            *end += covered.saturating_sub(there);
        }
    }

    fn attributes(&self) -> Vec<AttributeProto> {
        vec![
            list("strides", self.strides),
            list("pads", self.begin.into_iter().chain(self.end)),
            list("kernel_shape", self.kernel),
        ]
    }
}

/// Weights as ONNX has them, their channels and the number of groups.
fn weights(call: &mut Call<'_>, grouped: bool) -> Result<(String, Vec<usize>, usize), Refusal> {
    let Some(Value::Constant(constant)) = call.inputs.get(1).cloned() else {
        return Err(unsupported("weights that the network computes"));
    };
    constant.tensor.as_floats()?;
    let dims = constant.tensor.dims.clone();
    if !grouped {
        return Ok((call.name(1)?, dims, 1));
    }
    let &[groups, first, second, ref window @ ..] = dims.as_slice() else {
        return Err("weights without groups".into());
    };
    let merged = groups.checked_mul(first).ok_or("weights without groups")?;
    let merged = [&[merged, second], window].concat();
    call.budget.take(&merged)?;
    let tensor = constant.tensor.reshaped(&merged)?;
    Ok((call.tensor(&tensor), merged, groups))
}

fn convolution(call: &mut Call<'_>, grouped: bool) -> Translated {
    let (weights, shape, groups) = weights(call, grouped)?;
    let window = Window::new(call.layer, &call.dims(0)?, shape.get(2..).unwrap_or_default())?;
    let mut attributes = window.attributes();
    attributes.extend([list("dilations", window.dilations), integer("group", groups as i64)]);
    let x = call.name(0)?;
    call.finish("Conv", &[&x, &weights], attributes)
}

fn transposed(call: &mut Call<'_>, grouped: bool) -> Translated {
    if call.inputs.len() > 2 || !matches!(call.layer.text("auto_pad"), None | Some("explicit" | "notset" | "valid")) {
        return Err(unsupported("padding that follows from the size of the output"));
    }
    let (weights, shape, groups) = weights(call, grouped)?;
    let window = Window::new(call.layer, &call.dims(0)?, shape.get(2..).unwrap_or_default())?;
    window.check_transposed(&call.dims(0)?, shape.get(1).map_or(1, |each| each.saturating_mul(groups)))?;
    let mut attributes = window.attributes();
    attributes.extend([list("dilations", window.dilations), integer("group", groups as i64)]);
    let padding: Vec<usize> = call.layer.list("output_padding")?;
    if !padding.is_empty() {
        attributes.push(list("output_padding", padding));
    }
    let x = call.name(0)?;
    call.finish("ConvTranspose", &[&x, &weights], attributes)
}

fn maximum(call: &mut Call<'_>) -> Translated {
    let window = pool(call)?;
    let mut attributes = window.attributes();
    if window.dilations != [1, 1] {
        attributes.push(list("dilations", window.dilations));
    }
    let x = call.name(0)?;
    call.finish("MaxPool", &[&x], attributes)
}

fn average(call: &mut Call<'_>) -> Translated {
    let without_padding = call.layer.flag("exclude-pad", false)?;
    if !without_padding && call.layer.text("rounding_type") == Some("ceil") {
        return Err(unsupported("windows partly outside that count the padding"));
    }
    let mut attributes = pool(call)?.attributes();
    attributes.push(integer("count_include_pad", i64::from(!without_padding)));
    let x = call.name(0)?;
    call.finish("AveragePool", &[&x], attributes)
}

fn pool(call: &Call<'_>) -> Result<Window, Refusal> {
    let kernel: Vec<usize> = call.layer.list::<u32>("kernel")?.into_iter().map(|n| n as usize).collect();
    Window::new(call.layer, &call.dims(0)?, &kernel)
}
