//! Operators as closures, by family. What an operator is set to is read once, when the network is
//! loaded; a setting that cannot be carried out is an error then, never a silent approximation.

mod activation;
mod arithmetic;
mod convolution;
mod host;
mod layout;
mod logistic;
mod pooling;
mod reduction;
mod resize;
mod shape;

use onnx_ir::Node;

use super::{Fault, value::Value};

pub(super) use activation::silu;
pub(super) use convolution::fused as convolution;
pub(super) use host::{Activation, Buffers, Convolution};

/// An operator, ready to run.
pub(super) struct Kernel {
    /// How many of the node's inputs it takes, from the first on; the others were read when it was
    /// built.
    pub(super) reads: usize,
    pub(super) run: Run,
}

type Run = Box<dyn Fn(Operands<'_>) -> Result<Vec<Value>, Fault> + Send + Sync>;

impl Kernel {
    fn new(reads: usize, run: impl Fn(Operands<'_>) -> Result<Vec<Value>, Fault> + Send + Sync + 'static) -> Self {
        Self { reads, run: Box::new(run) }
    }

    /// One value in, one out.
    fn unary(run: impl Fn(Value) -> Result<Value, Fault> + Send + Sync + 'static) -> Self {
        Self::new(1, move |mut operands| Ok(vec![run(operands.next()?)?]))
    }
}

/// The operands of one step, in the order that ONNX defines.
pub(super) struct Operands<'a> {
    values: std::vec::IntoIter<Option<Value>>,
    /// For results, on the CPU.
    buffers: &'a Buffers,
}

impl<'a> Operands<'a> {
    pub(super) fn new(values: Vec<Option<Value>>, buffers: &'a Buffers) -> Self {
        Self { values: values.into_iter(), buffers }
    }

    fn next(&mut self) -> Result<Value, Fault> {
        self.optional().ok_or_else(|| Fault::new("an input is missing"))
    }

    fn optional(&mut self) -> Option<Value> {
        self.values.next().flatten()
    }

    /// The one at `index` of those that are left.
    fn nth(mut self, index: usize) -> Result<Value, Fault> {
        self.values.nth(index).flatten().ok_or_else(|| Fault::new("an input is missing"))
    }

    /// All that are left.
    fn rest(self) -> Result<Vec<Value>, Fault> {
        self.values.map(|value| value.ok_or_else(|| Fault::new("an input is missing"))).collect()
    }
}

/// How a network is going to be run, where that makes a difference to its operators.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    /// With more pictures at a time than its file declares.
    pub(super) batched: bool,
    /// On the CPU, where a tensor's memory is at hand.
    pub(super) on_host: bool,
}

pub(super) fn build(node: &Node, setting: Setting) -> Result<Kernel, Fault> {
    let families = [
        activation::build,
        arithmetic::build,
        convolution::build,
        layout::build,
        pooling::build,
        reduction::build,
        resize::build,
        shape::build,
    ];
    families
        .iter()
        .find_map(|build| build(node, setting))
        .unwrap_or_else(|| Err(Fault::new("there is no kernel for it")))
}

/// For a setting that ONNX allows to be computed by the network, where only a constant can be
/// carried out.
fn computed(what: &str) -> Fault {
    Fault::new(format!("{what} computed by the network"))
}
