//! OpenVINO networks (`.xml` and `.bin`, operation sets 1 to 11), written as ONNX models in memory.
//!
//! Both engines read ONNX, so that a network of either format takes one path from here on. Shapes
//! are fixed: what follows from them (reshapes, the prior boxes of a detector) becomes constants.
//! Source: "Available Operations Sets" of the OpenVINO documentation.
//!
//! Guarantees: layers that have no translation are all named at once; no file makes a call panic or
//! take much more memory than its weights.
//!
//! * `document`: the XML, as layers in topological order;
//! * `tensor`: constants, and the limit on their memory;
//! * `fold`, `priors`: layers of constants, computed;
//! * `onnx`, `bias`: the ONNX model, and biases moved into convolutions;
//! * `translate`: from layers to nodes.

mod bias;
mod document;
mod fold;
mod onnx;
mod priors;
mod tensor;
mod translate;

use onnx_ir::ModelProto;

use crate::{array::InputShape, network_error::NetworkError};

/// Reads a network from its two files. `name` is for errors; `shape` is the input that it is
/// loaded for, which has to be the one that it was converted for.
///
/// # Errors
/// [`NetworkError::Malformed`]; [`NetworkError::Unsupported`], which names all layers without a
/// translation.
pub(crate) fn read(name: &str, xml: &[u8], weights: &[u8], shape: InputShape) -> Result<ModelProto, NetworkError> {
    let malformed = |reason: String| NetworkError::Malformed { file: name.into(), reason };
    let text = std::str::from_utf8(xml).map_err(|_| malformed("not XML: not text".into()))?;
    let graph = document::parse(text).map_err(malformed)?;
    let mut model = translate::translate(name, &graph, weights, shape)?;
    bias::add(model.graph.mut_or_insert_default());
    Ok(model)
}
