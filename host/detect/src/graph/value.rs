//! Value on an edge of a graph: a float tensor on the device, or integers in the host's memory.
//!
//! Integers in these networks are shapes, sizes and indices. They are few, and the next step
//! depends on them, so they never go to the device: reading one back would stall it.

use burn::tensor::{DType, Device, Tensor, TensorData};

use super::error::OperatorError;

/// A value of any rank up to 6: burn has the rank in a tensor's type, but a network's ranks are
/// known only at run time.
#[derive(Clone, Debug)]
pub(super) enum Value {
    R1(Tensor<1>),
    R2(Tensor<2>),
    R3(Tensor<3>),
    R4(Tensor<4>),
    R5(Tensor<5>),
    R6(Tensor<6>),
    /// A list, or a scalar as a list of one.
    Integers(Vec<i64>),
    /// Integers that the network computed from floats.
    Indices(Indices),
}

/// A tensor of indices along an axis, on the host.
#[derive(Clone, Debug)]
pub(super) struct Indices {
    pub(super) dims: Vec<usize>,
    /// Row-major.
    pub(super) list: Vec<i64>,
}

impl Indices {
    /// Repeats them along each axis up to these dimensions.
    pub(super) fn spread(self, dims: &[i64]) -> Result<Self, OperatorError> {
        let wanted: Vec<usize> = dims.iter().filter_map(|&n| usize::try_from(n).ok()).collect();
        let fits = |(own, all): (&usize, &usize)| *own > 0 && all.is_multiple_of(*own);
        if wanted.len() != self.dims.len() || !self.dims.iter().zip(&wanted).all(fits) {
            return Err(OperatorError::new(format!("indices {:?} up to {dims:?}", self.dims)));
        }
        let count = wanted.iter().product();
        let list = (0..count).filter_map(|place| {
            // From the last axis on: its coordinate, and the distance of two values along it.
            let (mut rest, mut at, mut stride) = (place, 0, 1);
            for (&own, &all) in self.dims.iter().zip(&wanted).rev() {
                at += rest % all % own * stride;
                rest /= all;
                stride *= own;
            }
            self.list.get(at).copied()
        });
        Ok(Self { list: list.collect(), dims: wanted })
    }
}

/// Applies an expression that keeps the rank to the tensor of any rank.
macro_rules! map {
    ($value:expr, $t:ident => $e:expr) => {
        match $value {
            Value::R1($t) => Ok(Value::R1($e)),
            Value::R2($t) => Ok(Value::R2($e)),
            Value::R3($t) => Ok(Value::R3($e)),
            Value::R4($t) => Ok(Value::R4($e)),
            Value::R5($t) => Ok(Value::R5($e)),
            Value::R6($t) => Ok(Value::R6($e)),
            Value::Integers(_) | Value::Indices(_) => Err(OperatorError::expected("a float tensor", "integers")),
        }
    };
}

/// Applies an expression whose type does not depend on the rank to the tensor of any rank.
macro_rules! with {
    ($value:expr, $t:ident => $e:expr) => {
        match $value {
            Value::R1($t) => Ok($e),
            Value::R2($t) => Ok($e),
            Value::R3($t) => Ok($e),
            Value::R4($t) => Ok($e),
            Value::R5($t) => Ok($e),
            Value::R6($t) => Ok($e),
            Value::Integers(_) | Value::Indices(_) => Err(OperatorError::expected("a float tensor", "integers")),
        }
    };
}

pub(super) use map;

/// The first `N` of `items`. Callers pass at least as many; missing ones are zero, which burn
/// refuses.
pub(super) fn array<const N: usize>(items: &[i64]) -> [i64; N] {
    std::array::from_fn(|i| items.get(i).copied().unwrap_or_default())
}

impl Value {
    /// Uploads floats, and keeps integers and booleans in the host's memory. A scalar becomes a
    /// list of one.
    pub(super) fn from_data(data: TensorData, device: &Device) -> Result<Self, OperatorError> {
        if !matches!(data.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
            return data
                .try_to_vec_as::<i64>()
                .map(Value::Integers)
                .map_err(|e| OperatorError::new(format!("constant: {e:?}")));
        }
        let rank = data.rank();
        let data = if rank == 0 {
            TensorData::new(
                data.try_to_vec_as::<f32>().map_err(|e| OperatorError::new(format!("constant: {e:?}")))?,
                [1],
            )
        } else {
            data.try_cast_as::<f32>().map_err(|e| OperatorError::new(format!("constant: {e:?}")))?
        };
        Ok(match rank {
            0 | 1 => Value::R1(Tensor::from_data(data, device)),
            2 => Value::R2(Tensor::from_data(data, device)),
            3 => Value::R3(Tensor::from_data(data, device)),
            4 => Value::R4(Tensor::from_data(data, device)),
            5 => Value::R5(Tensor::from_data(data, device)),
            6 => Value::R6(Tensor::from_data(data, device)),
            rank => return Err(OperatorError::new(format!("a constant of rank {rank}, of at most 6 that can be run"))),
        })
    }

