//! Encoding of pictures as JPEG and PNG.

use ocellus_core::{RgbImage, Size};
use turbojpeg::{Compressor, PixelFormat, Subsamp};

use crate::{MediaError, Result};

/// Chroma subsampling of a JPEG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chroma {
    /// 4:4:4.
    Full,
    /// 4:2:0: one sample for two by two pixels.
    Halved,
}

/// Encodes a baseline JPEG with full chroma. `quality` is 0..=100, on the scale of libjpeg; 0 is
/// taken as 1.
///
/// # Errors
/// [`MediaError::Internal`], when a side is 0 or over 65500, or `data` is too short for the size.
pub fn encode_jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let size = Size { width: image.width, height: image.height };
    encode_rows(&image.data, size.width as usize * 3, size, quality, Chroma::Full)
}

/// [`encode_jpeg`] of packed RGB whose rows begin every `stride` bytes, with this chroma.
pub(crate) fn encode_rows(pixels: &[u8], stride: usize, size: Size, quality: u8, chroma: Chroma) -> Result<Vec<u8>> {
    let (width, height) = (size.width as usize, size.height as usize);
    // The encoder takes a buffer that is too short as a fault of the program and panics.
    if stride < width * 3 || pixels.len() < stride * height {
        return Err(MediaError::internal("pixels that do not fit their size"));
    }
    let picture = turbojpeg::Image { pixels, width, height, pitch: stride, format: PixelFormat::RGB };
    let encode = || {
        let mut encoder = Compressor::new()?;
        encoder.set_quality(quality.clamp(1, 100).into())?;
        encoder.set_subsamp(match chroma {
            Chroma::Full => Subsamp::None,
            Chroma::Halved => Subsamp::Sub2x2,
        })?;
        encoder.compress_to_vec(picture)
    };
    encode().map_err(MediaError::internal)
}

/// Encodes an 8-bit RGB PNG, for speed rather than size.
///
/// # Errors
/// [`MediaError::Internal`], when a side is 0 or `data` does not fit the size.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut file = Vec::with_capacity(image.data.len() / 2);
    let mut encoder = png::Encoder::new(&mut file, image.width, image.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(MediaError::internal)?;
    writer.write_image_data(&image.data).map_err(MediaError::internal)?;
    writer.finish().map_err(MediaError::internal)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_do_not_fit_are_errors() {
        let image = |width, height, n| RgbImage { width, height, data: vec![0; n] };
        assert!(encode_jpeg(&image(2, 2, 11), 90).is_err());
        assert!(encode_jpeg(&image(0, 2, 0), 90).is_err());
        assert!(encode_jpeg(&image(70_000, 1, 210_000), 90).is_err());
        assert!(encode_png(&image(2, 2, 11)).is_err());
        assert!(encode_png(&image(0, 2, 0)).is_err());
    }

    #[test]
    fn png_keeps_every_sample() {
        let image = RgbImage { width: 5, height: 3, data: (0..45).collect() };
        let file = encode_png(&image).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut data).unwrap();
        assert_eq!(data, image.data);
    }

    #[test]
    fn every_quality_gives_a_file() {
        let image = RgbImage { width: 17, height: 9, data: vec![200; 17 * 9 * 3] };
        for quality in [0, 1, 50, 95, 100, 255] {
            assert!(encode_jpeg(&image, quality).unwrap().starts_with(&[0xff, 0xd8]));
        }
    }
}
