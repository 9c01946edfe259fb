//! Opening decoders.

use ffmpeg_next::{Error, Rational, codec, decoder, ffi, format};

/// Larger pictures are not decoded: 64 Mpx, twice 8K. A header of a few bytes may claim far more.
pub(crate) const MAX_PIXELS: i64 = 1 << 26;

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