    pub(super) fn dims(&self) -> Result<Vec<usize>, OperatorError> {
        if let Value::Indices(indices) = self {
            return Ok(indices.dims.clone());
        }
        with!(self, t => t.dims().to_vec())
    }

    /// Of a float tensor.
    pub(super) fn device(&self) -> Result<Device, OperatorError> {
        with!(self, t => t.device())
    }

    pub(super) fn rank(&self) -> usize {
        match self {
            Value::R1(_) | Value::Integers(_) => 1,
            Value::R2(_) => 2,
            Value::R3(_) => 3,
            Value::R4(_) => 4,
            Value::R5(_) => 5,
            Value::R6(_) => 6,
            Value::Indices(indices) => indices.dims.len(),
        }
    }

    pub(super) fn rank1(self) -> Result<Tensor<1>, OperatorError> {
        if let Value::R1(t) = self {
            Ok(t)
        } else {
            Err(OperatorError::expected("a tensor of rank 1", &self.describe()))
        }
    }

    pub(super) fn rank2(self) -> Result<Tensor<2>, OperatorError> {
        if let Value::R2(t) = self {
            Ok(t)
        } else {
            Err(OperatorError::expected("a tensor of rank 2", &self.describe()))
        }
    }

    pub(super) fn rank4(self) -> Result<Tensor<4>, OperatorError> {
        if let Value::R4(t) = self {
            Ok(t)
        } else {
            Err(OperatorError::expected("a tensor of rank 4", &self.describe()))
        }
    }

    /// The list of integers; that of indices is row-major.
    pub(super) fn integers(self) -> Result<Vec<i64>, OperatorError> {
        match self {
            Value::Integers(list) | Value::Indices(Indices { list, .. }) => Ok(list),
            other => Err(OperatorError::expected("integers", &other.describe())),
        }
    }

    pub(super) fn indices(self) -> Result<Indices, OperatorError> {
        match self {
            Value::Indices(indices) => Ok(indices),
            other => Err(OperatorError::expected("computed indices", &other.describe())),
        }
    }

    fn describe(&self) -> String {
        match (self, self.dims()) {
            (Value::Indices(_), Ok(dims)) => format!("indices {dims:?}"),
            (_, Ok(dims)) => format!("a float tensor {dims:?}"),
            (_, Err(_)) => "integers".into(),
        }
    }

    /// Reshapes to dimensions of the same number of values.
    pub(super) fn reshape(self, dims: &[usize]) -> Result<Self, OperatorError> {
        let (from, to): (usize, usize) = (self.dims()?.iter().product(), dims.iter().product());
        if from != to {
            return Err(OperatorError::new(format!("{} cannot be seen as {dims:?}", self.describe())));
        }
        if let Value::Indices(indices) = self {
            return Ok(Value::Indices(Indices { dims: dims.to_vec(), ..indices }));
        }
        let dims: Vec<i64> = dims.iter().map(|&n| n as i64).collect();
        with!(self, t => match dims.len() {
            1 => Value::R1(t.reshape(array::<1>(&dims))),
            2 => Value::R2(t.reshape(array::<2>(&dims))),
            3 => Value::R3(t.reshape(array::<3>(&dims))),
            4 => Value::R4(t.reshape(array::<4>(&dims))),
            5 => Value::R5(t.reshape(array::<5>(&dims))),
            6 => Value::R6(t.reshape(array::<6>(&dims))),
            rank => return Err(OperatorError::new(format!("a reshape to rank {rank}; 1 to 6 can be run"))),
        })
    }

    /// Prepends dimensions of size 1 up to `rank`, as broadcasting does.
    pub(super) fn raised_to(self, rank: usize) -> Result<Self, OperatorError> {
        if self.rank() >= rank {
            return Ok(self);
        }
        let dims = self.dims()?;
        let mut raised = vec![1; rank - dims.len()];
        raised.extend(dims);
        self.reshape(&raised)
    }

    /// Downloads a float tensor: dimensions, and values in row-major order. Blocks until the device
    /// has computed it.
    pub(super) fn into_floats(self) -> Result<(Vec<usize>, Vec<f32>), OperatorError> {
        let dims = self.dims()?;
        let data =
            with!(self, t => t.try_into_data().map_err(|e| OperatorError::new(format!("reading the result: {e:?}")))?)?;
        Ok((dims, data.try_into_vec::<f32>().map_err(|e| OperatorError::new(format!("reading the result: {e:?}")))?))
    }
}
