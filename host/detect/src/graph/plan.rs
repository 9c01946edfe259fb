//! Execution plan: the order of steps, and the slots in which values live between them.
//!
//! Made once, when the network is loaded. Each value has a slot; the last step that takes the value
//! empties the slot. So that step owns the tensor, burn can work in place, and the memory is freed
//! as early as possible.

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::tensor::{Tensor, TensorData};
use onnx_ir::{Argument, Node};

use super::{
    buffers::Buffers,
    error::OperatorError,
    fusion::Chains,
    kernel::{self, Context, Kernel, Operands},
    value::Value,
};
use crate::{
    array::{Array, InputShape},
    device::Device,
    network_error::NetworkError,
    onnx_file::ParsedGraph,
};

/// Location of a step's operand.
#[expect(
    clippy::large_enum_variant,
    reason = "a plan has a few hundred of these, made once; a box would add an indirection to every use"
)]
enum Source {
    /// An optional input that the network omits.
    Absent,
    Constant(Value),
    /// In a slot, and later steps take it, too.
    Shared(usize),
    /// In a slot, which this use empties.
    Last(usize),
}

struct Step {
    operator: String,
    node: String,
    sources: Vec<Source>,
    outputs: Vec<usize>,
    kernel: Kernel,
}

pub(crate) struct Plan {
    device: burn::tensor::Device,
    steps: Vec<Step>,
    /// Number of slots; the input has slot 0.
    slots: usize,
    /// Names as the file has them, in its order.
    outputs: Vec<(String, Source)>,
}

impl Plan {
    /// Plans a graph and uploads its weights. `file` is for errors.
    pub(crate) fn new(
        file: &str,
        parsed: &ParsedGraph,
        shape: InputShape,
        device: &Device,
    ) -> Result<Self, NetworkError> {
        let malformed = |reason: String| NetworkError::Malformed { file: file.into(), reason };
        let graph = &parsed.graph;
        let context = Context { batched: shape.batch != Some(1), on_cpu: !device.is_gpu() };
        let mut chains = Chains::find(graph, context);
        let mut slots: HashMap<&str, usize> =
            graph.inputs.iter().enumerate().map(|(slot, input)| (input.name.as_str(), slot)).collect();
        let mut constants = Constants { device, by_name: HashMap::new() };
        let mut unsupported: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        let mut steps = Vec::new();

        for (index, node) in graph.nodes.iter().enumerate() {
            if matches!(node, Node::Constant(_)) || chains.within.contains(&index) {
                continue;
            }
            let (operator, arguments, kernel) = match chains.by_last.remove(&index) {
                Some(chain) => (chain.operator.to_owned(), chain.arguments, Ok(chain.kernel)),
                None => {
                    let kernel = kernel::build(node, context);
                    let inputs = kernel.as_ref().map_or(0, |k| k.inputs);
                    (operator_name(node), node.inputs().iter().take(inputs).collect(), kernel)
                }
            };
            let outputs = node.outputs().iter().map(|output| {
                let next = slots.len();
                *slots.entry(output.name.as_str()).or_insert(next)
            });
            let outputs = outputs.collect();
            let kernel = match kernel {
                Ok(kernel) => kernel,
                Err(OperatorError(reason)) => {
                    unsupported.entry(format!("{operator} ({reason})")).or_default().push(node.name());
                    continue;
                }
            };
            let mut sources = Vec::with_capacity(arguments.len());
            for argument in arguments {
                let source = constants
                    .source(argument, &slots)
                    .map_err(|OperatorError(reason)| malformed(format!("{}: {reason}", node.name())))?;
                sources.push(source);
            }
            steps.push(Step { operator, node: node.name().to_owned(), sources, outputs, kernel });
        }
        if !unsupported.is_empty() {
            let operators =
                unsupported.into_iter().map(|(operator, nodes)| format!("{operator} in {}", nodes.join(", ")));
            return Err(NetworkError::Unsupported { file: file.into(), operators: operators.collect() });
        }

        let mut outputs = Vec::with_capacity(graph.outputs.len());
        for (output, name) in graph.outputs.iter().zip(&parsed.outputs) {
            let source = constants
                .source(output, &slots)
                .map_err(|OperatorError(reason)| malformed(format!("output {name}: {reason}")))?;
            outputs.push((name.clone(), source));
        }
        let mut plan = Self { device: device.burn().clone(), slots: slots.len(), steps, outputs };
        plan.mark_last_uses();
        Ok(plan)
    }

