//! One frame of a video as a JPEG, for people to know it by.

use ocellus_core::{Error, Result, StreamSettings};
use ocellus_media::{Decoder, Frame, Input, Interrupt};

/// The video's screenshot is taken this far into it, so as not to show the black that many begin
/// with; earlier in a video that is shorter than ten times this. Seconds.
const INTO: f64 = 1.0;

/// What a client wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenshotQuery {
    /// Pixels; with both given the picture fits into them, its proportions kept.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// JPEG quality, 0..=100.
    pub quality: Option<u8>,
    /// Only what lies within the settings' `rot`.
    pub rot: bool,
}

impl Default for ScreenshotQuery {
    fn default() -> Self {
        Self { width: None, height: None, quality: None, rot: true }
    }
}

/// Opens the source and takes a picture of it. Blocks, for a URL as long as it takes; ends once
/// `interrupt` is raised.
pub(crate) fn take(
    input: &Input,
    settings: &StreamSettings,
    query: &ScreenshotQuery,
    interrupt: &Interrupt,
) -> Result<Vec<u8>> {
    let frame = representative(input, interrupt)?;
    let region = settings.rot.filter(|_| query.rot).map(|r| r.to_rect());
    let shown = region.unwrap_or(frame.size().to_rect());
    // The longer side that makes the picture fit into what was asked for.
    let scale = [query.width.map(|w| w as f32 / shown.width()), query.height.map(|h| h as f32 / shown.height())]
        .into_iter()
        .flatten()
        .fold(1.0_f32, f32::min);
    let max_side = (scale < 1.0).then(|| (shown.width().max(shown.height()) * scale).round().max(1.0) as u32);
    Ok(frame.jpeg(region, max_side, query.quality.unwrap_or(90))?)
}

fn representative(input: &Input, interrupt: &Interrupt) -> Result<Frame> {
    let open = || Decoder::open(input, interrupt);
    let mut decoder = open()?;
    let at = decoder.info().duration.map_or(0.0, |d| (d / 10.0).min(INTO));
    if at > 0.0 && decoder.seek(at).is_err() {
        // Some sources cannot seek; what the attempt left of the decoder is not worth keeping.
        decoder = open()?;
    }
    match decoder.next_frame()? {
        Some(frame) => Ok(frame),
        None => open()?.next_frame()?.ok_or_else(|| Error::not_found("Frame")),
    }
}
