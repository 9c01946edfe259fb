//! ONNX files: parsing, and replacing the declared shape of the input.
//!
//! onnx-ir infers shapes and folds what follows from them into constants, so a declared shape that
//! is not the one to run with (CenterFace declares ten pictures of 32x32) has to be replaced before
//! onnx-ir reads the file. It has no function for that, so the protobuf message is rewritten.

use std::collections::HashSet;

use bytes::Bytes;
use onnx_ir::{Message, ModelProto, OnnxGraph, OnnxGraphBuilder};

use crate::{
    array::InputShape,
    network_error::{NetworkError, catch_panic},
};

/// A graph with constants folded.
pub(crate) struct ParsedGraph {
    pub(crate) graph: OnnxGraph,
    /// Names of the outputs as the file has them, in its order; onnx-ir renames values.
    pub(crate) outputs: Vec<String>,
}

/// Parses a file and declares `shape` as that of its input; also returns the names of its outputs,
/// in order. The weights stay in the memory of `bytes`.
pub(crate) fn parse(name: &str, bytes: Vec<u8>, shape: InputShape) -> Result<(ModelProto, Vec<String>), NetworkError> {
    contain(name, || {
        let mut model = ModelProto::parse_from_tokio_bytes(&Bytes::from(bytes)).map_err(|e| e.to_string())?;
        declare_input(&mut model, shape)?;
        let outputs = outputs(&model);
        Ok((model, outputs))
    })
}

/// Names of the outputs, in their order.
pub(crate) fn outputs(model: &ModelProto) -> Vec<String> {
    model.graph.output.iter().map(|output| output.name.clone()).collect()
}

/// Converts a model to onnx-ir's graph, with constants folded.
pub(crate) fn simplify(name: &str, model: ModelProto, outputs: Vec<String>) -> Result<ParsedGraph, NetworkError> {
    contain(name, || {
        let bytes = model.write_to_bytes().map_err(|e| e.to_string())?;
        drop(model);
        let graph = OnnxGraphBuilder::new().simplify(true).parse_bytes(&bytes).map_err(|e| e.to_string())?;
        Ok(ParsedGraph { graph, outputs })
    })
}

/// onnx-ir indexes into lists without checking their length, and panics on a malformed file.
fn contain<T>(name: &str, parse: impl FnOnce() -> Result<T, String>) -> Result<T, NetworkError> {
    catch_panic(parse).unwrap_or_else(Err).map_err(|reason| NetworkError::Malformed { file: name.into(), reason })
}

fn declare_input(model: &mut ModelProto, shape: InputShape) -> Result<(), String> {
    if model.graph.node.is_empty() {
        return Err("no operators in it".into());
    }
    let graph = model.graph.mut_or_insert_default();
    // Sizes that the exporter recorded would contradict the new ones; ranks stay valid. The sizes
    // have no name: ONNX Runtime takes dimensions of the same name for equal, and reuses memory
    // accordingly.
    for value in graph.value_info.iter_mut().chain(&mut graph.output) {
        for dim in &mut value.type_.mut_or_insert_default().mut_tensor_type().shape.mut_or_insert_default().dim {
            dim.value = None;
        }
    }
    // Before IR version 4, weights are listed among the inputs, too.
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
