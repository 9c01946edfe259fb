//! Operator fusion: chains of nodes that run as one step.
//!
//! A convolution with the activation and the sum that follow it (on the CPU), and x * sigmoid(x). A
//! chain runs at the position of its last node, where all its operands are computed. Its inner
//! values have no other consumers.

use std::collections::{HashMap, HashSet};

use onnx_ir::{Argument, Node, OnnxGraph};

use super::kernel::{self, Activation, Context, Convolution, Kernel};

/// Nodes that run as one step.
pub(super) struct Chain<'a> {
    /// For errors.
    pub(super) operator: &'static str,
    pub(super) arguments: Vec<&'a Argument>,
    pub(super) kernel: Kernel,
}

/// The chains of a graph.
#[derive(Default)]
pub(super) struct Chains<'a> {
    /// By the index of a chain's last node.
    pub(super) by_last: HashMap<usize, Chain<'a>>,
    /// Indices of the other nodes, which do not run on their own.
    pub(super) within: HashSet<usize>,
}

impl<'a> Chains<'a> {
    pub(super) fn find(graph: &'a OnnxGraph, context: Context) -> Self {
        let nodes = Nodes::new(graph);
        let mut chains = Self::default();
        if context.on_cpu {
            for (index, node) in graph.nodes.iter().enumerate() {
                if let Node::Conv2d(node) = node
                    && let ([x, ..], [output]) = (node.inputs.as_slice(), node.outputs.as_slice())
                    && let Some(convolution) = Convolution::new(node)
                {
                    chains.add_convolution(&nodes, index, convolution, x, output);
                }
            }
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            if let (Node::Sigmoid(_), [x]) = (node, node.inputs())
                && !chains.within.contains(&index)
                && let Some((mul, _)) = nodes.gate(index, x)
            {
                chains.within.insert(index);
                chains
                    .by_last
                    .insert(mul, Chain { operator: "SiLU", arguments: vec![x], kernel: kernel::silu(context) });
            }
        }
        chains
    }

    fn add_convolution(
        &mut self,
        nodes: &Nodes<'a>,
        index: usize,
        convolution: Convolution,
        x: &'a Argument,
        output: &'a Argument,
    ) {
        let (mut members, mut output) = (vec![index], output);
        let mut activation = Activation::None;
        if let Some((found, more, activated)) = nodes.activation(output) {
            activation = found;
            members.extend(more);
            output = activated;
        }
        let mut arguments = vec![x];
        // The sum of two convolutions belongs to the chain of the first.
        if let Some((add, other)) = nodes.sum(output)
            && !self.by_last.contains_key(&add)
        {
            members.push(add);
            arguments.push(other);
        }
        let Some(last) = members.pop() else { return };
        self.within.extend(members);
        self.by_last
            .insert(last, Chain { operator: "Conv", arguments, kernel: kernel::convolution(convolution, activation) });
    }
}

/// Consumers of each value.
struct Nodes<'a> {
    graph: &'a OnnxGraph,
    /// Indices of the nodes that take a value, once for each operand; for an output of the network
    /// also an index past the last node.
    consumers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Nodes<'a> {
    fn new(graph: &'a OnnxGraph) -> Self {
        let mut consumers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for argument in node.inputs() {
                consumers.entry(&argument.name).or_default().push(index);
            }
        }
        for output in &graph.outputs {
            consumers.entry(&output.name).or_default().push(graph.nodes.len());
        }
        Self { graph, consumers }
    }

    fn consumers(&self, value: &Argument) -> &[usize] {
        self.consumers.get(value.name.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    fn get(&self, index: usize) -> Option<(&'a Node, &'a Argument)> {
        let node = self.graph.nodes.get(index)?;
        let [output] = node.outputs() else { return None };
        Some((node, output))
    }

    /// The multiplication of x by its sigmoid, which is the node at `sigmoid`, if that is the only
    /// consumer of the sigmoid: its index and its output.
    fn gate(&self, sigmoid: usize, x: &Argument) -> Option<(usize, &'a Argument)> {
        let (_, gate) = self.get(sigmoid)?;
        let &[mul] = self.consumers(gate) else { return None };
        match self.get(mul)? {
            (node @ Node::Mul(_), output) => {
                let [a, b] = node.inputs() else { return None };
                let gated = (a.name == x.name && b.name == gate.name) || (b.name == x.name && a.name == gate.name);
                gated.then_some((mul, output))
            }
            _ => None,
        }
    }

    /// The activation that is the only consumer of x: which, its nodes, and its output.
    fn activation(&self, x: &Argument) -> Option<(Activation, Vec<usize>, &'a Argument)> {
        match *self.consumers(x) {
            [only] => match self.get(only)? {
                (Node::Relu(_), output) => Some((Activation::Relu, vec![only], output)),
                (Node::Sigmoid(_), output) => Some((Activation::Sigmoid, vec![only], output)),
                _ => None,
            },
            [one, other] => {
                let sigmoid =
                    [one, other].into_iter().find(|&index| matches!(self.get(index), Some((Node::Sigmoid(_), _))))?;
                let (mul, output) = self.gate(sigmoid, x)?;
                [one, other].contains(&mul).then(|| (Activation::Silu, vec![sigmoid, mul], output))
            }
            _ => None,
        }
    }

    /// The sum that is the only consumer of x: its index, and the other operand.
    fn sum(&self, x: &Argument) -> Option<(usize, &'a Argument)> {
        let &[add] = self.consumers(x) else { return None };
        let (node @ Node::Add(_), _) = self.get(add)? else { return None };
        let [a, b] = node.inputs() else { return None };
        let other = if a.name == x.name { b } else { a };
        // A constant is rarely as large as the output, which a residual has to be.
        let computed = !other.is_optional() && other.value().is_none();
        computed.then_some((add, other))
    }
}
