//! Translation of layers to ONNX nodes, one module for each family of operations.

mod elementwise;
mod layout;
mod normalization;
mod scaling;
mod ssd;
mod windows;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use onnx_ir::{AttributeProto, ModelProto};

use super::{
    document::{Graph, Layer, Port},
    fold::fold,
    onnx::Model,
    priors,
    tensor::{self, Budget, Tensor},
};
use crate::{array::InputShape, network_error::NetworkError};

/// A value of the network.
#[derive(Clone)]
enum Value {
    Constant(Rc<Constant>),
    /// Name in the ONNX model, and shape.
    Computed(String, Vec<usize>),
    /// What a DetectionOutput chooses from: the names of the boxes and of their scores.
    Detections(String, String),
}

struct Constant {
    tensor: Tensor,
    /// Of the layer.
    layer: String,
    /// In the ONNX model, once a node takes it.
    written: RefCell<Option<String>>,
}

/// Why a layer has no translation.
enum Refusal {
    /// A layer, or a setting of it, that is not known here.
    Unsupported(String),
    /// A file that contradicts itself.
    Malformed(String),
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Malformed(reason)
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Malformed(reason.to_owned())
    }
}

fn unsupported(reason: impl Into<String>) -> Refusal {
    Refusal::Unsupported(reason.into())
}

/// A layer that is being translated.
struct Call<'a> {
    layer: &'a Layer,
    inputs: Vec<Value>,
    model: &'a mut Model,
    budget: &'a mut Budget,
    /// Name of its first output.
    output: String,
}

impl Call<'_> {
    /// Name of an input in the ONNX model.
    fn name(&mut self, index: usize) -> Result<String, Refusal> {
        match self.inputs.get(index) {
            Some(Value::Computed(name, _)) => Ok(name.clone()),
            Some(Value::Constant(constant)) => {
                let mut written = constant.written.borrow_mut();
                Ok(written.get_or_insert_with(|| self.model.constant(&constant.layer, &constant.tensor)).clone())
            }
            Some(Value::Detections(..)) => Err(unsupported("boxes of a DetectionOutput as an input")),
            None => Err(Refusal::Malformed(format!("no input {index}"))),
        }
    }

    /// Shape of an input.
    fn dims(&self, index: usize) -> Result<Vec<usize>, Refusal> {
        match self.inputs.get(index) {
            Some(Value::Computed(_, dims)) => Ok(dims.clone()),
            Some(Value::Constant(constant)) => Ok(constant.tensor.dims.clone()),
            Some(Value::Detections(..)) => Err(unsupported("boxes of a DetectionOutput as an input")),
            None => Err(Refusal::Malformed(format!("no input {index}"))),
        }
    }

    /// An input that is a constant, or may be absent.
    fn optional_constant(&self, index: usize) -> Result<Option<Rc<Constant>>, Refusal> {
        match self.inputs.get(index) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(Rc::clone(constant))),
            Some(_) => Err(unsupported(format!("an input {index} that the network computes"))),
        }
    }

    /// An input that has to be a constant.
    fn constant(&self, index: usize) -> Result<Rc<Constant>, Refusal> {
        self.optional_constant(index)?.ok_or_else(|| Refusal::Malformed(format!("no input {index}")))
    }

    /// Axes that a constant input lists, counted from the start.
    fn axes(&self, index: usize, rank: usize) -> Result<Vec<usize>, Refusal> {
        let listed = self.constant(index)?;
        let axes = listed.tensor.as_integers()?.iter().map(|&axis| super::fold::axis(axis, rank));
        Ok(axes.collect::<Result<_, _>>()?)
    }

    /// The node that computes the layer's output.
    fn finish(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Translated {
        self.model.node(operator, inputs, &self.output, attributes);
        Ok(self.value()?)
    }

    /// The layer's output.
    fn value(&self) -> Result<Value, String> {
        Ok(Value::Computed(self.output.clone(), self.layer.dims()?.to_vec()))
    }

    /// A node on the way to the layer's output; returns the name of its result.
    fn step(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.model.step(operator, inputs, &self.output, attributes)
    }

    /// A constant of the translation; returns its name.
    fn tensor(&mut self, tensor: &Tensor) -> String {
        self.model.constant(&format!("{}/constant", self.output), tensor)
    }

    fn float(&mut self, value: f32) -> String {
        self.tensor(&Tensor::floats(&[], vec![value]))
    }

    fn integers(&mut self, values: &[i64]) -> String {
        self.tensor(&Tensor::integers(&[values.len()], values.to_vec()))
    }

    fn sizes(&mut self, dims: &[usize]) -> String {
        self.integers(&dims.iter().map(|&n| n as i64).collect::<Vec<_>>())
    }
}

type Translated = Result<Value, Refusal>;

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
                // Layers that take its value are looked at, too.
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

/// What has been translated so far.
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
            "Const" => return Ok(vec![constant(layer, tensor::read(layer, self.weights, budget)?)]),
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
            return Ok(vec![constant(layer, folded?)]);
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

fn constant(layer: &Layer, tensor: Tensor) -> Value {
    Value::Constant(Rc::new(Constant { tensor, layer: layer.name.clone(), written: RefCell::default() }))
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
