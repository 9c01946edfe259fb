//! Host functions that plugins may call: log lines, and pictures of a call's items.

use crate::Size;
#[cfg(target_arch = "wasm32")]
use crate::bindings::crops;
pub use crate::bindings::{crops::Unavailable, logging::Level};

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
/// `item` is its index in the list of the present call. `margin` widens the box on every side by so
/// many of its widths and heights, 0 to 1.
///
/// For filters whose manifest asks for [`Capability::Crops`](crate::Capability::Crops), in the
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
