//! ONNX networks that tests write, node by node.

#![allow(dead_code, reason = "each suite uses some of it")]

use onnx_ir::{AttributeProto, AttributeType, GraphProto, Message, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// The operator set of current exporters.
const OPSET: i64 = 17;
/// The version of the file format that came with it.
const IR_VERSION: i64 = 8;
/// `TensorProto.DataType`
const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// A network of a picture. Values are named by the operators that compute them.
#[derive(Default)]
pub(crate) struct Onnx {
    graph: GraphProto,
    /// Of weights, so that no two are alike.
    seed: u64,
}

impl Onnx {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let mut onnx = Self::default();
        onnx.graph.name = "net".into();
        onnx.graph.input.push(declared("picture", &[1, 3, height, width]));
        onnx
    }

    /// Adds a node with one output; returns the output's name.
    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        self.several(operator, inputs, 1, attributes).remove(0)
    }

    pub(crate) fn several(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: Vec<AttributeProto>,
    ) -> Vec<String> {
        let place = self.graph.node.len();
        let outputs: Vec<String> = (0..outputs).map(|output| format!("{operator}_{place}_{output}")).collect();
        self.graph.node.push(NodeProto {
            op_type: operator.to_owned(),
            name: format!("{operator}_{place}"),
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: outputs.clone(),
            attribute: attributes,
            ..NodeProto::default()
        });
        outputs
    }

    fn constant(&mut self, data_type: i32, dims: &[usize], raw_data: Vec<u8>) -> String {
        let name = format!("constant_{}", self.graph.initializer.len());
        self.graph.initializer.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&n| n as i64).collect(),
            data_type,
            raw_data: raw_data.into(),
            ..TensorProto::default()
        });
        name
    }

    pub(crate) fn floats(&mut self, dims: &[usize], values: &[f32]) -> String {
        self.constant(FLOAT, dims, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// Weights of both signs, whose sums over `fan_in` products stay near 1.
    pub(crate) fn weights(&mut self, dims: &[usize], fan_in: usize) -> String {
        self.seed += 1;
        let scale = 1.5 / (fan_in as f32).sqrt();
        let values: Vec<f32> = (0..dims.iter().product::<usize>() as u64)
            .map(|i| ((i + self.seed * 7919) * 2_654_435_761 % (1 << 32)) >> 8)
            .map(|bits| (bits as f32 / (1 << 23) as f32 - 1.0) * scale)
            .collect();
        self.floats(dims, &values)
    }

    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        self.constant(INT64, &[values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn reshape(&mut self, x: &str, dims: &[i64]) -> String {
        let dims = self.integers(dims);
        self.node("Reshape", &[x, &dims], vec![])
    }

    pub(crate) fn transpose(&mut self, x: &str, axes: &[usize]) -> String {
        self.node("Transpose", &[x], vec![list("perm", axes)])
    }

    /// A 3x3 convolution with a ReLU.
    pub(crate) fn convolution(&mut self, x: &str, channels: (usize, usize), stride: usize) -> String {
        let (from, to) = channels;
        let (weights, bias) = (self.weights(&[to, from, 3, 3], from * 9), self.weights(&[to], 1));
        let attributes = vec![list("strides", &[stride; 2]), list("pads", &[1; 4]), list("kernel_shape", &[3; 2])];
        let convolved = self.node("Conv", &[x, &weights, &bias], attributes);
        self.node("Relu", &[&convolved], vec![])
    }

    /// A product with weights along the last axis, and a bias.
    pub(crate) fn linear(&mut self, x: &str, channels: (usize, usize)) -> String {
        let (from, to) = channels;
        let (weights, bias) = (self.weights(&[from, to], from), self.weights(&[to], 1));
        let product = self.node("MatMul", &[x, &weights], vec![]);
        self.node("Add", &[&product, &bias], vec![])
    }

    /// The file, with outputs of these names and ranks.
    pub(crate) fn file(mut self, outputs: &[(&str, &str, usize)]) -> Vec<u8> {
        for (value, name, rank) in outputs {
            self.graph.node.push(NodeProto {
                op_type: "Identity".into(),
                name: (*name).to_owned(),
                input: vec![(*value).to_owned()],
                output: vec![(*name).to_owned()],
                ..NodeProto::default()
            });
            self.graph.output.push(declared(name, &vec![1; *rank]));
        }
        let mut model = ModelProto { ir_version: IR_VERSION, ..ModelProto::default() };
        model.opset_import.push(Default::default());
        model.opset_import[0].version = OPSET;
        *model.graph.mut_or_insert_default() = self.graph;
        model.write_to_bytes().unwrap()
    }
}

fn declared(name: &str, dims: &[usize]) -> ValueInfoProto {
    let mut info = ValueInfoProto { name: name.to_owned(), ..ValueInfoProto::default() };
    let tensor = info.type_.mut_or_insert_default().mut_tensor_type();
    tensor.elem_type = FLOAT;
    let shape = &mut tensor.shape.mut_or_insert_default().dim;
    for &size in dims {
        shape.push(Default::default());
        shape.last_mut().unwrap().set_dim_value(size as i64);
    }
    info
}

pub(crate) fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::INT.into(), i: value, ..AttributeProto::default() }
}

pub(crate) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), type_: AttributeType::FLOAT.into(), f: value, ..AttributeProto::default() }
}

pub(crate) fn list(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&v| v as i64).collect();
    AttributeProto { name: name.into(), type_: AttributeType::INTS.into(), ints, ..AttributeProto::default() }
}

pub(crate) fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec().into();
    AttributeProto { name: name.into(), type_: AttributeType::STRING.into(), s, ..AttributeProto::default() }
}
