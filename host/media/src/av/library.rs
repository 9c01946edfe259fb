//! FFmpeg's global state, initialized once in a process by the first call.

use std::sync::Once;

use ffmpeg_next::ffi;

static ONCE: Once = Once::new();

/// Must come before any other call.
pub(crate) fn init() {
    ONCE.call_once(|| {
        // Fills the table of error texts; it cannot fail without the `device` feature.
        let _ = ffmpeg_next::init();
        ffmpeg_next::format::network::init();
        // SAFETY: sets a global integer.
        unsafe { ffi::av_log_set_level(ffi::AV_LOG_QUIET) };
    });
}