    fn mark_last_uses(&mut self) {
        let outputs = self.outputs.iter_mut().map(|(_, source)| source).rev();
        let operands = self.steps.iter_mut().rev().flat_map(|step| step.sources.iter_mut().rev());
        let mut used_later = HashSet::new();
        for source in outputs.chain(operands) {
            if let Source::Shared(slot) = *source
                && used_later.insert(slot)
            {
                *source = Source::Last(slot);
            }
        }
    }

    /// In the order of the file.
    pub(crate) fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
    }

    /// Runs all steps on an input of rank 4; the outputs are in the order of the file.
    pub(crate) fn run(&self, input: Array, buffers: &Buffers) -> Result<Vec<Array>, NetworkError> {
        let mut slots = Slots(vec![None; self.slots]);
        let rank4: [usize; 4] = std::array::from_fn(|axis| input.dims.get(axis).copied().unwrap_or(1));
        slots.put(0, Value::R4(Tensor::from_data(TensorData::new(input.data, rank4), &self.device)));
        for step in &self.steps {
            let failed = |OperatorError(reason)| NetworkError::Run {
                node: format!("{} ({})", step.node, step.operator),
                reason,
            };
            let operands =
                step.sources.iter().map(|source| slots.take(source)).collect::<Result<Vec<_>, _>>().map_err(failed)?;
            let results = (step.kernel.run)(Operands::new(operands, buffers)).map_err(failed)?;
            for (&slot, result) in step.outputs.iter().zip(results) {
                slots.put(slot, result);
            }
        }
        let outputs = self.outputs.iter().map(|(name, source)| {
            let failed = |OperatorError(reason)| NetworkError::Run { node: format!("output {name}"), reason };
            let value = slots
                .take(source)
                .and_then(|value| value.ok_or_else(|| OperatorError::new("is not computed")))
                .map_err(failed)?;
            let (dims, data) = value.into_floats().map_err(failed)?;
            Ok(Array { dims, data })
        });
        let outputs = outputs.collect();
        buffers.end_run();
        outputs
    }
}

/// Values of a run, by slot.
struct Slots(Vec<Option<Value>>);

impl Slots {
    fn put(&mut self, slot: usize, value: Value) {
        if let Some(place) = self.0.get_mut(slot) {
            *place = Some(value);
        }
    }

    fn take(&mut self, source: &Source) -> Result<Option<Value>, OperatorError> {
        let missing = || OperatorError::new("an operand is not there yet");
        match source {
            Source::Absent => Ok(None),
            Source::Constant(value) => Ok(Some(value.clone())),
            Source::Shared(slot) => self.0.get(*slot).cloned().flatten().map(Some).ok_or_else(missing),
            Source::Last(slot) => self.0.get_mut(*slot).and_then(Option::take).map(Some).ok_or_else(missing),
        }
    }
}

/// Weights, each uploaded once, however many nodes take it.
struct Constants<'a> {
    device: &'a Device,
    by_name: HashMap<&'a str, Value>,
}

impl<'a> Constants<'a> {
    fn source(&mut self, argument: &'a Argument, slots: &HashMap<&str, usize>) -> Result<Source, OperatorError> {
        if argument.is_optional() {
            return Ok(Source::Absent);
        }
        if let Some(&slot) = slots.get(argument.name.as_str()) {
            return Ok(Source::Shared(slot));
        }
        if let Some(value) = self.by_name.get(argument.name.as_str()) {
            return Ok(Source::Constant(value.clone()));
        }
        let data = argument
            .value()
            .ok_or_else(|| OperatorError::new(format!("{:?} is neither computed nor constant", argument.name)))?;
        let value = Value::from_data(data, self.device.burn())?;
        // Folded constants have no name.
        if !argument.name.is_empty() {
            self.by_name.insert(&argument.name, value.clone());
        }
        Ok(Source::Constant(value))
    }
}

/// The operator as ONNX spells it, with its domain where that is not the standard one.
fn operator_name(node: &Node) -> String {
    match node {
        Node::Custom(custom) if custom.domain.is_empty() => custom.op_type.clone(),
        Node::Custom(custom) => format!("{}.{}", custom.domain, custom.op_type),
        node => node.node_type().to_string(),
    }
}
