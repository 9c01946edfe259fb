//! Biases of convolutions, which OpenVINO writes as a sum that follows.
//!
//! Both engines run a convolution with its bias in one step; a separate sum would read and write
//! the whole result again.

use std::collections::{HashMap, HashSet};

use onnx_ir::{GraphProto, NodeProto, TensorProto};

use super::onnx::FLOAT;

/// Moves each constant that is added to the channels of a convolution into the convolution, where
/// its result has no other consumer. Removes constants that are then unused.
pub(super) fn add(graph: &mut GraphProto) {
    let GraphProto { node: nodes, initializer, output, .. } = graph;
    let constants: HashMap<&str, &TensorProto> = initializer.iter().map(|t| (t.name.as_str(), t)).collect();
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let outputs = output.iter().map(|output| output.name.as_str());
    for name in nodes.iter().flat_map(|node| &node.input).map(String::as_str).chain(outputs) {
        *uses.entry(name).or_default() += 1;
    }
    // By the output of a convolution: its channels.
    let channels_of = |node: &NodeProto| {
        let ("Conv", [_, weights], [output]) = (node.op_type.as_str(), node.input.as_slice(), node.output.as_slice())
        else {
            return None;
        };
        let channels = *constants.get(weights.as_str())?.dims.first()?;
        (uses.get(output.as_str()) == Some(&1)).then(|| (output.clone(), channels))
    };
    let convolutions: HashMap<String, i64> = nodes.iter().filter_map(channels_of).collect();
    // By the output of a convolution: the name of its sum, and the bias.
    let mut sums: HashMap<String, (String, TensorProto)> = HashMap::new();
    nodes.retain(|node| {
        let Some((convolution, bias)) = bias_of(node, &convolutions, &constants) else { return true };
        let [sum] = node.output.as_slice() else { return true };
        sums.insert(convolution, (sum.clone(), bias));
        false
    });
    let mut biases = Vec::with_capacity(sums.len());
    for node in nodes.iter_mut() {
        if let Some((sum, bias)) = node.output.first().and_then(|output| sums.remove(output)) {
            node.input.push(bias.name.clone());
            node.name.clone_from(&sum);
            node.output = vec![sum];
            biases.push(bias);
        }
    }
    initializer.extend(biases);
    let used: HashSet<&str> = nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    initializer.retain(|t| used.contains(t.name.as_str()));
}

/// The convolution that a node adds a constant to, by its output, and the constant as a bias.
fn bias_of(
    node: &NodeProto,
    convolutions: &HashMap<String, i64>,
    constants: &HashMap<&str, &TensorProto>,
) -> Option<(String, TensorProto)> {
    let ("Add", [a, b], [sum]) = (node.op_type.as_str(), node.input.as_slice(), node.output.as_slice()) else {
        return None;
    };
    let (convolution, other) = [(a, b), (b, a)].into_iter().find(|(x, _)| convolutions.contains_key(*x))?;
    let (channels, constant) = (*convolutions.get(convolution)?, *constants.get(other.as_str())?);
    (constant.data_type == FLOAT && constant.dims == [1, channels, 1, 1]).then(|| {
        // A value of this name cannot exist: `sum` has the name of a layer, which is unique.
        let name = format!("{sum}/bias");
        (convolution.clone(), TensorProto { name, dims: vec![channels], ..constant.clone() })
    })
}
