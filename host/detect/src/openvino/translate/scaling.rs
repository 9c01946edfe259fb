//! Scaling of feature maps: `Interpolate` of operation sets 1, 4 and 11.

use super::call::{Call, Translated, unsupported};
use crate::openvino::onnx::text;

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    (call.layer.kind == "Interpolate").then(|| interpolate(call))
}

fn interpolate(call: &mut Call<'_>) -> Translated {
    let (from, to) = (call.dims(0)?, call.layer.dims()?.to_vec());
    let spatial = from.len() == 4 && to.len() == 4 && from.get(..2) == to.get(..2);
    if !spatial {
        return Err(unsupported("scaling along other axes than rows and columns"));
    }
    let pads: Vec<i64> = [call.layer.list("pads_begin")?, call.layer.list("pads_end")?].concat();
    if call.layer.flag("antialias", false)? || pads.iter().any(|&n| n != 0) {
        return Err(unsupported("antialias, or padding before scaling"));
    }
    let layer = call.layer;
    let mode = match layer.text("mode") {
        Some("nearest") => "nearest",
        // Without antialiasing, both are bilinear scaling.
        Some("linear" | "linear_onnx") => "linear",
        other => return Err(unsupported(format!("a mode of {}", other.unwrap_or("no name")))),
    };
    let (coordinates, rounding) = if layer.opset < 4 {
        let corners = layer.flag("align_corners", true)? && mode == "linear";
        (if corners { "align_corners" } else { "asymmetric" }, "floor")
    } else {
        let enlarged = from.iter().zip(&to).all(|(from, to)| to >= from);
        let rounding = match layer.text("nearest_mode").unwrap_or("round_prefer_floor") {
            "simple" if enlarged => "floor",
            "simple" => "ceil",
            known @ ("round_prefer_floor" | "round_prefer_ceil" | "floor" | "ceil") => known,
            other => return Err(unsupported(format!("rounding as {other}"))),
        };
        (layer.text("coordinate_transformation_mode").unwrap_or("half_pixel"), rounding)
    };
    let attributes =
        vec![text("mode", mode), text("coordinate_transformation_mode", coordinates), text("nearest_mode", rounding)];
    let x = call.name(0)?;
    let sizes = call.sizes(&to);
    // Region of interest and factors are not given.
    call.finish("Resize", &[&x, "", "", &sizes], attributes)
}
