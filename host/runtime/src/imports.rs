//! Host functions that plugins may call: log lines, small pictures of the items of a call, and the
//! pictures of a post.
//!
//! Guarantees: the number of log lines is limited; only the pictures of the present call can be
//! read. Ends with the store that it belongs to.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::{Rect, Size};

use crate::{
    Limits,
    bindings::{crops, logging, pictures, types},
};

/// Limit of a log line; longer ones are truncated.
const MAX_LINE_BYTES: usize = 1024;
/// Longest side of a picture that a plugin may read, in pixels.
const MAX_SIDE: u32 = 256;

/// Longest validity of a picture's URL, in seconds: a week.
const MAX_URL_SECONDS: u32 = 604_800;

/// The pixels of a frame, for plugins with the capability `crops`.
pub trait Pixels: Send + Sync {
    /// The part of the frame inside `rect`, clipped to the frame and scaled to `size` (pixels):
    /// rows from the top, three bytes (red, green, blue) per pixel. Deterministic. `None` where
    /// `rect` lies outside the frame.
    fn crop(&self, rect: Rect, size: Size) -> Option<Vec<u8>>;
}

/// The pictures that a filter may read during one call.
pub(crate) struct CropAccess {
    pub(crate) pixels: Arc<dyn Pixels>,
    /// Boxes of the call's items, in order.
    pub(crate) boxes: Vec<Rect>,
}

impl CropAccess {
    /// `crops.read` of the contract, where the call has pixels.
    pub(crate) fn read(&self, item: u32, margin: f32, size: Size) -> Result<Vec<u8>, crops::Unavailable> {
        let rect = self.boxes.get(item as usize).ok_or(crops::Unavailable::NoSuchItem)?;
        // NaN and infinities count as no margin.
        let margin = if margin.is_finite() { margin.clamp(0.0, 1.0) } else { 0.0 };
        self.pixels.crop(rect.padded(margin), size).ok_or(crops::Unavailable::NoPixels)
    }
}

/// Checks the requested size of a picture.
pub(crate) fn crop_size(asked: types::Size) -> Result<Size, crops::Unavailable> {
    let sides = 1..=MAX_SIDE;
    if !sides.contains(&asked.width) || !sides.contains(&asked.height) {
        return Err(crops::Unavailable::WrongSize);
    }
    Ok(Size { width: asked.width, height: asked.height })
}

/// The pictures of a post, for routers with the capability `pictures`. An index counts in the list
/// of the post's pictures.
pub trait PostPictures: Send + Sync {
    /// Number of pictures.
    fn count(&self) -> usize;

    /// The picture's file; `None` for an index out of range, and where it cannot be read.
    fn file(&self, index: usize) -> Option<&[u8]>;

    /// An absolute URL of the file that needs no token and is valid for this long; `None` where the
    /// server has none.
    fn url(&self, index: usize, valid: Duration) -> Option<String>;
}

/// `pictures.read` of the contract.
pub(crate) fn picture_file(post: Option<&dyn PostPictures>, index: u32) -> Result<Vec<u8>, pictures::Unavailable> {
    let file = post.and_then(|post| post.file(index as usize));
    file.map(<[u8]>::to_vec).ok_or(pictures::Unavailable::NoSuchPicture)
}

/// `pictures.url` of the contract.
pub(crate) fn picture_url(
    post: Option<&dyn PostPictures>,
    index: u32,
    seconds: u32,
) -> Result<String, pictures::Unavailable> {
    let post = post.filter(|post| (index as usize) < post.count()).ok_or(pictures::Unavailable::NoSuchPicture)?;
    if !(1..=MAX_URL_SECONDS).contains(&seconds) {
        return Err(pictures::Unavailable::WrongTime);
    }
    post.url(index as usize, Duration::from_secs(seconds.into())).ok_or(pictures::Unavailable::NoUrl)
}

/// A token bucket over the lines that a session writes.
#[derive(Debug)]
pub(crate) struct LogBucket {
    plugin: String,
    /// Lines that may be written now.
    left: f64,
    filled: Instant,
    dropped: u64,
}

impl LogBucket {
    pub(crate) fn new(plugin: &str, limits: &Limits) -> Self {
        Self { plugin: plugin.to_owned(), left: f64::from(limits.log_lines), filled: Instant::now(), dropped: 0 }
    }

    /// Number of dropped lines.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn admits(&mut self, limits: &Limits) -> bool {
        let now = Instant::now();
        let more = now.duration_since(self.filled).as_secs_f64() * f64::from(limits.log_lines_per_second);
        (self.left, self.filled) = ((self.left + more).min(f64::from(limits.log_lines)), now);
        if self.left < 1.0 {
            self.dropped += 1;
            return false;
        }
        self.left -= 1.0;
        true
    }

    /// `logging.log` of the contract.
    pub(crate) fn write(&mut self, limits: &Limits, level: logging::Level, line: &str) {
        if !self.admits(limits) {
            if self.dropped == 1 {
                tracing::warn!(plugin = self.plugin, "{} writes more lines than it may: some are dropped", self.plugin);
            }
            return;
        }
        let (plugin, line) = (&self.plugin, printable(line));
        match level {
            logging::Level::Debug => tracing::debug!(plugin, "{plugin}: {line}"),
            logging::Level::Info => tracing::info!(plugin, "{plugin}: {line}"),
            logging::Level::Warn => tracing::warn!(plugin, "{plugin}: {line}"),
            logging::Level::Error => tracing::error!(plugin, "{plugin}: {line}"),
        }
    }
}

/// A line truncated to [`MAX_LINE_BYTES`], with escaped control characters, so that it cannot forge
/// further lines or move the cursor.
fn printable(line: &str) -> String {
    let mut shown = String::new();
    for c in line.get(..line.floor_char_boundary(MAX_LINE_BYTES)).unwrap_or_default().chars() {
        let written = if c.is_control() { write!(shown, "{}", c.escape_default()) } else { write!(shown, "{c}") };
        // Writing to a string cannot fail.
        let _ = written;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(printable("a\nb\u{1b}[2J\u{e9}"), "a\\nb\\u{1b}[2J\u{e9}");
        assert_eq!(printable(&"\u{e9}".repeat(600)).len(), 1024);
    }

    #[test]
    fn the_bucket_refills_with_time() {
        let limits = Limits { log_lines: 2, log_lines_per_second: 1000, ..Limits::default() };
        let mut bucket = LogBucket::new("p", &limits);
        // No refill between these lines.
        let frozen = Limits { log_lines_per_second: 0, ..limits.clone() };
        assert_eq!([0; 3].map(|_| bucket.admits(&frozen)), [true, true, false]);
        assert_eq!(bucket.dropped(), 1);
        bucket.filled -= std::time::Duration::from_secs(1);
        assert!(bucket.admits(&limits));
    }
}
