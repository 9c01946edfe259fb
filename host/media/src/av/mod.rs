//! Safe functions around the calls of FFmpeg that ffmpeg-next does not wrap: the `unsafe` of this
//! crate.
//!
//! Guarantees: pointers do not leave this folder; what FFmpeg allocates here is freed by the `Drop`
//! of the value that is returned; no region outside a picture can be addressed. FFmpeg's own log is
//! silenced: its error codes reach our log as the `source` of a [`MediaError`](crate::MediaError).
#![expect(unsafe_code, reason = "FFmpeg is a C library")]
#![warn(clippy::undocumented_unsafe_blocks)]

mod codec;
mod container;
mod hardware;
mod library;
mod muxer;
mod picture;
mod swscale;

pub(crate) use codec::{Codec, Coded, Device, Output, codec_name, open_decoder};
pub(crate) use container::{Container, Format, Reader, find_format, open_rtsp, pixel_aspect, stored_size};
pub(crate) use hardware::device;
pub(crate) use library::init;
pub(crate) use muxer::Muxer;
pub(crate) use picture::{
    View, colour_is_limited, display_matrix, earlier_field, is_combed, luma_view, own_aspect, own_orientation,
    repeats_chroma, transfer,
};
pub(crate) use swscale::{Geometry, Quality, Swscale};

/// Whether FFmpeg could not allocate memory.
pub(crate) fn is_out_of_memory(error: ffmpeg_next::Error) -> bool {
    error == ffmpeg_next::Error::Other { errno: ffmpeg_next::error::ENOMEM }
}
