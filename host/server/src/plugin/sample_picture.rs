//! Picture that the objects of a recording are posted with: grey, as a recording has no pixels.

use std::time::Duration;

use anyhow::Result;
use ocellus_core::{RgbImage, Size};
use ocellus_media::encode_jpeg;
use ocellus_runtime::{Picture, PictureInfo, PostPictures};

pub(super) struct SamplePicture(Vec<u8>);

impl SamplePicture {
    pub(super) fn new() -> Result<Self> {
        let grey = RgbImage { width: 16, height: 16, data: vec![128; 16 * 16 * 3] };
        Ok(Self(encode_jpeg(&grey, 90)?))
    }

    /// As the photo of a frame of this size.
    pub(super) fn info(frame: Size) -> PictureInfo {
        let region = frame.to_rect().to_pixels(frame);
        PictureInfo { picture: Picture::Photo, content_type: "image/jpeg".to_owned(), size: frame, region }
    }
}

impl PostPictures for SamplePicture {
    fn count(&self) -> usize {
        1
    }

    fn file(&self, index: usize) -> Option<&[u8]> {
        (index == 0).then_some(&self.0)
    }

    fn url(&self, index: usize, valid: Duration) -> Option<String> {
        (index == 0).then(|| format!("http://server.example/picture/?valid={}", valid.as_secs()))
    }
}
