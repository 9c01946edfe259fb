//! Scaling of feature maps (ONNX Resize and Upsample).
//!
//! ONNX defines six coordinate systems and four ways of rounding. Nearest-neighbour scaling
//! supports all of them but `tf_crop_and_resize`: the indices of rows and columns are computed on
//! the host. Linear scaling supports the coordinate systems that burn implements; everything else
//! is refused.

use burn::tensor::{
    Int, Tensor, TensorData, module,
    ops::{InterpolateMode, InterpolateOptions},
};
use onnx_ir::{
    Node,
    node::resize::{
        CoordinateTransformMode as System, NearestMode, ResizeConfig, ResizeMode, ResizeScales, ResizeSizes,
    },
};

use super::operator::{Context, Kernel, Operands, computed};
use crate::graph::{error::OperatorError, value::Value};

pub(super) fn build(node: &Node, _: Context) -> Option<Result<Kernel, OperatorError>> {
    match node {
        Node::Resize(n) | Node::Upsample(n) => Some(resize(&n.config)),
        _ => None,
    }
}

/// The size to scale to; pairs are rows, columns.
#[derive(Clone, Debug)]
enum Target {
    /// Factors from input to output.
    Scales([f32; 2]),
    /// Pixels.
    Sizes([usize; 2]),
    /// The operand at this index holds the sizes: batch, channels, height, width.
    SizesAt(usize),
}

/// Scaling along one axis: sizes in pixels, and the factor, which need not be their exact ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Axis {
    from: usize,
    to: usize,
    scale: f32,
}

impl Target {
    fn new(config: &ResizeConfig) -> Result<Self, OperatorError> {
        let two = |n: usize| OperatorError::new(format!("{n} axes to scale, where a picture has two"));
        match (&config.sizes, &config.scales) {
            (Some(ResizeSizes::Static(sizes)), _) => {
                Ok(Target::Sizes(sizes.as_slice().try_into().map_err(|_| two(sizes.len()))?))
            }
            (Some(ResizeSizes::Runtime(at)), _) => Ok(Target::SizesAt(at.input_index)),
            (None, Some(ResizeScales::Static(scales))) => {
                Ok(Target::Scales(scales.as_slice().try_into().map_err(|_| two(scales.len()))?))
            }
            (None, Some(ResizeScales::Runtime(_))) => Err(computed("scales")),
            (None, None) => Err(OperatorError::new("neither scales nor sizes")),
        }
    }

    fn axes(&self, from: [usize; 2], operands: Operands) -> Result<[Axis; 2], OperatorError> {
        let exactly = |to: [usize; 2]| {
            [0, 1].map(|i| Axis {
                from: pick(from, i),
                to: pick(to, i),
                scale: pick(to, i) as f32 / pick(from, i) as f32,
            })
        };
        match self {
            Target::Scales(scales) => Ok([0, 1].map(|i| {
                let (from, scale) = (pick(from, i), pick(*scales, i));
                Axis { from, to: (from as f32 * scale).floor() as usize, scale }
            })),
            Target::Sizes(to) => Ok(exactly(*to)),
            Target::SizesAt(index) => {
                // The first operand was taken before.
                let sizes = operands.nth(index.saturating_sub(1))?.integers()?;
                let [_, _, height, width] = sizes.as_slice() else {
                    return Err(OperatorError::new(format!("{} sizes, where a picture has four", sizes.len())));
                };
                let size = |n: i64| usize::try_from(n).map_err(|_| OperatorError::new(format!("a size of {n}")));
                Ok(exactly([size(*height)?, size(*width)?]))
            }
        }
    }
}

fn pick<T: Copy>([rows, columns]: [T; 2], axis: usize) -> T {
    if axis == 0 { rows } else { columns }
}

fn resize(config: &ResizeConfig) -> Result<Kernel, OperatorError> {
    if config.antialias != 0 || config.exclude_outside != 0 {
        return Err(OperatorError::new("antialias and exclude_outside"));
    }
    let target = Target::new(config)?;
    let inputs = if let Target::SizesAt(index) = target { index + 1 } else { 1 };
    let (system, rounding) = (config.coordinate_transformation_mode.clone(), config.nearest_mode.clone());
    if system == System::TfCropAndResize {
        return Err(OperatorError::new("coordinates of tf_crop_and_resize"));
    }
    match config.mode {
        ResizeMode::Nearest => {
            let plain = system == System::Asymmetric && rounding == NearestMode::Floor;
            Ok(kernel(inputs, target, move |x, axes| {
                let whole = axes.iter().all(|axis| axis.to.is_multiple_of(axis.from) && axis.scale.fract() == 0.0);
                if plain && whole {
                    interpolate(x, axes, InterpolateMode::Nearest, false)
                } else {
                    nearest(x, axes, &system, &rounding)
                }
            }))
        }
        ResizeMode::Linear => {
            let corners = match system {
                System::HalfPixel | System::PytorchHalfPixel => false,
                System::AlignCorners => true,
                other => return Err(OperatorError::new(format!("linear scaling with coordinates {other:?}"))),
            };
            Ok(kernel(inputs, target, move |x, axes| interpolate(x, axes, InterpolateMode::Bilinear, corners)))
        }
        ResizeMode::Cubic => Err(OperatorError::new("cubic scaling")),
    }
}

