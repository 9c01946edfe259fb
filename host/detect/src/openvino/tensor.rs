//! Constants of an OpenVINO network, and the limit on the memory that they take.
//!
//! Floats of any width become 32-bit floats, integers and truth values 64-bit integers, which is
//! exact for what networks hold. A file can name the same weights a million times: a [`Budget`]
//! bounds what all constants of a network take together.

use burn::tensor::f16;

use super::document::Layer;

/// A constant, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    /// Empty for a scalar.
    pub(super) dims: Vec<usize>,
    pub(super) values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Tensor {
    pub(super) fn floats(dims: &[usize], values: Vec<f32>) -> Self {
        Self { dims: dims.to_vec(), values: Values::Floats(values) }
    }

    pub(super) fn integers(dims: &[usize], values: Vec<i64>) -> Self {
        Self { dims: dims.to_vec(), values: Values::Integers(values) }
    }

    /// Number of values.
    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Floats(values) => values.len(),
            Values::Integers(values) => values.len(),
        }
    }

    pub(super) fn as_floats(&self) -> Result<&[f32], String> {
        match &self.values {
            Values::Floats(values) => Ok(values),
            Values::Integers(_) => Err("integers, where floats are expected".into()),
        }
    }

    pub(super) fn as_integers(&self) -> Result<&[i64], String> {
        match &self.values {
            Values::Integers(values) => Ok(values),
            Values::Floats(_) => Err("floats, where integers are expected".into()),
        }
    }

    /// The same values, seen in another shape.
    pub(super) fn reshaped(&self, dims: &[usize]) -> Result<Self, String> {
        if count(dims)? != self.len() {
            return Err(format!("{:?} cannot be seen as {dims:?}", self.dims));
        }
        Ok(Self { dims: dims.to_vec(), values: self.values.clone() })
    }

    /// The values at these offsets, which the caller has checked.
    pub(super) fn picked(&self, dims: &[usize], places: &[usize]) -> Self {
        fn pick<T: Copy + Default>(from: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|&at| from.get(at).copied().unwrap_or_default()).collect()
        }
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(pick(values, places)),
            Values::Integers(values) => Values::Integers(pick(values, places)),
        };
        Self { dims: dims.to_vec(), values }
    }
}

/// The number of values of a shape.
pub(super) fn count(dims: &[usize]) -> Result<usize, String> {
    let product = dims.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    product.filter(|&n| n <= 1 << 40).ok_or_else(|| format!("a shape of {dims:?}"))
}

/// Number of values that further constants of a network may hold.
pub(super) struct Budget(usize);

impl Budget {
    /// Room for the weights of a file in four forms (as stored, converted, scaled, transposed), and
    /// for the anchors of a detector.
    pub(super) fn new(weights: usize) -> Self {
        Self(weights.saturating_mul(4).saturating_add(1 << 22))
    }

    /// Takes room for a constant of this shape, before its memory is requested.
    pub(super) fn take(&mut self, dims: &[usize]) -> Result<usize, String> {
        let wanted = count(dims)?;
        self.0 = self.0.checked_sub(wanted).ok_or_else(|| {
            format!("a constant of {dims:?}: all constants together are far larger than the file of weights")
        })?;
        Ok(wanted)
    }
}

/// Reads the values of a `Const` layer.
pub(super) fn read(layer: &Layer, weights: &[u8], budget: &mut Budget) -> Result<Tensor, String> {
    let element = layer.text("element_type").unwrap_or_default().to_owned();
    let width = match element.as_str() {
        "f64" | "i64" | "u64" => 8,
        "f32" | "i32" | "u32" => 4,
        "f16" | "bf16" | "i16" | "u16" => 2,
        "i8" | "u8" | "boolean" => 1,
        _ => return Err(format!("values of type {element:?}")),
    };
    let dims: Vec<usize> = layer.list("shape")?;
    let (offset, size) = (layer.number("offset", 0usize)?, layer.number("size", 0usize)?);
    let values = budget.take(&dims)?;
    if values.checked_mul(width) != Some(size) {
        return Err(format!("{size} bytes for {dims:?} of {element}"));
    }
    let bytes = offset.checked_add(size).and_then(|end| weights.get(offset..end)).ok_or_else(|| {
        format!("bytes {offset} to {} of a file of weights that has {}", offset.saturating_add(size), weights.len())
    })?;
    let values = match element.as_str() {
        "f64" => Values::Floats(map(bytes, |b| f64::from_le_bytes(b) as f32)),
        "f32" => Values::Floats(map(bytes, f32::from_le_bytes)),
        "f16" => Values::Floats(map(bytes, |b| f16::from_le_bytes(b).to_f32())),
        "bf16" => Values::Floats(map(bytes, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))),
        "i64" => Values::Integers(map(bytes, i64::from_le_bytes)),
        "u64" => Values::Integers(map(bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))),
        "i32" => Values::Integers(map(bytes, |b| i32::from_le_bytes(b).into())),
        "u32" => Values::Integers(map(bytes, |b| u32::from_le_bytes(b).into())),
        "i16" => Values::Integers(map(bytes, |b| i16::from_le_bytes(b).into())),
        "u16" => Values::Integers(map(bytes, |b| u16::from_le_bytes(b).into())),
        "i8" => Values::Integers(map(bytes, |b: [u8; 1]| i8::from_le_bytes(b).into())),
        _ => Values::Integers(map(bytes, |b: [u8; 1]| u8::from_le_bytes(b).into())),
    };
    Ok(Tensor { dims, values })
}

fn map<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| convert(*chunk)).collect()
}
