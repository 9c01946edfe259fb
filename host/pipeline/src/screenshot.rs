//! Screenshot of a video: one frame as a JPEG, of the beginning or of a given time.

use ocellus_core::{Error, Result, StreamSettings};
use ocellus_media::{Decoder, Frame, Input, Interrupt};

/// Seconds from the start at which the screenshot is taken, since many videos begin black; a tenth
/// of the duration of videos shorter than ten times this.
const OFFSET: f64 = 1.0;

/// Size, quality and region of a screenshot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScreenshotQuery {
    /// Seconds from the start of the source: the first frame at or after it. `None`: a frame near
    /// the beginning that is likely to show something.
    pub time: Option<f64>,
    /// Greatest width in pixels; with both given the picture fits into them, its proportions kept.
    pub width: Option<u32>,
    /// As `width`.
    pub height: Option<u32>,
    /// JPEG quality, 0..=100.
    pub quality: Option<u8>,
    /// Whether to crop to the settings' `rot`.
    pub rot: bool,
}

impl Default for ScreenshotQuery {
    fn default() -> Self {
        Self { time: None, width: None, height: None, quality: None, rot: true }
    }
}

/// Opens the source and encodes one frame of it. Blocks, for a URL without a limit, until
/// `interrupt` is raised.
pub(crate) fn take(
    input: &Input,
    settings: &StreamSettings,
    query: &ScreenshotQuery,
    interrupt: &Interrupt,
) -> Result<Vec<u8>> {
    let frame = match query.time {
        Some(time) => frame_at(input, time, interrupt)?,
        None => representative(input, interrupt)?,
    };
    let region = settings.rot.filter(|_| query.rot).map(|r| r.to_rect());
    let shown = region.unwrap_or(frame.size().to_rect());
    // The longer side of the picture that fits into the requested size.
    let scale = [query.width.map(|w| w as f32 / shown.width()), query.height.map(|h| h as f32 / shown.height())]
        .into_iter()
        .flatten()
        .fold(1.0_f32, f32::min);
    let max_side = (scale < 1.0).then(|| (shown.width().max(shown.height()) * scale).round().max(1.0) as u32);
    Ok(frame.jpeg(region, max_side, query.quality.unwrap_or(90))?)
}

fn frame_at(input: &Input, time: f64, interrupt: &Interrupt) -> Result<Frame> {
    let mut decoder = Decoder::open(input, interrupt)?;
    decoder.seek(time)?;
    decoder.next_frame()?.ok_or_else(|| Error::not_found("Frame"))
}

fn representative(input: &Input, interrupt: &Interrupt) -> Result<Frame> {
    let open = || Decoder::open(input, interrupt);
    let mut decoder = open()?;
    let at = decoder.info().duration.map_or(0.0, |d| (d / 10.0).min(OFFSET));
    if at > 0.0 && decoder.seek(at).is_err() {
        // Some sources cannot seek, and leave the decoder somewhere else.
        decoder = open()?;
    }
    match decoder.next_frame()? {
        Some(frame) => Ok(frame),
        None => open()?.next_frame()?.ok_or_else(|| Error::not_found("Frame")),
    }
}
