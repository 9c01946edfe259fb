//! Prior boxes of SSD detectors (Liu et al., 2016, arXiv:1512.02325), computed when a network is
//! read: `PriorBox` and `PriorBoxClustered` of OpenVINO's operation sets.
//!
//! The result has two rows, `[2, 4 * priors]`: the corners of each box (left, top, right, bottom)
//! as fractions of the input's sides, and the variances by which its offsets are scaled.

use super::{
    document::Layer,
    tensor::{Budget, Tensor},
};

/// The feature map, and the picture that it is of; rows first.
#[derive(Clone, Copy)]
struct Grid {
    rows: usize,
    columns: usize,
    height: f32,
    width: f32,
}

impl Grid {
    fn new(layer_size: &Tensor, image_size: &Tensor) -> Result<Self, String> {
        let (&[rows, columns], &[height, width]) = (layer_size.as_integers()?, image_size.as_integers()?) else {
            return Err("sizes of two numbers each are expected".into());
        };
        let sides = 1..=i64::from(u16::MAX);
        if ![rows, columns, height, width].iter().all(|side| sides.contains(side)) {
            return Err(format!("{columns}x{rows} cells of a picture of {width}x{height}"));
        }
        Ok(Self { rows: rows as usize, columns: columns as usize, height: height as f32, width: width as f32 })
    }

    /// Boxes of these sizes (width, height) around the centre of each cell.
    fn priors(
        self,
        layer: &Layer,
        sizes: &[(f32, f32)],
        centre: impl Fn(usize, usize) -> (f32, f32),
        budget: &mut Budget,
    ) -> Result<Tensor, String> {
        let length = self.rows * self.columns * sizes.len() * 4;
        let dims = [2, length];
        budget.take(&dims)?;
        let clip = layer.flag("clip", false)?;
        let mut values = Vec::with_capacity(2 * length);
        for row in 0..self.rows {
            for column in 0..self.columns {
                let (x, y) = centre(row, column);
                for (width, height) in sizes {
                    let corners = [
                        (x - width / 2.0) / self.width,
                        (y - height / 2.0) / self.height,
                        (x + width / 2.0) / self.width,
                        (y + height / 2.0) / self.height,
                    ];
                    values.extend(corners.map(|v| if clip { v.clamp(0.0, 1.0) } else { v }));
                }
            }
        }
        let variances: [f32; 4] = match layer.list("variance")?.as_slice() {
            [] => [0.1; 4],
            &[one] => [one; 4],
            &[a, b, c, d] => [a, b, c, d],
            other => return Err(format!("{} variances", other.len())),
        };
        values.extend(variances.iter().cycle().take(length));
        Ok(Tensor::floats(&dims, values))
    }
}

/// `PriorBoxClustered`: sizes found by clustering, one box of each in every cell.
pub(super) fn clustered(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let &[layer_size, image_size] = operands else { return Err("two inputs are expected".into()) };
    let grid = Grid::new(layer_size, image_size)?;
    let (widths, heights): (Vec<f32>, Vec<f32>) = (layer.list("width")?, layer.list("height")?);
    if widths.len() != heights.len() {
        return Err(format!("{} widths and {} heights", widths.len(), heights.len()));
    }
    let offset = layer.number("offset", 0.0f32)?;
    let step = layer.number("step", 0.0f32)?;
    let step_of = |name, whole: f32, cells: usize| -> Result<f32, String> {
        let own: f32 = layer.number(name, 0.0)?;
        let given = [own, step].into_iter().find(|&step| step != 0.0);
        Ok(given.unwrap_or(whole / cells as f32))
    };
    let step_x = step_of("step_w", grid.width, grid.columns)?;
    let step_y = step_of("step_h", grid.height, grid.rows)?;
    let sizes: Vec<_> = widths.into_iter().zip(heights).collect();
    grid.priors(
        layer,
        &sizes,
        |row, column| ((column as f32 + offset) * step_x, (row as f32 + offset) * step_y),
        budget,
    )
}

/// `PriorBox`: sizes from the smallest and the largest side of a level, and aspect ratios.
pub(super) fn plain(layer: &Layer, operands: &[&Tensor], budget: &mut Budget) -> Result<Tensor, String> {
    let &[layer_size, image_size] = operands else { return Err("two inputs are expected".into()) };
    let grid = Grid::new(layer_size, image_size)?;
    for unknown in ["fixed_size", "fixed_ratio", "density"] {
        if !layer.list::<f32>(unknown)?.is_empty() {
            return Err(format!("priors of {unknown}"));
        }
    }
    let (mut smallest, largest): (Vec<f32>, Vec<f32>) = (layer.list("min_size")?, layer.list("max_size")?);
    let mut ratios = vec![1.0f32];
    for ratio in layer.list::<f32>("aspect_ratio")? {
        if ratio <= 0.0 {
            return Err(format!("an aspect ratio of {ratio}"));
        }
        let flipped = layer.flag("flip", false)?.then_some(1.0 / ratio);
        for ratio in [Some(ratio), flipped].into_iter().flatten() {
            if !ratios.iter().any(|known| (known - ratio).abs() < 1e-6) {
                ratios.push(ratio);
            }
        }
    }
    let all_sizes = layer.flag("scale_all_sizes", true)?;
    let mut step = layer.number("step", 0.0f32)?;
    if !all_sizes {
        // Sizes are fractions of the picture's height then.
        step = if step == -1.0 { grid.height / grid.rows as f32 } else { step * grid.height };
        smallest.iter_mut().for_each(|size| *size *= grid.height);
    }
    let largest_first = layer.flag("min_max_aspect_ratios_order", true)?;
    let mut sizes = Vec::new();
    for (index, &size) in smallest.iter().enumerate() {
        sizes.push((size, size));
        let large = largest.get(index).map(|large| (size * large).sqrt()).map(|side| (side, side));
        if largest_first {
            sizes.extend(large);
        }
        if all_sizes || index + 1 == smallest.len() {
            let base = if all_sizes { size } else { smallest.first().copied().unwrap_or(size) };
            let other = ratios.iter().filter(|ratio| (**ratio - 1.0).abs() >= 1e-6);
            sizes.extend(other.map(|ratio| (base * ratio.sqrt(), base / ratio.sqrt())));
        }
        if !largest_first {
            sizes.extend(large);
        }
    }
    let offset = if step == 0.0 { 0.5 } else { layer.number("offset", 0.0f32)? };
    let steps =
        if step == 0.0 { (grid.width / grid.columns as f32, grid.height / grid.rows as f32) } else { (step, step) };
    grid.priors(
        layer,
        &sizes,
        |row, column| ((column as f32 + offset) * steps.0, (row as f32 + offset) * steps.1),
        budget,
    )
}
