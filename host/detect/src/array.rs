//! Arrays of floats, and the shape of a network's input.

use std::fmt;

/// A dense array of floats, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    /// Size along each axis, outermost first; `[batch, channels, height, width]` for the input of a
    /// network.
    pub dims: Vec<usize>,
    /// As many values as the product of `dims`.
    pub data: Vec<f32>,
}

/// The shape of a network's input, `[batch, 3, height, width]`; `None` accepts any size there.
///
/// Known sizes are folded into the network as constants, so more networks can run with a known
/// shape than with an open one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputShape {
    /// Pictures in one run.
    pub batch: Option<usize>,
    /// Pixels.
    pub height: Option<usize>,
    /// Pixels.
    pub width: Option<usize>,
}

impl InputShape {
    /// One picture of this size, in pixels.
    pub fn single(width: usize, height: usize) -> Self {
        Self { batch: Some(1), height: Some(height), width: Some(width) }
    }

    pub(crate) fn dims(self) -> [Option<usize>; 4] {
        [self.batch, Some(3), self.height, self.width]
    }

    /// Whether an array of these dimensions fits the shape.
    pub(crate) fn accepts(self, dims: &[usize]) -> bool {
        dims.len() == 4 && self.dims().iter().zip(dims).all(|(want, &have)| have > 0 && want.is_none_or(|n| n == have))
    }
}

impl fmt::Display for InputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims = self.dims().map(|n| n.map_or_else(|| "any".into(), |n| n.to_string()));
        write!(f, "[{}]", dims.join(", "))
    }
}
