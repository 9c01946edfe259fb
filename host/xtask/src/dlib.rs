//! Conversion of dlib's face recognition network (Davis King, 2017; public domain) to ONNX, from
//! the quantised weights in a package: 29 convolutions in residual blocks, a global average pool,
//! an embedding of 128 numbers.
//!
//! A weight is a 32-bit float, or one byte that stands for `byte * scale + min`. The scale and
//! shift of each channel that follow a convolution are folded into it. A downsampling block adds
//! its input after a 2x2 average pool, zero-padded to the number of channels; where the convolution
//! is a pixel smaller than the pool, it is zero-padded, too.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::onnx::Graph;

/// Side of the input picture; pixels.
const SIDE: u64 = 150;
/// Mean of the training pictures, red, green, blue.
const MEAN: [f32; 3] = [122.782, 117.001, 104.298];

/// A group of weights in the package's manifest.
#[derive(Deserialize)]
struct Group {
    weights: Vec<Weight>,
}

#[derive(Deserialize)]
struct Weight {
    name: String,
    shape: Vec<usize>,
    /// Absent for floats.
    quantization: Option<Quantization>,
}

/// Read as `f32`, as the weights are: JSON numbers have more digits.
#[derive(Deserialize)]
struct Quantization {
    scale: f32,
    min: f32,
}

/// The network as an ONNX file.
pub(crate) fn convert(manifest: &[u8], weights: &[u8]) -> Result<Vec<u8>> {
    let groups: Vec<Group> = serde_json::from_slice(manifest).context("cannot parse the manifest of the weights")?;
    let mut rest = weights;
    let mut tensors = HashMap::new();
    for Weight { name, shape, quantization } in groups.into_iter().flat_map(|g| g.weights) {
        let size = if quantization.is_some() { 1 } else { size_of::<f32>() };
        let length = shape.iter().product::<usize>() * size;
        let (bytes, after) = rest.split_at_checked(length).with_context(|| format!("the weights end in {name}"))?;
        rest = after;
        let values: Vec<f32> = match quantization {
            Some(Quantization { scale, min }) => bytes.iter().map(|b| f32::from(*b) * scale + min).collect(),
            None => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        };
        tensors.insert(name, values);
    }
    ensure!(rest.is_empty(), "{} bytes of weights are left over", rest.len());
    Network { graph: Graph::default(), tensors }.build()
}

struct Network {
    graph: Graph,
    tensors: HashMap<String, Vec<f32>>,
}

/// A value of the graph, with its channels and the side of its feature map.
#[derive(Clone)]
struct Features {
    name: String,
    channels: usize,
    side: u64,
}

impl Network {
    fn build(mut self) -> Result<Vec<u8>> {
        let mean = self.graph.floats(&[1, 3, 1, 1], &MEAN);
        let centred = self.graph.node("Sub", &["input", &mean], &[]);
        let factor = self.graph.floats(&[1], &[1.0 / 256.0]);
        let name = self.graph.node("Mul", &[&centred, &factor], &[]);

        let x = self.convolution(&Features { name, channels: 3, side: SIDE }, "conv32_down", 7, 2)?;
        let x = self.relu(x);
        let pooled = self.graph.node("MaxPool", &[&x.name], &[("kernel_shape", &[3, 3]), ("strides", &[2, 2])]);
        let mut x = Features { name: pooled, side: (x.side - 3) / 2 + 1, ..x };
        for block in ["conv32_1", "conv32_2", "conv32_3"] {
            x = self.residual(x, block)?;
        }
        for (down, blocks) in [
            ("conv64_down", &["conv64_1", "conv64_2", "conv64_3"][..]),
            ("conv128_down", &["conv128_1", "conv128_2"]),
            ("conv256_down", &["conv256_1", "conv256_2"]),
            ("conv256_down_out", &[]),
        ] {
            x = self.halving(&x, down)?;
            for block in blocks {
                x = self.residual(x, block)?;
            }
        }
        let mean = self.graph.node("GlobalAveragePool", &[&x.name], &[]);
        let shape = self.graph.integers(&[-1, x.channels as i64]);
        let flat = self.graph.node("Reshape", &[&mean, &shape], &[]);
        let last = self.tensors.get("fc").context("the weights of fc")?;
        let numbers = (last.len() / x.channels) as u64;
        let last = self.graph.floats(&[x.channels as u64, numbers], last);
        let embedding = self.graph.node("MatMul", &[&flat, &last], &[]);
        let side = Some(SIDE);
        Ok(self.graph.write(("input", &[None, Some(3), side, side]), (&embedding, &[None, Some(numbers)])))
    }

