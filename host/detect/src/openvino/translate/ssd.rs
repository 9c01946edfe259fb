//! `DetectionOutput`, the last layer of SSD detectors (Liu et al., 2016, arXiv:1512.02325).
//!
//! Its first half, the decoding of boxes from prior boxes, is translated; its second half, the
//! selection of boxes, is left to the family `ssd`, which has the thresholds of the manifest. The
//! model has two outputs in its place: boxes, `[1, priors, 4]` (left, top, right, bottom, as
//! fractions of the input's sides), and scores, `[1, priors, classes]`.

use super::call::{Call, Refusal, Translated, Value, unsupported};
use crate::openvino::{onnx::integer, tensor::Tensor};

pub(super) fn translate(call: &mut Call<'_>) -> Option<Translated> {
    (call.layer.kind == "DetectionOutput").then(|| detections(call))
}

fn detections(call: &mut Call<'_>) -> Translated {
    if call.inputs.len() != 3 {
        return Err(unsupported("a second stage of boxes"));
    }
    if !call.layer.flag("share_location", true)? {
        return Err(unsupported("a box for each class"));
    }
    if !call.layer.flag("normalized", false)? {
        return Err(unsupported("prior boxes in pixels"));
    }
    let priors = call.constant(2)?;
    let encoded = call.layer.flag("variance_encoded_in_target", false)?;
    let Priors { corners, variances } = Priors::new(&priors.tensor, encoded)?;
    let count = corners.len();
    let scores = scores(call, count)?;
    let offsets = {
        let (x, shape) = (call.name(0)?, call.sizes(&[1, count, 4]));
        call.step("Reshape", &[&x, &shape], vec![])
    };
    let mut boxes = match call.layer.text("code_type").unwrap_or("caffe.PriorBoxParameter.CORNER") {
        "caffe.PriorBoxParameter.CENTER_SIZE" => from_centres(call, &offsets, &corners, &variances),
        "caffe.PriorBoxParameter.CORNER" => from_corners(call, &offsets, &corners, &variances),
        other => return Err(unsupported(format!("boxes encoded as {other}"))),
    };
    if call.layer.flag("clip_before_nms", false)? {
        let (low, high) = (call.float(0.0), call.float(1.0));
        boxes = call.step("Clip", &[&boxes, &low, &high], vec![]);
    }
    Ok(Value::Detections(boxes, scores))
}

/// Scores by prior and class.
fn scores(call: &mut Call<'_>, count: usize) -> Result<String, Refusal> {
    let all: usize = call.dims(1)?.iter().product();
    let classes = all.checked_div(count).filter(|classes| classes * count == all);
    let classes = classes.ok_or_else(|| format!("{all} scores for {count} prior boxes"))?;
    let (x, shape) = (call.name(1)?, call.sizes(&[1, count, classes]));
    Ok(call.step("Reshape", &[&x, &shape], vec![]))
}

struct Priors {
    /// Left, top, right, bottom.
    corners: Vec<[f32; 4]>,
    /// As many.
    variances: Vec<[f32; 4]>,
}

impl Priors {
    fn new(tensor: &Tensor, encoded: bool) -> Result<Self, Refusal> {
        let values = tensor.as_floats()?;
        let rows = if encoded { 1 } else { 2 };
        let groups = values.as_chunks::<4>().0;
        if values.is_empty() || values.len() % (4 * rows) != 0 {
            return Err(format!("prior boxes of {:?}", tensor.dims).into());
        }
        let (corners, variances) = groups.split_at(groups.len() / rows);
        let variances = if encoded { vec![[1.0; 4]; corners.len()] } else { variances.to_vec() };
        Ok(Self { corners: corners.to_vec(), variances })
    }
}

/// A constant `[1, boxes, N]` with one row for each prior box.
fn by_prior<const N: usize>(
    call: &mut Call<'_>,
    corners: &[[f32; 4]],
    variances: &[[f32; 4]],
    row: fn([f32; 4], [f32; 4]) -> [f32; N],
) -> String {
    let values = corners.iter().zip(variances).flat_map(|(corners, variances)| row(*corners, *variances));
    let tensor = Tensor::floats(&[1, corners.len(), N], values.collect());
    call.tensor(&tensor)
}

/// The columns `from..to` of the offsets.
fn columns(call: &mut Call<'_>, offsets: &str, from: i64, to: i64) -> String {
    let bounds = [from, to, 2].map(|value| call.integers(&[value]));
    let [from, to, axis] = &bounds;
    call.step("Slice", &[offsets, from, to, axis], vec![])
}

/// Offsets of the centre in sides of the prior box, and logarithms of the sides.
fn from_centres(call: &mut Call<'_>, offsets: &str, corners: &[[f32; 4]], variances: &[[f32; 4]]) -> String {
    let scales = by_prior(call, corners, variances, |[l, t, r, b], [x, y, w, h]| [x * (r - l), y * (b - t), w, h]);
    let centres = by_prior(call, corners, variances, |[l, t, r, b], _| [(l + r) / 2.0, (t + b) / 2.0]);
    let halves = by_prior(call, corners, variances, |[l, t, r, b], _| [(r - l) / 2.0, (b - t) / 2.0]);
    let scaled = call.step("Mul", &[offsets, &scales], vec![]);
    let moved = columns(call, &scaled, 0, 2);
    let centre = call.step("Add", &[&moved, &centres], vec![]);
    let logarithms = columns(call, &scaled, 2, 4);
    let factors = call.step("Exp", &[&logarithms], vec![]);
    let half = call.step("Mul", &[&factors, &halves], vec![]);
    let low = call.step("Sub", &[&centre, &half], vec![]);
    let high = call.step("Add", &[&centre, &half], vec![]);
    call.step("Concat", &[&low, &high], vec![integer("axis", 2)])
}

/// Offsets of the corners.
fn from_corners(call: &mut Call<'_>, offsets: &str, corners: &[[f32; 4]], variances: &[[f32; 4]]) -> String {
    let scales = by_prior(call, corners, variances, |_, variances| variances);
    let priors = by_prior(call, corners, variances, |corners, _| corners);
    let scaled = call.step("Mul", &[offsets, &scales], vec![]);
    call.step("Add", &[&scaled, &priors], vec![])
}