fn kernel(
    inputs: usize,
    target: Target,
    scale: impl Fn(Tensor<4>, [Axis; 2]) -> Tensor<4> + Send + Sync + 'static,
) -> Kernel {
    Kernel::new(inputs, move |mut operands| {
        let x = operands.next()?.rank4()?;
        let [_, _, height, width] = x.dims();
        let axes = target.axes([height, width], operands)?;
        if axes.iter().any(|axis| axis.from == 0 || axis.to == 0) {
            return Err(OperatorError::new("a picture without pixels"));
        }
        Ok(vec![Value::R4(scale(x, axes))])
    })
}

fn interpolate(x: Tensor<4>, [rows, columns]: [Axis; 2], mode: InterpolateMode, align_corners: bool) -> Tensor<4> {
    module::interpolate(
        x,
        InterpolateOptions::new(mode).with_output_size([rows.to, columns.to]).with_align_corners(align_corners),
    )
}

fn nearest(x: Tensor<4>, [rows, columns]: [Axis; 2], system: &System, rounding: &NearestMode) -> Tensor<4> {
    let device = x.device();
    let take = |axis: Axis| {
        let indices = nearest_indices(axis, system, rounding);
        Tensor::<1, Int>::from_data(TensorData::new(indices, [axis.to]), &device)
    };
    x.select(2, take(rows)).select(3, take(columns))
}

/// Index of the input pixel for each output pixel, as ONNX defines it for Resize.
fn nearest_indices(axis: Axis, system: &System, rounding: &NearestMode) -> Vec<i64> {
    let Axis { from, to, scale } = axis;
    let indices = (0..to).map(|i| {
        let i = i as f32;
        let at = match system {
            System::HalfPixel => (i + 0.5) / scale - 0.5,
            System::PytorchHalfPixel => {
                if to > 1 {
                    (i + 0.5) / scale - 0.5
                } else {
                    0.0
                }
            }
            System::AlignCorners => {
                if to > 1 {
                    i * (from as f32 - 1.0) / (to as f32 - 1.0)
                } else {
                    0.0
                }
            }
            System::TfHalfPixelForNn => (i + 0.5) / scale,
            System::Asymmetric | System::TfCropAndResize => i / scale,
        };
        let rounded = match rounding {
            NearestMode::RoundPreferFloor => (at - 0.5).ceil(),
            NearestMode::RoundPreferCeil => (at + 0.5).floor(),
            NearestMode::Floor => at.floor(),
            NearestMode::Ceil => at.ceil(),
        };
        (rounded.max(0.0) as i64).min(from as i64 - 1)
    });
    indices.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLED: Axis = Axis { from: 3, to: 6, scale: 2.0 };
    const THIRDED: Axis = Axis { from: 6, to: 2, scale: 1.0 / 3.0 };

    #[test]
    fn nearest_pixels_as_onnx_defines_them() {
        let of = |axis, system, rounding| nearest_indices(axis, &system, &rounding);
        assert_eq!(of(DOUBLED, System::Asymmetric, NearestMode::Floor), [0, 0, 1, 1, 2, 2]);
        assert_eq!(of(DOUBLED, System::Asymmetric, NearestMode::Ceil), [0, 1, 1, 2, 2, 2]);
        assert_eq!(of(DOUBLED, System::HalfPixel, NearestMode::RoundPreferFloor), [0, 0, 1, 1, 2, 2]);
        assert_eq!(of(DOUBLED, System::AlignCorners, NearestMode::Floor), [0, 0, 0, 1, 1, 2]);
        assert_eq!(of(THIRDED, System::HalfPixel, NearestMode::RoundPreferFloor), [1, 4]);
        assert_eq!(of(THIRDED, System::Asymmetric, NearestMode::Floor), [0, 3]);
    }
}
