//! Builder of the ONNX model of a network.
//!
//! Owns nodes and weights while they are collected. Guarantees that no two values have one name,
//! and that each constant is written once.

use std::collections::HashSet;

use onnx_ir::{AttributeProto, AttributeType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

use super::tensor::{Tensor, Values};

/// The operator set in which nodes are written: the last that takes the axes of a ReduceMean as an
/// attribute.
const OPSET: i64 = 17;
/// The version of the file format that came with that operator set.
const IR_VERSION: i64 = 8;
/// ONNX's numbers for the types of values.
pub(super) const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// A model under construction.
#[derive(Default)]
pub(super) struct Model {
    graph: GraphProto,
    names: HashSet<String>,
}

impl Model {
    /// A unique name: `wanted`, with a number appended where it is taken.
    pub(super) fn name(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}#{number}");
        }
        name
    }

    /// Declares the only input.
    pub(super) fn input(&mut self, name: &str, dims: &[usize]) {
        self.graph.input.push(value(name, Some(dims)));
    }

    /// Declares an output: the result of a node, not declared before.
    pub(super) fn output(&mut self, name: &str) -> Result<(), String> {
        let declared = self.graph.input.iter().chain(&self.graph.output).any(|value| value.name == name);
        if declared {
            return Err(format!("{name} as an output, which is the input or an output already"));
        }
        self.graph.output.push(value(name, None));
        Ok(())
    }

    pub(super) fn outputs(&self) -> usize {
        self.graph.output.len()
    }

    /// Adds a node with one output, whose name is `output`.
    pub(super) fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            op_type: operator.to_owned(),
            // Errors of either engine name the layer.
            name: output.to_owned(),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attributes,
            ..NodeProto::default()
        });
    }

    /// Adds an intermediate node of the value `of`; returns the name of its output.
    pub(super) fn step(
        &mut self,
        operator: &str,
        inputs: &[&str],
        of: &str,
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = self.name(&format!("{of}/{operator}"));
        self.node(operator, inputs, &output, attributes);
        output
    }

    /// Adds a constant; returns its name.
    pub(super) fn constant(&mut self, wanted: &str, tensor: &Tensor) -> String {
        let name = self.name(wanted);
        let (data_type, raw_data): (i32, Vec<u8>) = match &tensor.values {
            Values::Floats(values) => (FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Values::Integers(values) => (INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        };
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: tensor.dims.iter().map(|&n| n as i64).collect(),
            data_type,
            raw_data: raw_data.into(),
            ..TensorProto::default()
        });
        name
    }

    /// The whole model.
    pub(super) fn finish(mut self) -> ModelProto {
        let mut model = ModelProto { ir_version: IR_VERSION, ..ModelProto::default() };
        self.graph.name = "openvino".into();
        model.opset_import.push(Default::default());
        if let Some(opset) = model.opset_import.last_mut() {
            opset.version = OPSET;
        }
        *model.graph.mut_or_insert_default() = self.graph;
        model
    }
}

fn value(name: &str, dims: Option<&[usize]>) -> ValueInfoProto {
    let mut info = ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() };
    let tensor = info.type_.mut_or_insert_default().mut_tensor_type();
    tensor.elem_type = FLOAT;
    if let Some(dims) = dims {
        let shape = &mut tensor.shape.mut_or_insert_default().dim;
        for &size in dims {
            shape.push(Default::default());
            if let Some(dim) = shape.last_mut() {
                dim.set_dim_value(size as i64);
            }
        }
    }
    info
}

/// An attribute that is an integer.
pub(super) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::INT.into(), i: value, ..AttributeProto::default() }
}

/// An attribute that is a list of integers.
pub(super) fn list(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = values.into_iter().map(|v| v as i64).collect();
    AttributeProto { name: name.into(), type_: AttributeType::INTS.into(), ints, ..AttributeProto::default() }
}

/// An attribute that is a float.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::FLOAT.into(), f: value, ..AttributeProto::default() }
}

/// An attribute that is a text.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec().into();
    AttributeProto { name: name.into(), type_: AttributeType::STRING.into(), s, ..AttributeProto::default() }
}
