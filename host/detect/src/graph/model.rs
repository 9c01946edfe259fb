//! Reads an ONNX file and fixes the shape of its input.
//!
//! onnx-ir infers shapes and folds what follows from them into constants, so a declared shape that
//! is not the one to run (CenterFace declares ten pictures of 32x32) must be replaced before it
//! sees the file. It has no call for that; the protobuf is rewritten.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use onnx_ir::{Message, ModelProto, OnnxGraph, OnnxGraphBuilder};

use super::{NetworkError, contained};

/// The shape of a network's input, `[batch, 3, height, width]`; `None` is any.
///
/// What is known is folded into the network, so more networks can be run with a known shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputShape {
    pub batch: Option<usize>,
    pub height: Option<usize>,
    pub width: Option<usize>,
}

impl InputShape {
    /// One picture of this size.
    pub fn single(width: usize, height: usize) -> Self {
        Self { batch: Some(1), height: Some(height), width: Some(width) }
    }

    fn dims(self) -> [Option<usize>; 4] {
        [self.batch, Some(3), self.height, self.width]
    }

    pub(super) fn takes(self, dims: &[usize]) -> bool {
        dims.len() == 4 && self.dims().iter().zip(dims).all(|(want, &have)| have > 0 && want.is_none_or(|n| n == have))
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = self.dims().map(|n| n.map_or_else(|| "any".into(), |n| n.to_string()));
        write!(f, "[{}]", dims.join(", "))
    }
}

/// A parsed network. onnx-ir renames values; `outputs` are the names that the file gives its
/// outputs, in order.
pub(super) struct Model {
    pub(super) graph: OnnxGraph,
    pub(super) outputs: Vec<String>,
}

/// A network with `shape` as that of its input, and the names of its outputs. Its weights are those
/// of `bytes`, not copied.
pub(super) fn declare(
    name: &str,
    bytes: Vec<u8>,
    shape: InputShape,
) -> Result<(ModelProto, Vec<String>), NetworkError> {
    read_by(name, || {
        let mut model = ModelProto::parse_from_tokio_bytes(&Bytes::from(bytes)).map_err(|e| e.to_string())?;
        declare_input(&mut model, shape)?;
        let outputs = model.graph.output.iter().map(|output| output.name.clone()).collect();
        Ok((model, outputs))
    })
}

/// Simplifies a network.
pub(super) fn read(name: &str, model: ModelProto, outputs: Vec<String>) -> Result<Model, NetworkError> {
    read_by(name, || {
        let bytes = model.write_to_bytes().map_err(|e| e.to_string())?;
        drop(model);
        let graph = OnnxGraphBuilder::new().simplify(true).parse_bytes(&bytes).map_err(|e| e.to_string())?;
        Ok(Model { graph, outputs })
    })
}

/// onnx-ir indexes into what a sound file has and panics where a file has it not.
fn read_by<T>(name: &str, parse: impl FnOnce() -> Result<T, String>) -> Result<T, NetworkError> {
    contained(parse).unwrap_or_else(Err).map_err(|reason| NetworkError::Malformed { file: name.into(), reason })
}

fn declare_input(model: &mut ModelProto, shape: InputShape) -> Result<(), String> {
    if model.graph.node.is_empty() {
        return Err("no operators in it".into());
    }
    let graph = model.graph.mut_or_insert_default();
    // Sizes recorded by the exporter would contradict the new ones; how many dimensions there are
    // stays true.
    for value in graph.value_info.iter_mut().chain(&mut graph.output) {
        for dim in &mut value.type_.mut_or_insert_default().mut_tensor_type().shape.mut_or_insert_default().dim {
            dim.set_dim_param("any".into());
        }
    }
    // Old files list the weights among the inputs.
    let weights: HashSet<&str> = graph.initializer.iter().map(|w| w.name.as_str()).collect();
    let mut inputs: Vec<_> = graph.input.iter_mut().filter(|i| !weights.contains(i.name.as_str())).collect();
    let [input] = inputs.as_mut_slice() else {
        return Err(format!("{} inputs, where a detector has one", inputs.len()));
    };
    let declared = &mut input.type_.mut_or_insert_default().mut_tensor_type().shape.mut_or_insert_default().dim;
    if !declared.is_empty() && declared.len() != 4 {
        return Err(format!("an input of rank {}, where a picture has rank 4", declared.len()));
    }
    declared.resize_with(4, Default::default);
    for (index, (dim, size)) in declared.iter_mut().zip(shape.dims()).enumerate() {
        match size {
            Some(n) => dim.set_dim_value(n as i64),
            None => dim.set_dim_param(format!("any{index}")),
        }
    }
    Ok(())
}
