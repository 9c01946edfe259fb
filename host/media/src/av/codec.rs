//! Decoders of packets: what they do, on the CPU or on a device, and how they are opened.

use ffmpeg_next::{Error, Packet, Rational, codec, decoder, error, ffi, format, frame};

use crate::{error::Cause, presentation::MAX_PIXELS};

/// What a decoder answers.
pub(crate) enum Output {
    /// In memory.
    Picture(frame::Video),
    /// There is none before the next packet.
    NeedsPacket,
    /// There will be none.
    Ended,
}

/// Makes pictures in memory of packets. Wherever it decodes, it hands out what the CPU can read.
pub(crate) trait Codec: Send {
    /// Takes a packet, once all pictures of those before were taken.
    fn send(&mut self, packet: &Packet) -> Result<(), Cause>;
    /// There are no more packets.
    fn send_end(&mut self) -> Result<(), Cause>;
    fn receive(&mut self) -> Result<Output, Cause>;
    /// Forgets what it has; what follows is from another place of the stream.
    fn flush(&mut self);
}

impl Codec for decoder::Video {
    fn send(&mut self, packet: &Packet) -> Result<(), Cause> {
        Ok(self.send_packet(packet)?)
    }

    fn send_end(&mut self) -> Result<(), Cause> {
        Ok(self.send_eof()?)
    }

    fn receive(&mut self) -> Result<Output, Cause> {
        let mut picture = frame::Video::empty();
        match self.receive_frame(&mut picture) {
            Ok(()) => Ok(Output::Picture(picture)),
            Err(Error::Eof) => Ok(Output::Ended),
            Err(Error::Other { errno: error::EAGAIN }) => Ok(Output::NeedsPacket),
            Err(error) => Err(error.into()),
        }
    }

    fn flush(&mut self) {
        decoder::Opened::flush(self);
    }
}

/// What decodes beside the CPU.
pub(crate) trait Device: Send + Sync {
    /// For the log.
    fn name(&self) -> &str;

    /// A decoder for a stream.
    ///
    /// # Errors
    /// Why the device does not take it.
    fn open(&self, stream: &Coded) -> Result<Box<dyn Codec>, Cause>;
}

pub(crate) fn codec_name(id: codec::Id) -> String {
    id.name().to_owned()
}

/// What a decoder has to know of a stream. Outlives the container that it was read from.
pub(crate) struct Coded {
    parameters: codec::Parameters,
    time_base: Rational,
}

impl Coded {
    pub(crate) fn of(stream: &format::stream::Stream<'_>) -> Self {
        // The stream's own keep the container open.
        Self { parameters: stream.parameters().clone(), time_base: stream.time_base() }
    }

    pub(crate) fn codec(&self) -> String {
        codec_name(self.id())
    }

    pub(super) fn id(&self) -> codec::Id {
        self.parameters.id()
    }

    /// A context that is still to be opened.
    pub(super) fn context(&self, threads: usize) -> Result<decoder::Decoder, Error> {
        let mut context = codec::Context::from_parameters(self.parameters.clone())?;
        // SAFETY: plain fields of a context that is ours and not opened yet.
        unsafe {
            let raw = context.as_mut_ptr();
            (*raw).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
            (*raw).thread_count = i32::try_from(threads).unwrap_or(1);
            (*raw).max_pixels = MAX_PIXELS;
        }
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(self.time_base);
        Ok(decoder)
    }
}

/// A decoder on the CPU; `threads`: at least 1.
pub(crate) fn open_decoder(stream: &Coded, threads: usize) -> Result<decoder::Video, Error> {
    stream.context(threads)?.video()
}
