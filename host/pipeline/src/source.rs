//! Source of a video's frames.
//!
//! Owns: the location of the source, its decoding options by the settings, and the search for the
//! frame after the last one in the log.

use std::path::Path;

use ocellus_core::{Error, ErrorKind, NetworkPolicy, Result, ShotSummary, StreamSettings, VideoId, VideoRecord};
use ocellus_media::{Decoder, Decoding, Frame, Input, Interrupt, Location, MediaError};
use ocellus_store::Archive;
use tracing::debug;

use crate::settings::ffmpeg_options;

/// Position of a frame in its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct FramePosition {
    pub index: u64,
    /// Stream time in seconds.
    pub time: f64,
}

impl From<&ShotSummary> for FramePosition {
    fn from(shot: &ShotSummary) -> Self {
        Self { index: shot.frame, time: shot.time }
    }
}

/// The source of a video; `network` restricts the addresses of a URL.
pub(crate) fn input(archive: &Archive, video: &VideoRecord, network: &NetworkPolicy) -> Result<Input> {
    let location = match (&video.url, video.file_size) {
        (_, Some(_)) => Location::File(archive.source_path(video.id)),
        (Some(url), None) => Location::Url(url.clone()),
        (None, None) => return Err(no_source(video.id)),
    };
    // For a URL, the copy that FFmpeg needs to seek is made in the video's folder.
    let spool = archive.source_path(video.id).parent().map(Path::to_owned);
    Ok(Input { spool, ..read(location, &video.stream_settings, network)? })
}

/// A source with the decoding options of the settings.
pub(crate) fn read(location: Location, settings: &StreamSettings, network: &NetworkPolicy) -> Result<Input> {
    let options = ffmpeg_options(settings)?;
    Ok(Input {
        location,
        format: (!settings.ffmpeg_format.is_empty()).then(|| settings.ffmpeg_format.clone()),
        options,
        network: network.clone(),
        spool: None,
        transform: settings.video_transform,
        threads: 0,
        decoding: Decoding::Software,
    })
}

fn no_source(id: VideoId) -> Error {
    Error::new(ErrorKind::NotFound, "The video has neither a file nor a URL.").because(format!("video {id}"))
}

/// Moves a newly opened decoder to the frame after `known`, the last frames of the log in order.
/// Returns those of them that were decoded on the way, if any.
///
/// The decoder seeks to the first of them and decodes from there; if one of them is not found at
/// its time, or without `seek`, it decodes from the beginning.
pub(crate) fn skip_to(
    decoder: &mut Decoder,
    input: &Input,
    interrupt: &Interrupt,
    known: &[FramePosition],
    seek: bool,
) -> Result<Vec<Frame>> {
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Ok(Vec::new()) };
    // A seek to the beginning gains nothing.
    if seek && !input.location.is_rtsp() && first.index > 0 {
        if let Some(frames) = found_by_time(decoder, *first, known) {
            return Ok(frames);
        }
        if interrupt.is_raised() {
            return Err(MediaError::Interrupted.into());
        }
        debug!(frame = last.index, "frame {} is not found where it was, decoding from the beginning", last.index);
        *decoder = Decoder::open(input, interrupt)?;
    }
    let mut frames = Vec::new();
    loop {
        let Some(frame) = decoder.next_frame()? else {
            let reason =
                format!("The video's source is shorter than when processing began: it ends at frame {}.", frames.len());
            return Err(Error::new(ErrorKind::Conflict, reason));
        };
        let index = frame.index();
        if known.iter().any(|position| position.index == index) {
            frames.push(frame);
        }
        if index >= last.index {
            return Ok(frames);
        }
    }
}

/// Finds the known frames by seeking; `None` where one is not at its time.
fn found_by_time(decoder: &mut Decoder, first: FramePosition, known: &[FramePosition]) -> Option<Vec<Frame>> {
    decoder.seek(first.time).ok()?;
    decoder.go_on(first.index, 0.0);
    let mut frames = Vec::with_capacity(known.len());
    for position in known {
        // Frames that were dropped are not in the log.
        let frame = loop {
            let frame = decoder.next_frame().ok()??;
            if frame.index() >= position.index {
                break frame;
            }
        };
        if frame.index() != position.index || frame.time() != position.time {
            return None;
        }
        frames.push(frame);
    }
    Some(frames)
}
