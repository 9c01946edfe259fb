//! Normalization of transformers, and the sampling of their deformable attention.

use burn::tensor::ops::{GridSampleOptions, GridSamplePaddingMode as Border, InterpolateMode};
use onnx_ir::{
    Node,
    node::grid_sample::{GridSampleConfig, GridSampleMode, GridSamplePaddingMode},
};

use super::{
    arithmetic,
    operator::{Context, Kernel},
};
use crate::graph::{
    error::OperatorError,
    value::{Value, map},
};

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    Some(match node {
        Node::LayerNormalization(n) if n.outputs.len() > 1 => Err(OperatorError::new("its statistics as outputs")),
        Node::LayerNormalization(n) => Ok(layer(n.config.axis, n.config.epsilon)),
        Node::GridSample(n) => grid_sample(&n.config),
        _ => return None,
    })
}

/// Mean 0 and variance 1 over all axes from `axis` on, then scale and bias.
fn layer(axis: i64, epsilon: f64) -> Kernel {
    Kernel::new(3, move |mut operands| {
        let (x, scale) = (operands.next()?, operands.next()?);
        let rank = x.rank();
        let from = if axis < 0 { axis + rank as i64 } else { axis };
        let from = usize::try_from(from).ok().filter(|&from| from < rank);
        let from = from.ok_or_else(|| OperatorError::new(format!("axis {axis} of {rank}")))?;
        let axes: Vec<usize> = (from..rank).collect();
        let centred = map!(x, t => { let mean = t.clone().mean_dims(&axes); t - mean })?;
        let normalized = map!(centred, t => {
            let variance = t.clone().powi_scalar(2).mean_dims(&axes);
            t / (variance + epsilon).sqrt()
        })?;
        let scaled = arithmetic::multiply(normalized, scale)?;
        Ok(vec![match operands.optional() {
            Some(bias) => arithmetic::add(scaled, bias)?,
            None => scaled,
        }])
    })
}

/// Bilinear interpolation of pixels, at the coordinates of a grid from -1 to 1.
fn grid_sample(config: &GridSampleConfig) -> Result<Kernel, OperatorError> {
    if config.mode != GridSampleMode::Bilinear {
        return Err(OperatorError::new(format!("{:?} interpolation", config.mode)));
    }
    let padding_mode = match config.padding_mode {
        GridSamplePaddingMode::Zeros => Border::Zeros,
        GridSamplePaddingMode::Border => Border::Border,
        GridSamplePaddingMode::Reflection => Border::Reflection,
    };
    let options =
        GridSampleOptions { mode: InterpolateMode::Bilinear, padding_mode, align_corners: config.align_corners };
    Ok(Kernel::new(2, move |mut operands| {
        let (x, grid) = (operands.next()?.rank4()?, operands.next()?.rank4()?);
        let (pixels, places) = (x.dims(), grid.dims());
        if pixels[0] != places[0] || places[3] != 2 {
            return Err(OperatorError::new(format!("a grid {places:?} over {pixels:?}")));
        }
        Ok(vec![Value::R4(x.grid_sample_2d(grid, options.clone()))])
    }))
}
