//! Recorder of a stream, while it is decoded.
//!
//! Packets are written without encoding. Guarantees: a failure of the recording never affects
//! decoding; the recording then ends, and reports the reason.

use std::fs::File;

use ffmpeg_next::Packet;
use serde::{Deserialize, Serialize};

use crate::{
    MediaError, Result,
    av::{self, Muxer},
    error::Cause,
    source::Source,
};

/// Result of a recording.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recording {
    /// Video packets in the file. With 0 the file is useless.
    pub packets: u64,
    /// The reason why something is missing in the file.
    pub problem: Option<MediaError>,
}

pub(crate) struct Recorder {
    /// `None` after a failure.
    muxer: Option<Muxer>,
    video: Option<usize>,
    packets: u64,
    problem: Option<MediaError>,
}

fn problem(what: impl Into<String>, cause: impl Into<Cause>) -> MediaError {
    MediaError::NotRecorded { what: what.into(), cause: cause.into() }
}

impl Recorder {
    pub(crate) fn begin(source: &Source, file: File, audio: bool) -> Self {
        let mut recorder = Self { muxer: None, video: None, packets: 0, problem: None };
        match recorder.muxer(source, file, audio) {
            Ok(muxer) => recorder.muxer = Some(muxer),
            Err(error) => recorder.problem = Some(error),
        }
        recorder
    }

    fn muxer(&mut self, source: &Source, file: File, audio: bool) -> Result<Muxer> {
        let (video, sound) = source.streams();
        let video = video.ok_or(MediaError::NoVideoStream)?;
        self.video = Some(video.index());
        let unfit = |stream: &ffmpeg_next::Stream<'_>, what: &str| {
            let codec = stream.parameters().id();
            (!Muxer::takes(codec))
                .then(|| problem(format!("no file can hold its {what} ({})", av::codec_name(codec)), "codec"))
        };
        if let Some(error) = unfit(&video, "video") {
            return Err(error);
        }
        let mut streams = vec![video];
        if let Some(sound) = sound.filter(|_| audio) {
            match unfit(&sound, "audio") {
                Some(error) => self.problem = Some(error),
                None => streams.push(sound),
            }
        }
        Muxer::new(file, &streams).map_err(|error| problem("no container supports its streams", error))
    }

    pub(crate) fn take(&mut self, packet: &Packet) {
        let Some(muxer) = &mut self.muxer else { return };
        let is_video = Some(packet.stream()) == self.video;
        // Packets before the first key frame cannot be decoded.
        if packet.size() == 0 || (self.packets == 0 && !(is_video && packet.is_key())) {
            return;
        }
        match muxer.write(packet) {
            Ok(()) => self.packets += u64::from(is_video),
            // One packet that does not fit is no reason to lose the others.
            Err(ffmpeg_next::Error::InvalidData | ffmpeg_next::Error::Other { errno: ffmpeg_next::error::EINVAL }) => {
                self.problem
                    .get_or_insert_with(|| problem("the container does not support some of its packets", "a packet"));
            }
            Err(error) => self.end(problem("it cannot be written", error)),
        }
    }

    /// Completes the file as far as possible, after a failure.
    fn end(&mut self, error: MediaError) {
        self.problem = Some(error);
        if let Some(muxer) = self.muxer.take() {
            // The recording is over in any case.
            let _ = muxer.finish();
        }
    }

    pub(crate) fn finish(mut self) -> Recording {
        if let Some(Err(error)) = self.muxer.take().map(Muxer::finish) {
            self.problem = Some(problem("it cannot be written", error));
        }
        Recording { packets: self.packets, problem: self.problem }
    }
}
