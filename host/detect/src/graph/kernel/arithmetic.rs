//! Element-wise operators of two tensors, with broadcasting, and matrix products.

use onnx_ir::Node;

use super::operator::{Context, Kernel};
use crate::graph::{
    error::OperatorError,
    value::{Value, map},
};

/// A kernel of two float tensors of any rank that broadcast, or of two lists of integers.
macro_rules! pairwise {
    (|$a:ident, $b:ident| $e:expr, $integers:expr) => {
        Kernel::new(2, |mut operands| {
            let (left, right) = (operands.next()?, operands.next()?);
            if let (Value::Integers(left), Value::Integers(right)) = (&left, &right) {
                return Ok(vec![Value::Integers(integers(left, right, $integers)?)]);
            }
            Ok(vec![floats!(left, right, |$a, $b| $e)?])
        })
    };
}

macro_rules! floats {
    ($left:expr, $right:expr, |$a:ident, $b:ident| $e:expr) => {{
        let rank = $left.rank().max($right.rank());
        match ($left.raised_to(rank)?, $right.raised_to(rank)?) {
            (Value::R1($a), Value::R1($b)) => Ok(Value::R1($e)),
            (Value::R2($a), Value::R2($b)) => Ok(Value::R2($e)),
            (Value::R3($a), Value::R3($b)) => Ok(Value::R3($e)),
            (Value::R4($a), Value::R4($b)) => Ok(Value::R4($e)),
            (Value::R5($a), Value::R5($b)) => Ok(Value::R5($e)),
            (Value::R6($a), Value::R6($b)) => Ok(Value::R6($e)),
            _ => Err(OperatorError::expected("two float tensors", "a float tensor and integers")),
        }
    }};
}

/// The sum of two float tensors that broadcast.
pub(super) fn add(left: Value, right: Value) -> Result<Value, OperatorError> {
    floats!(left, right, |a, b| a + b)
}

/// The product of two float tensors that broadcast.
pub(super) fn multiply(left: Value, right: Value) -> Result<Value, OperatorError> {
    floats!(left, right, |a, b| a * b)
}

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(Ok(match node {
        Node::Add(_) => pairwise!(|a, b| a + b, i64::checked_add),
        Node::Sub(_) => pairwise!(|a, b| a - b, i64::checked_sub),
        Node::Mul(_) => pairwise!(|a, b| a * b, i64::checked_mul),
        Node::Div(_) => pairwise!(|a, b| a / b, i64::checked_div),
        Node::Pow(_) => pairwise!(|a, b| a.powf(b), |a, b| a.checked_pow(u32::try_from(b).ok()?)),
        Node::Max(n) if n.inputs.len() == 2 => pairwise!(|a, b| a.max_pair(b), |a, b| Some(a.max(b))),
        Node::Min(n) if n.inputs.len() == 2 => pairwise!(|a, b| a.min_pair(b), |a, b| Some(a.min(b))),
        Node::MatMul(_) => pairwise!(|a, b| a.matmul(b), |_, _| None),
        Node::Linear(n) => linear(n.config.transpose_weight),
        Node::Gemm(n) => {
            return Some(gemm(n.config.alpha, n.config.beta, n.config.trans_a != 0, n.config.trans_b != 0));
        }
        _ => return None,
    }))
}

fn integers(left: &[i64], right: &[i64], operator: fn(i64, i64) -> Option<i64>) -> Result<Vec<i64>, OperatorError> {
    let length = if left.len() == 1 { right.len() } else { left.len() };
    if right.len() != length && right.len() != 1 {
        return Err(OperatorError::new(format!(
            "lists of {} and {} integers do not broadcast",
            left.len(),
            right.len()
        )));
    }
    let pairs = left.iter().cycle().zip(right.iter().cycle()).take(length);
    pairs
        .map(|(&a, &b)| operator(a, b).ok_or_else(|| OperatorError::new(format!("no integer comes of {a} and {b}"))))
        .collect()
}

/// onnx-ir's `Linear`: Gemm without factors, or MatMul followed by Add.
fn linear(transpose: bool) -> Kernel {
    Kernel::new(3, move |mut operands| {
        let (x, weight) = (operands.next()?, operands.next()?.rank2()?);
        let weight = if transpose { weight.transpose() } else { weight };
        let bias = operands.optional().map(Value::rank1).transpose()?;
        Ok(vec![map!(x, t => burn::tensor::module::linear(t, weight, bias))?])
    })
}

fn gemm(alpha: f32, beta: f32, transpose_a: bool, transpose_b: bool) -> Result<Kernel, OperatorError> {
    Ok(Kernel::new(3, move |mut operands| {
        let (a, b) = (operands.next()?.rank2()?, operands.next()?.rank2()?);
        let a = if transpose_a { a.transpose() } else { a };
        let b = if transpose_b { b.transpose() } else { b };
        let product = a.matmul(b) * alpha;
        let sum = match operands.optional() {
            Some(c) => product + c.raised_to(2)?.rank2()? * beta,
            None => product,
        };
        Ok(vec![Value::R2(sum)])
    }))
}
