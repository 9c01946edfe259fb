//! Host functions for plugins: log lines, pictures of a call's items, and those of a post.

use crate::Size;
#[cfg(target_arch = "wasm32")]
use crate::bindings::{crops, pictures};
pub use crate::bindings::{crops::Unavailable, logging::Level, pictures::Unavailable as PictureUnavailable};

/// Writes a line into the server's log, under the plugin's name; in the plugin's own tests it goes
/// to standard error.
///
/// ```
/// use ocellus_plugin::{Level, log};
///
/// log(Level::Warn, &format!("{} tracks are open", 1000));
/// ```
pub fn log(level: Level, line: &str) {
    #[cfg(target_arch = "wasm32")]
    crate::bindings::logging::log(level, line);
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("{level:?}: {line}");
}

/// A small picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Crop {
    /// In pixels.
    pub size: Size,
    /// Rows from the top, three bytes (red, green, blue) a pixel.
    pub rgb: Vec<u8>,
}

/// The part of the frame inside the box of an item, scaled to `size` (sides of 1 to 256 pixels);
/// `item` is its index in the list of the present call. `margin` widens the box on every side by
/// this share of its width and height, 0 to 1.
///
/// For filters whose manifest requests [`Capability::Crops`](crate::Capability::Crops), in the
/// stages `detections` and `shots`. There are no pixels in the plugin's own tests.
///
/// # Errors
/// There is no such item, no such size, or there are no pixels.
pub fn crop(item: usize, margin: f32, size: Size) -> Result<Crop, Unavailable> {
    #[cfg(target_arch = "wasm32")]
    return crops::read(u32::try_from(item).unwrap_or(u32::MAX), margin, size).map(|rgb| Crop { size, rgb });
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = (item, margin, size);
        Err(Unavailable::NoPixels)
    }
}

/// The file of a picture of the post that is being encoded; `index` counts in
/// [`Post::pictures`](crate::Post::pictures).
///
/// For routers whose manifest requests [`Capability::Pictures`](crate::Capability::Pictures). There
/// are no pictures in the plugin's own tests.
///
/// # Errors
/// There is no such picture, or no post is being encoded.
pub fn picture(index: usize) -> Result<Vec<u8>, PictureUnavailable> {
    #[cfg(target_arch = "wasm32")]
    return pictures::read(u32::try_from(index).unwrap_or(u32::MAX));
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = index;
        Err(PictureUnavailable::NoSuchPicture)
    }
}

/// A URL of a picture that needs no token and is valid for this many seconds (1 to 604800) from now
/// on; `index` as for [`picture`].
///
/// # Errors
/// Those of [`picture`]; `seconds` is out of range; the server has no URL for this picture.
pub fn picture_url(index: usize, seconds: u32) -> Result<String, PictureUnavailable> {
    #[cfg(target_arch = "wasm32")]
    return pictures::url(u32::try_from(index).unwrap_or(u32::MAX), seconds);
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = (index, seconds);
        Err(PictureUnavailable::NoSuchPicture)
    }
}
