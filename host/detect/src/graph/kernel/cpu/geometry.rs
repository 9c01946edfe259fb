//! Geometry of sliding windows over a picture.

/// A window that slides over the planes of one picture. Pairs are rows, columns; sizes are in
/// pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Of the picture.
    pub(super) height: usize,
    /// Of the picture.
    pub(super) width: usize,
    /// Of the window.
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Padding before the picture.
    pub(super) before: [usize; 2],
    /// Rows of windows.
    pub(super) rows: usize,
    /// Windows in a row.
    pub(super) columns: usize,
}

impl Geometry {
    /// `None` where no window fits. `padding` is before and after, for rows and for columns.
    pub(super) fn new(
        [height, width]: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [(usize, usize); 2],
    ) -> Option<Self> {
        let fit = |size: usize, (before, after): (usize, usize), kernel: usize, stride: usize| {
            (size + before + after).checked_sub(kernel)?.checked_div(stride).map(|steps| steps + 1)
        };
        let ([rows, columns], [kernel_rows, kernel_columns], [down, right]) = (padding, kernel, stride);
        if height == 0 || width == 0 || kernel_rows == 0 || kernel_columns == 0 {
            return None;
        }
        let before = [rows.0, columns.0];
        let rows = fit(height, rows, kernel_rows, down)?;
        let columns = fit(width, columns, kernel_columns, right)?;
        Some(Self { height, width, kernel, stride, before, rows, columns })
    }

    /// Pixels in a plane of the picture.
    pub(super) fn plane(&self) -> usize {
        self.height * self.width
    }

    /// Number of windows, which is that of pixels in a plane of the output.
    pub(super) fn windows(&self) -> usize {
        self.rows * self.columns
    }

    /// Whether each window is one pixel and each pixel has a window.
    pub(super) fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0] && self.windows() == self.plane()
    }
}
