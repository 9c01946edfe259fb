//! Source of the pixels of a job.
//!
//! Owns: which bytes are a video's source, and how the settings want them decoded; finding the
//! frame that comes after the last one in the log.

use ocellus_core::{Error, ErrorKind, NetworkPolicy, Result, StreamSettings, VideoId, VideoRecord};
use ocellus_media::{Decoder, Decoding, Frame, Input, Interrupt, Location, MediaError};
use ocellus_store::Archive;
use tracing::debug;

use super::settings::ffmpeg_options;
use crate::frame_reader::Place;

/// Where a video's pixels come from; `network` is where a URL may lead.
pub(crate) fn input(archive: &Archive, video: &VideoRecord, network: &NetworkPolicy) -> Result<Input> {
    let location = match (&video.url, video.file_size) {
        (_, Some(_)) => Location::File(archive.source_path(video.id)),
        (Some(url), None) => Location::Url(url.clone()),
        (None, None) => return Err(no_source(video.id)),
    };
    read(location, &video.stream_settings, network)
}

/// A source as the settings want it decoded.
pub(crate) fn read(location: Location, settings: &StreamSettings, network: &NetworkPolicy) -> Result<Input> {
    let options = ffmpeg_options(settings)?;
    Ok(Input {
        location,
        format: (!settings.ffmpeg_format.is_empty()).then(|| settings.ffmpeg_format.clone()),
        options,
        network: network.clone(),
        transform: settings.video_transform,
        threads: 0,
        decoding: Decoding::Software,
    })
}

fn no_source(id: VideoId) -> Error {
    Error::new(ErrorKind::NotFound, "The video has neither a file nor a URL.").because(format!("video {id}"))
}

/// Whether places in the source can be looked for. RTSP servers go where they like.
fn can_seek(input: &Input) -> bool {
    match &input.location {
        Location::File(_) | Location::Memory(_) => true,
        Location::Url(url) => !url.to_ascii_lowercase().starts_with("rtsp"),
    }
}

/// Takes a decoder that has just been opened to the frame after `known`, which are the last frames
/// in the log, in order; those of them come out that were decoded on the way, as few as there may
/// be.
///
/// The source is gone to where the first of them was, and decoded from there; where one of them
/// does not come out at its time, it is decoded from its beginning. `seek`: it need not be tried.
pub(super) fn go_behind(
    decoder: &mut Decoder,
    input: &Input,
    interrupt: &Interrupt,
    known: &[Place],
    seek: bool,
) -> Result<Vec<Frame>> {
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Ok(Vec::new()) };
    // From the beginning there is nothing to be gained.
    if seek && can_seek(input) && first.index > 0 {
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
        if known.iter().any(|place| place.index == index) {
            frames.push(frame);
        }
        if index >= last.index {
            return Ok(frames);
        }
    }
}

/// `None` where the frames are not at their times.
fn found_by_time(decoder: &mut Decoder, first: Place, known: &[Place]) -> Option<Vec<Frame>> {
    decoder.seek(first.time).ok()?;
    decoder.go_on(first.index, 0.0);
    let mut frames = Vec::with_capacity(known.len());
    for place in known {
        // Frames that came too late are not in the log.
        let frame = loop {
            let frame = decoder.next_frame().ok()??;
            if frame.index() >= place.index {
                break frame;
            }
        };
        if frame.index() != place.index || frame.time() != place.time {
            return None;
        }
        frames.push(frame);
    }
    Some(frames)
}
