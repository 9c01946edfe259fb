//! Opening decoders.

use ffmpeg_next::{codec, decoder, ffi, format};

/// Larger pictures are not decoded: 64 Mpx, twice 8K. A header of a few bytes may claim far more.
pub(crate) const MAX_PIXELS: i64 = 1 << 26;

pub(crate) fn codec_name(id: codec::Id) -> String {
    id.name().to_owned()
}

/// `threads`: 0 is as many as there are cores.
pub(crate) fn open_decoder(stream: &format::stream::Stream<'_>, threads: usize) -> Result<decoder::Video, ffmpeg_next::Error> {
    let mut context = codec::Context::from_parameters(stream.parameters())?;
    // SAFETY: plain fields of a context that is ours and not opened yet.
    unsafe {
        let raw = context.as_mut_ptr();
        (*raw).thread_type = ffi::FF_THREAD_FRAME | ffi::FF_THREAD_SLICE;
        (*raw).thread_count = i32::try_from(threads).unwrap_or(0);
        (*raw).max_pixels = MAX_PIXELS;
    }
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    decoder.video()
}
