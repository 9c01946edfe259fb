//! Translation of layers to ONNX nodes, one module for each family of operations.

mod call;
mod elementwise;
mod layout;
mod normalization;
mod scaling;
mod ssd;
mod windows;

use std::collections::BTreeMap;

use onnx_ir::ModelProto;

use self::call::{Call, Refusal, Translated, Value, unsupported};
use super::{
    document::{Graph, Layer, Port},
    fold::fold,
    onnx::Model,
    priors,
    tensor::{self, Budget, Tensor},
};
use crate::{array::InputShape, network_error::NetworkError};

/// Translates a network whose input has this shape. `file` is for errors.
pub(super) fn translate(
    file: &str,
    graph: &Graph,
    weights: &[u8],
    shape: InputShape,
) -> Result<ModelProto, NetworkError> {
    let malformed = |reason: String| NetworkError::Malformed { file: file.into(), reason };
    let mut network = Network { model: Model::default(), values: Vec::new(), weights, shape, inputs: 0 };
    let mut budget = Budget::new(weights.len());
    let mut refused: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for layer in &graph.layers {
        let values = match network.outputs(layer, &mut budget) {
            Ok(values) => values,
            Err(Refusal::Malformed(reason)) => return Err(malformed(format!("{}: {reason}", layer.describe()))),
            Err(Refusal::Unsupported(reason)) => {
                let operator = format!("{} of opset{} ({reason})", layer.kind, layer.opset);
                refused.entry(operator).or_default().push(&layer.name);
                // Its consumers are checked, too.
                let unknown = |port: &Port| Value::Computed(layer.name.clone(), port.dims.clone());
                layer.outputs.iter().map(unknown).collect()
            }
        };
        network.values.push(values);
    }
    if !refused.is_empty() {
        let operators = refused.into_iter().map(|(operator, layers)| format!("{operator} in {}", layers.join(", ")));
        return Err(NetworkError::Unsupported { file: file.into(), operators: operators.collect() });
    }
    if network.inputs != 1 {
        return Err(malformed(format!("{} inputs, where a picture is the only one", network.inputs)));
    }
    if network.model.outputs() == 0 {
        return Err(malformed("no output".into()));
    }
    Ok(network.model.finish())
}

/// The part of a network that is translated so far.
struct Network<'a> {
    model: Model,
    /// By layer and output.
    values: Vec<Vec<Value>>,
    weights: &'a [u8],
    shape: InputShape,
    inputs: usize,
}

impl Network<'_> {
    /// The values of a layer's outputs. Of outputs that are of no use to a network (the places of
    /// the maxima of a MaxPool) there are none.
    fn outputs(&mut self, layer: &Layer, budget: &mut Budget) -> Result<Vec<Value>, Refusal> {
        match layer.kind.as_str() {
            "Parameter" => return Ok(vec![self.parameter(layer)?]),
            "Const" => return Ok(vec![Value::constant(layer, tensor::read(layer, self.weights, budget)?)]),
            _ => {}
        }
        let mut inputs = Vec::with_capacity(layer.inputs.len());
        for origin in &layer.inputs {
            let values = self.values.get(origin.layer).ok_or("an input that is not computed before")?;
            let value = values.get(origin.output).cloned();
            inputs.push(value.ok_or_else(|| unsupported(format!("output {} of a layer as an input", origin.output)))?);
        }
        if layer.kind == "Result" {
            return Ok(vec![self.result(&inputs)?]);
        }
        if let Some(folded) = folded(layer, &inputs, budget) {
            return Ok(vec![Value::constant(layer, folded?)]);
        }
        let output = self.model.name(&layer.name);
        let mut call = Call { layer, inputs, model: &mut self.model, budget, output };
        if matches!(layer.kind.as_str(), "Split" | "VariadicSplit") {
            return layout::split(&mut call);
        }
        let families = [
            elementwise::translate,
            layout::translate,
            normalization::translate,
            scaling::translate,
            ssd::translate,
            windows::translate,
        ];
        let translated = families.iter().find_map(|translate| translate(&mut call));
        Ok(vec![translated.unwrap_or_else(|| Err(unsupported("there is no translation of it")))?])
    }

    fn parameter(&mut self, layer: &Layer) -> Translated {
        self.inputs += 1;
        let dims = layer.dims()?;
        if !self.shape.accepts(dims) || self.shape.dims().contains(&None) {
            return Err(Refusal::Malformed(format!(
                "an input of {dims:?}, where one of {} is asked for; an OpenVINO network takes one size",
                self.shape
            )));
        }
        let name = self.model.name(&layer.name);
        self.model.input(&name, dims);
        Ok(Value::Computed(name, dims.to_vec()))
    }

    fn result(&mut self, inputs: &[Value]) -> Translated {
        match inputs {
            [value @ Value::Computed(name, _)] => {
                self.model.output(name)?;
                Ok(value.clone())
            }
            [value @ Value::Detections(boxes, scores)] => {
                self.model.output(boxes)?;
                self.model.output(scores)?;
                Ok(value.clone())
            }
            _ => Err("an output that does not depend on the input".into()),
        }
    }
}

/// The layer's value where it follows from constants and shapes.
fn folded(layer: &Layer, inputs: &[Value], budget: &mut Budget) -> Option<Result<Tensor, String>> {
    if layer.kind == "ShapeOf" {
        let dims = match inputs {
            [Value::Computed(_, dims)] => dims,
            [Value::Constant(constant)] => &constant.tensor.dims,
            _ => return None,
        };
        return Some(Ok(Tensor::integers(&[dims.len()], dims.iter().map(|&n| n as i64).collect())));
    }
    let constants: Option<Vec<&Tensor>> = inputs
        .iter()
        .map(|input| if let Value::Constant(constant) = input { Some(&constant.tensor) } else { None })
        .collect();
    let operands = constants.filter(|operands| !operands.is_empty())?;
    match layer.kind.as_str() {
        "PriorBox" => Some(priors::plain(layer, &operands, budget)),
        "PriorBoxClustered" => Some(priors::clustered(layer, &operands, budget)),
        _ => fold(layer, &operands, budget),
    }
}