    fn residual(&mut self, x: Features, block: &str) -> Result<Features> {
        let inner = self.convolution(&x, &format!("{block}/conv1"), 3, 1)?;
        let inner = self.relu(inner);
        let inner = self.convolution(&inner, &format!("{block}/conv2"), 3, 1)?;
        Ok(self.sum(inner, &x))
    }

    fn halving(&mut self, x: &Features, block: &str) -> Result<Features> {
        let inner = self.convolution(x, &format!("{block}/conv1"), 3, 2)?;
        let inner = self.relu(inner);
        let mut inner = self.convolution(&inner, &format!("{block}/conv2"), 3, 1)?;
        let name = self.graph.node("AveragePool", &[&x.name], &[("kernel_shape", &[2, 2]), ("strides", &[2, 2])]);
        let mut pooled = Features { name, side: (x.side - 2) / 2 + 1, ..*x };
        let (rows, channels) = (pooled.side.saturating_sub(inner.side), inner.channels.saturating_sub(pooled.channels));
        if rows > 0 {
            inner = Features { name: self.pad(&inner, 0, rows as i64), side: pooled.side, ..inner };
        }
        if channels > 0 {
            pooled = Features { name: self.pad(&pooled, channels as i64, 0), channels: inner.channels, ..pooled };
        }
        Ok(self.sum(inner, &pooled))
    }

    /// Appends zero channels, rows and columns.
    fn pad(&mut self, x: &Features, channels: i64, rows: i64) -> String {
        let pads = self.graph.integers(&[0, 0, 0, 0, 0, channels, rows, rows]);
        let zero = self.graph.floats(&[], &[0.0]);
        self.graph.node("Pad", &[&x.name, &pads, &zero], &[])
    }

    fn sum(&mut self, x: Features, y: &Features) -> Features {
        let name = self.graph.node("Add", &[&x.name, &y.name], &[]);
        self.relu(Features { name, ..x })
    }

    fn relu(&mut self, x: Features) -> Features {
        let name = self.graph.node("Relu", &[&x.name], &[]);
        Features { name, ..x }
    }

    /// Convolution with a square kernel; padded so that the size is kept if the stride is 1.
    fn convolution(&mut self, x: &Features, layer: &str, kernel: u64, stride: u64) -> Result<Features> {
        let tensor = |part: &str| {
            let name = format!("{layer}/{part}");
            self.tensors.get(&name).with_context(|| format!("the weights of {name}"))
        };
        let (filters, bias, scale, shift) =
            (tensor("conv/filters")?, tensor("conv/bias")?, tensor("scale/weights")?, tensor("scale/biases")?);
        let (area, inputs, outputs) = ((kernel * kernel) as usize, x.channels, bias.len());
        ensure!(
            filters.len() == area * inputs * outputs && scale.len() == outputs && shift.len() == outputs,
            "the weights of {layer} do not fit"
        );
        // dlib orders the weights by kernel position, input channel, output channel; ONNX by output
        // channel, input channel, kernel position.
        let mut folded = Vec::with_capacity(filters.len());
        for (output, scale) in scale.iter().enumerate() {
            for input in 0..inputs {
                folded.extend(
                    (0..area)
                        .filter_map(|position| filters.get((position * inputs + input) * outputs + output))
                        .map(|w| w * scale),
                );
            }
        }
        let bias: Vec<f32> = bias.iter().zip(scale).zip(shift).map(|((b, scale), shift)| b * scale + shift).collect();
        let weights = self.graph.floats(&[outputs as u64, inputs as u64, kernel, kernel], &folded);
        let bias = self.graph.floats(&[outputs as u64], &bias);
        let pad = if stride == 1 { kernel / 2 } else { 0 };
        let attributes: &[(&str, &[u64])] =
            &[("kernel_shape", &[kernel; 2]), ("pads", &[pad; 4]), ("strides", &[stride; 2])];
        let name = self.graph.node("Conv", &[&x.name, &weights, &bias], attributes);
        Ok(Features { name, channels: outputs, side: (x.side + 2 * pad - kernel) / stride + 1 })
    }
}
