//! Public decoder: in this process, or in a decoder process.

use std::fs::File;

use super::frame::Frame;
use crate::{
    DecoderProgram, Input, Interrupt, MediaInfo, Recording, Result,
    decoder::LocalDecoder,
    origin,
    process::{self, RemoteDecoder},
    source::Source,
    steps::Steps,
};

/// Yields the frames of a source, in the order they are shown. Lives on one thread at a time; ends
/// with the source, with its [`Interrupt`], or when dropped.
pub struct Decoder(Place);

enum Place {
    Here(Box<LocalDecoder>),
    Process(Box<RemoteDecoder>),
}

impl Decoder {
    /// Opens a source and reads what is needed to know its streams.
    ///
    /// # Errors
    /// Every kind of [`MediaError`](crate::MediaError) except
    /// [`OutsideFrame`](crate::MediaError::OutsideFrame).
    pub fn open(input: &Input, interrupt: &Interrupt) -> Result<Self> {
        match process::program() {
            Some(program) => Self::open_by(program, input, interrupt),
            None => Self::open_here(input, interrupt),
        }
    }

    /// [`Decoder::open`] in a child of a program, for tests.
    #[doc(hidden)]
    pub fn open_by(program: &DecoderProgram, input: &Input, interrupt: &Interrupt) -> Result<Self> {
        RemoteDecoder::open(program, input, interrupt).map(|decoder| Self(Place::Process(Box::new(decoder))))
    }

    /// [`Decoder::open`] in this process, for tests and benches to compare the two.
    #[doc(hidden)]
    pub fn open_here(input: &Input, interrupt: &Interrupt) -> Result<Self> {
        let decoder = LocalDecoder::open(input, origin::of(input), interrupt, Steps::default())?;
        Ok(Self(Place::Here(Box::new(decoder))))
    }

    /// Properties of the source.
    pub fn info(&self) -> &MediaInfo {
        match &self.0 {
            Place::Here(decoder) => decoder.info(),
            Place::Process(decoder) => decoder.info(),
        }
    }

    /// Whether the source is live, so that reopening does not repeat it: a camera, or any stream of
    /// unknown duration.
    pub fn is_live(&self) -> bool {
        match &self.0 {
            Place::Here(decoder) => decoder.is_live(),
            Place::Process(decoder) => decoder.is_live(),
        }
    }

    /// Wall-clock time of a stream time, where the sender of a live stream reports it; microseconds
    /// since the Unix epoch. `None` until the first report has come.
    pub fn taken_us(&self, time: f64) -> Option<i64> {
        match &self.0 {
            Place::Here(decoder) => decoder.taken_us(time),
            Place::Process(decoder) => decoder.taken_us(time),
        }
    }

    /// Count of damaged packets and frames. Damaged packets are decoded all the same, since most of
    /// the picture may be in them. Frames that the codec then marks as corrupt are dropped; frames
    /// with concealed errors are not.
    pub fn soft_errors(&self) -> u64 {
        match &self.0 {
            Place::Here(decoder) => decoder.soft_errors(),
            Place::Process(decoder) => decoder.soft_errors(),
        }
    }

    /// Records the packets from here on to `file`, without encoding: the video, and the audio too
    /// if
    /// `audio`. Recording never fails decoding. It begins with the next key frame; a decoder that
    /// is to record must not seek.
    pub fn record(&mut self, file: File, audio: bool) {
        match &mut self.0 {
            Place::Here(decoder) => decoder.record(file, audio),
            Place::Process(decoder) => decoder.record(&file, audio),
        }
    }

    /// Ends the recording, if there is one, and completes its file.
    pub fn finish_recording(&mut self) -> Option<Recording> {
        match &mut self.0 {
            Place::Here(decoder) => decoder.finish_recording(),
            Place::Process(decoder) => decoder.finish_recording(),
        }
    }

    /// Count of the jumps of time stamps so far, which were compensated.
    pub fn jumps(&self) -> u64 {
        match &self.0 {
            Place::Here(decoder) => decoder.jumps(),
            Place::Process(decoder) => decoder.jumps(),
        }
    }

    /// Duration in seconds, from the start of its video or sound, once it was read to its end; more
    /// reliable than its header.
    pub fn length(&self) -> Option<f64> {
        match &self.0 {
            Place::Here(decoder) => decoder.length(),
            Place::Process(decoder) => decoder.length(),
        }
    }

    /// The next frame, or `None` at the end.
    ///
    /// Times rise from frame to frame. Where the stream's time stamps are missing or go back, a
    /// frame follows the one before by one frame of the average rate.
    ///
    /// # Errors
    /// [`BrokenOff`](crate::MediaError::BrokenOff) after the last frame of a source that ended
    /// early, [`Interrupted`](crate::MediaError::Interrupted),
    /// [`Stalled`](crate::MediaError::Stalled), and those of a process that died
    /// ([`Crashed`](crate::MediaError::Crashed) and the two after it). After an error comes `None`.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        match &mut self.0 {
            Place::Here(decoder) => Ok(decoder.next_frame()?.map(Frame::here)),
            Place::Process(decoder) => Ok(decoder.next_frame()?.map(Frame::of_process)),
        }
    }

    /// Seeks exactly: the next frame is the first at or after `seconds`, in the worst case by
    /// decoding from the beginning. Frames are numbered from 0 again.
    ///
    /// # Errors
    /// As [`Decoder::open`], when the source has to be opened again.
    pub fn seek(&mut self, seconds: f64) -> Result<()> {
        match &mut self.0 {
            Place::Here(decoder) => decoder.seek(seconds),
            Place::Process(decoder) => decoder.seek(seconds),
        }
    }

    /// Continues an earlier sequence: numbers frames from `next` on, until the next seek, and adds
    /// `shift` seconds to all times.
    pub fn go_on(&mut self, next: u64, shift: f64) {
        match &mut self.0 {
            Place::Here(decoder) => decoder.go_on(next, shift),
            Place::Process(decoder) => decoder.go_on(next, shift),
        }
    }
}

/// Determines the properties of a source without decoding it all.
///
/// # Errors
/// As [`Decoder::open`], apart from the codec's support.
pub fn probe(input: &Input, interrupt: &Interrupt) -> Result<MediaInfo> {
    match process::program() {
        Some(program) => process::probe(program, input, interrupt),
        None => Source::open(input, &origin::of(input), interrupt).map(|source| source.info),
    }
}
