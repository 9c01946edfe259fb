//! Translation of one layer: its inputs and settings, and the nodes that are written for it.

use std::{cell::RefCell, rc::Rc};

use onnx_ir::AttributeProto;

use crate::openvino::{
    document::Layer,
    fold,
    onnx::Model,
    tensor::{Budget, Tensor},
};

/// A value of the network.
#[derive(Clone)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    /// Name in the ONNX model, and shape.
    Computed(String, Vec<usize>),
    /// Candidates of a DetectionOutput: the names of the boxes and of their scores.
    Detections(String, String),
}

impl Value {
    /// The value of a layer that is a constant.
    pub(super) fn constant(layer: &Layer, tensor: Tensor) -> Self {
        Self::Constant(Rc::new(Constant { tensor, layer: layer.name.clone(), written: RefCell::default() }))
    }
}

pub(super) struct Constant {
    pub(super) tensor: Tensor,
    /// Of the layer.
    layer: String,
    /// Name in the ONNX model, once it is used.
    written: RefCell<Option<String>>,
}

/// The translated output of a layer.
pub(super) type Translated = Result<Value, Refusal>;

/// Reason why a layer has no translation.
pub(super) enum Refusal {
    /// An unsupported layer or setting.
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

pub(super) fn unsupported(reason: impl Into<String>) -> Refusal {
    Refusal::Unsupported(reason.into())
}

/// A layer that is being translated.
pub(super) struct Call<'a> {
    pub(super) layer: &'a Layer,
    pub(super) inputs: Vec<Value>,
    pub(super) model: &'a mut Model,
    pub(super) budget: &'a mut Budget,
    /// Name of its first output.
    pub(super) output: String,
}

impl Call<'_> {
    /// Name of an input in the ONNX model.
    pub(super) fn name(&mut self, index: usize) -> Result<String, Refusal> {
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
    pub(super) fn dims(&self, index: usize) -> Result<Vec<usize>, Refusal> {
        match self.inputs.get(index) {
            Some(Value::Computed(_, dims)) => Ok(dims.clone()),
            Some(Value::Constant(constant)) => Ok(constant.tensor.dims.clone()),
            Some(Value::Detections(..)) => Err(unsupported("boxes of a DetectionOutput as an input")),
            None => Err(Refusal::Malformed(format!("no input {index}"))),
        }
    }

    /// An input that is a constant, or may be absent.
    pub(super) fn optional_constant(&self, index: usize) -> Result<Option<Rc<Constant>>, Refusal> {
        match self.inputs.get(index) {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(Rc::clone(constant))),
            Some(_) => Err(unsupported(format!("an input {index} that the network computes"))),
        }
    }

    /// An input that has to be a constant.
    pub(super) fn constant(&self, index: usize) -> Result<Rc<Constant>, Refusal> {
        self.optional_constant(index)?.ok_or_else(|| Refusal::Malformed(format!("no input {index}")))
    }

    /// Axes that a constant input lists, counted from the start.
    pub(super) fn axes(&self, index: usize, rank: usize) -> Result<Vec<usize>, Refusal> {
        let listed = self.constant(index)?;
        let axes = listed.tensor.as_integers()?.iter().map(|&axis| fold::axis(axis, rank));
        Ok(axes.collect::<Result<_, _>>()?)
    }

    /// The node that computes the layer's output.
    pub(super) fn finish(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> Translated {
        self.model.node(operator, inputs, &self.output, attributes);
        Ok(self.value()?)
    }

    /// The layer's output.
    pub(super) fn value(&self) -> Result<Value, String> {
        Ok(Value::Computed(self.output.clone(), self.layer.dims()?.to_vec()))
    }

    /// Adds an intermediate node; returns the name of its result.
    pub(super) fn step(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.model.step(operator, inputs, &self.output, attributes)
    }

    /// A constant of the translation; returns its name.
    pub(super) fn tensor(&mut self, tensor: &Tensor) -> String {
        self.model.constant(&format!("{}/constant", self.output), tensor)
    }

    pub(super) fn float(&mut self, value: f32) -> String {
        self.tensor(&Tensor::floats(&[], vec![value]))
    }

    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        self.tensor(&Tensor::integers(&[values.len()], values.to_vec()))
    }

    pub(super) fn sizes(&mut self, dims: &[usize]) -> String {
        self.integers(&dims.iter().map(|&n| n as i64).collect::<Vec<_>>())
    }
}
