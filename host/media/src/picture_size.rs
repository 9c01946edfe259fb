//! Size limit of pictures, checked before anything is decoded.

use std::io::{BufReader, Read, Seek};

use ocellus_core::Size;

use crate::{MediaError, Result, presentation::MAX_PIXELS};

/// Refuses a picture above the limit: a header may claim a huge size in a few bytes.
pub(crate) fn check_size(size: Size) -> Result<()> {
    let pixels = i64::from(size.width).saturating_mul(i64::from(size.height));
    if pixels > MAX_PIXELS { Err(MediaError::TooLarge { size }) } else { Ok(()) }
}

/// The refusal of a picture that FFmpeg did not probe because of its size, which it does not
/// report.
pub(crate) fn too_large_picture(file: impl Read + Seek) -> Option<MediaError> {
    let size = imagesize::reader_size(BufReader::new(file)).ok()?;
    let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    check_size(Size { width: side(size.width), height: side(size.height) }).err()
}
