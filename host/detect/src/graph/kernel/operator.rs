//! Operators ready to run: closures over the settings of a node.

use std::vec;

use crate::graph::{buffers::Buffers, error::OperatorError, value::Value};

/// An operator, ready to run.
pub(crate) struct Kernel {
    /// Number of the node's inputs that it takes, from the first on; the others were read when it
    /// was built.
    pub(crate) inputs: usize,
    pub(crate) run: Run,
}

type Run = Box<dyn Fn(Operands<'_>) -> Result<Vec<Value>, OperatorError> + Send + Sync>;

impl Kernel {
    pub(super) fn new(
        inputs: usize,
        run: impl Fn(Operands<'_>) -> Result<Vec<Value>, OperatorError> + Send + Sync + 'static,
    ) -> Self {
        Self { inputs, run: Box::new(run) }
    }

    /// One value in, one out.
    pub(super) fn unary(run: impl Fn(Value) -> Result<Value, OperatorError> + Send + Sync + 'static) -> Self {
        Self::new(1, move |mut operands| Ok(vec![run(operands.next()?)?]))
    }
}

/// The operands of one step, in the order that ONNX defines.
pub(crate) struct Operands<'a> {
    values: vec::IntoIter<Option<Value>>,
    /// Memory for results of the CPU kernels.
    pub(super) buffers: &'a Buffers,
}

impl<'a> Operands<'a> {
    pub(crate) fn new(values: Vec<Option<Value>>, buffers: &'a Buffers) -> Self {
        Self { values: values.into_iter(), buffers }
    }

    pub(super) fn next(&mut self) -> Result<Value, OperatorError> {
        self.optional().ok_or_else(|| OperatorError::new("an input is missing"))
    }

    pub(super) fn optional(&mut self) -> Option<Value> {
        self.values.next().flatten()
    }

    /// The operand at `index` among those that remain.
    pub(super) fn nth(mut self, index: usize) -> Result<Value, OperatorError> {
        self.values.nth(index).flatten().ok_or_else(|| OperatorError::new("an input is missing"))
    }

    /// All that remain.
    pub(super) fn rest(self) -> Result<Vec<Value>, OperatorError> {
        self.values.map(|value| value.ok_or_else(|| OperatorError::new("an input is missing"))).collect()
    }
}

/// Properties of the runs on which operators depend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// With more pictures at a time than the file declares.
    pub(crate) batched: bool,
    /// On the CPU, where kernels can access a tensor's memory.
    pub(crate) on_cpu: bool,
}

/// The error of a parameter that ONNX allows the network to compute, where the kernel needs a
/// constant.
pub(super) fn computed(what: &str) -> OperatorError {
    OperatorError::new(format!("{what} computed by the network"))
}
