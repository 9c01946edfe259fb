//! Packet decoders, on the CPU or on a device, and their opening.

use ffmpeg_next::{Error, Packet, Rational, codec, decoder, error, ffi, format, frame};

use crate::{error::Cause, presentation::MAX_PIXELS};

/// Result of [`Codec::receive`].
pub(crate) enum Output {
    /// A picture in main memory.
    Picture(frame::Video),
    /// No picture before the next packet is sent.
    NeedsPacket,
    /// No further pictures.
    Ended,
}

/// A decoder whose pictures are in main memory, wherever it decodes.
pub(crate) trait Codec: Send {
    /// Sends a packet. The pictures of earlier packets must have been received.
    fn send(&mut self, packet: &Packet) -> Result<(), Cause>;
    /// Signals the end of the packets.
    fn send_end(&mut self) -> Result<(), Cause>;
    fn receive(&mut self) -> Result<Output, Cause>;
    /// Discards all state, before packets from another place of the stream.
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

/// A hardware decoder.
pub(crate) trait Device: Send + Sync {
    /// Name for the log.
    fn name(&self) -> &str;

    /// Opens a decoder for a stream.
    ///
    /// # Errors
    /// The reason why the device cannot decode it.
    fn open(&self, stream: &Coded) -> Result<Box<dyn Codec>, Cause>;
}

pub(crate) fn codec_name(id: codec::Id) -> String {
    id.name().to_owned()
}

/// Codec parameters of a stream. They outlive the container that they were read from.
pub(crate) struct Coded {
    parameters: codec::Parameters,
    time_base: Rational,
}

impl Coded {
    pub(crate) fn of(stream: &format::stream::Stream<'_>) -> Self {
        // Copied, since the stream's parameters keep the container open.
        Self { parameters: stream.parameters().clone(), time_base: stream.time_base() }
    }

    pub(crate) fn codec(&self) -> String {
        codec_name(self.id())
    }

    pub(super) fn id(&self) -> codec::Id {
        self.parameters.id()
    }

    /// A context that is not opened yet.
    pub(super) fn context(&self, threads: usize) -> Result<decoder::Decoder, Error> {
        let mut context = codec::Context::from_parameters(self.parameters.clone())?;
        // SAFETY: plain fields of a context that this function owns and has not opened yet.
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
