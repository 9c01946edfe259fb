//! Sharpness of a small picture.

use ocellus_core::Size;

/// The size that pictures have to be brought to ([`Frame::luma`](crate::Frame::luma)) for their
/// sharpness to compare.
///
/// A small object is enlarged to it and so measures as the blur that it is.
pub const SHARPNESS_SIZE: Size = Size { width: 96, height: 96 };

/// The variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield
/// microscopy", ICPR 2000) over the inner pixels of a grey picture, `luma.len() == size.width *
/// size.height`.
///
/// 0 for a flat picture; at [`SHARPNESS_SIZE`] a blurred face gives tens, a sharp one hundreds. 0
/// as well where there is nothing to measure: a side below 3, or fewer samples than the size says.
pub fn sharpness(luma: &[u8], size: Size) -> f32 {
    let (width, height) = (size.width as usize, size.height as usize);
    if width < 3 || height < 3 || luma.len() < width * height {
        return 0.0;
    }
    let rows: Vec<&[u8]> = luma.chunks_exact(width).take(height).collect();
    let (mut sum, mut squares) = (0i64, 0i64);
    for three in rows.windows(3) {
        let &[above, row, below] = three else { continue };
        for ((side, above), below) in row.windows(3).zip(above.iter().skip(1)).zip(below.iter().skip(1)) {
            let &[left, here, right] = side else { continue };
            let laplacian =
                i64::from(left) + i64::from(right) + i64::from(*above) + i64::from(*below) - 4 * i64::from(here);
            sum += laplacian;
            squares += laplacian * laplacian;
        }
    }
    let count = ((width - 2) * (height - 2)) as f64;
    let mean = sum as f64 / count;
    (squares as f64 / count - mean * mean).max(0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 8, height: 8 };

    #[test]
    fn flat_and_sloping_pictures_have_none() {
        assert_eq!(sharpness(&[7; 64], SIZE), 0.0);
        let slope: Vec<u8> = (0..64).map(|i| (i % 8) * 3 + (i / 8) * 5).collect();
        assert_eq!(sharpness(&slope, SIZE), 0.0);
    }

    #[test]
    fn a_checkerboard_by_hand() {
        let board: Vec<u8> = (0..64).map(|i| if (i % 8 + i / 8) % 2 == 0 { 0 } else { 10 }).collect();
        // Every inner pixel differs by 10 from its four neighbours: the Laplacian is +40 and -40 in
        // equal number.
        assert_eq!(sharpness(&board, SIZE), 1600.0);
    }

    #[test]
    fn what_cannot_be_measured() {
        assert_eq!(sharpness(&[1, 2, 3, 4], Size { width: 2, height: 2 }), 0.0);
        assert_eq!(sharpness(&[1; 10], SIZE), 0.0);
    }
}
