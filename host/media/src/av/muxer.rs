//! Muxing: writing of packets into a new container, without encoding.

use std::{ffi::CStr, fs::File, ptr};

use ffmpeg_next::{
    Error, Packet, Rational, codec, ffi,
    format::{
        context::{self, StreamIo},
        stream::Stream,
    },
};

use super::library;

const BUFFER: usize = 256 * 1024;

/// A file that is being written. It is complete only after [`finish`](Self::finish).
pub(crate) struct Muxer {
    output: context::Output,
    tracks: Vec<Track>,
}

/// A stream of the source, and its stream in the file.
struct Track {
    source: usize,
    tick: Rational,
    target: usize,
    target_tick: Rational,
    last: Option<i64>,
}

/// Default container: holds nearly every codec.
const DEFAULT_FORMAT: &CStr = c"matroska";
/// Container that keeps the rotation of a picture.
const ROTATED_FORMAT: &CStr = c"mov";

impl Muxer {
    /// Begins a file with `streams`; the first determines the container.
    pub(crate) fn new(file: File, streams: &[Stream<'_>]) -> Result<Self, Error> {
        library::init();
        let turned = streams.iter().any(|s| display_matrix(s).is_some());
        let mut io = StreamIo::from_write_seek_with_capacity(file, BUFFER)?;
        let mut context = ptr::null_mut();
        // SAFETY: the context is checked; the AVIOContext goes into the value that frees both, in
        // the right order.
        let mut output = unsafe {
            let format = if turned { ROTATED_FORMAT } else { DEFAULT_FORMAT };
            let made = ffi::avformat_alloc_output_context2(&raw mut context, ptr::null(), format.as_ptr(), ptr::null());
            if context.is_null() {
                return Err(made.into());
            }
            (*context).pb = io.as_mut_ptr();
            (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
            (*context).avoid_negative_ts = ffi::AVFMT_AVOID_NEG_TS_MAKE_ZERO;
            context::Output::wrap_with_custom_io(context, io)
        };
        let mut tracks = Vec::new();
        for stream in streams {
            // SAFETY: the context is alive; the new stream is checked and belongs to it; the
            // source's stream is borrowed.
            let target = unsafe {
                let target = ffi::avformat_new_stream(output.as_mut_ptr(), ptr::null());
                if target.is_null() {
                    return Err(Error::Other { errno: ffmpeg_next::error::ENOMEM });
                }
                let from = stream.as_ptr();
                let copied = ffi::avcodec_parameters_copy((*target).codecpar, (*from).codecpar);
                if copied < 0 {
                    return Err(copied.into());
                }
                // Tags differ from container to container.
                (*(*target).codecpar).codec_tag = 0;
                (*target).time_base = (*from).time_base;
                (*target).avg_frame_rate = (*from).avg_frame_rate;
                if let Some(matrix) = display_matrix(stream) {
                    let copy = ffi::av_stream_new_side_data(
                        target,
                        ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
                        matrix.len(),
                    );
                    if !copy.is_null() {
                        ptr::copy_nonoverlapping(matrix.as_ptr(), copy, matrix.len());
                    }
                }
                (*target).index
            };
            let target = usize::try_from(target).unwrap_or_default();
            tracks.push(Track {
                source: stream.index(),
                tick: stream.time_base(),
                target,
                target_tick: stream.time_base(),
                last: None,
            });
        }
        output.write_header()?;
        for track in &mut tracks {
            // Writing the header fixes the time base.
            track.target_tick = output.stream(track.target).map_or(track.tick, |s| s.time_base());
        }
        Ok(Self { output, tracks })
    }

    /// Whether Matroska can hold the codec, if only by its AVI tag.
    pub(crate) fn takes(codec: codec::Id) -> bool {
        library::init();
        let id = codec.into();
        // SAFETY: C strings and null are what these take; the format is null or static, and so are
        // the tables, whose list ends with null.
        unsafe {
            let format = ffi::av_guess_format(DEFAULT_FORMAT.as_ptr(), ptr::null(), ptr::null());
            let tables = [ffi::avformat_get_riff_video_tags(), ffi::avformat_get_riff_audio_tags(), ptr::null()];
            !format.is_null()
                && (ffi::avformat_query_codec(format, id, ffi::FF_COMPLIANCE_NORMAL) == 1
                    || ffi::av_codec_get_tag(tables.as_ptr(), id) != 0)
        }
    }

    /// Writes a packet; those of other streams are skipped.
    pub(crate) fn write(&mut self, packet: &Packet) -> Result<(), Error> {
        let Some(track) = self.tracks.iter_mut().find(|t| t.source == packet.stream()) else { return Ok(()) };
        let mut packet = packet.clone();
        packet.rescale_ts(track.tick, track.target_tick);
        packet.set_stream(track.target);
        packet.set_position(-1);
        // Containers require rising DTS; sources do not always have them.
        let stored = packet.dts().or(packet.pts()).or(track.last.map(|last| last + 1)).unwrap_or(0);
        let stored = track.last.map_or(stored, |last| stored.max(last + 1));
        track.last = Some(stored);
        packet.set_dts(Some(stored));
        packet.set_pts(Some(packet.pts().unwrap_or(stored).max(stored)));
        packet.write_interleaved(&mut self.output)
    }

    /// Writes buffered packets and the index.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.output.write_trailer()?;
        // SAFETY: the context has the AVIOContext that it was made with.
        let written = unsafe {
            let io = (*self.output.as_mut_ptr()).pb;
            ffi::avio_flush(io);
            (*io).error
        };
        if written < 0 { Err(written.into()) } else { Ok(()) }
    }
}

fn display_matrix<'a>(stream: &'a Stream<'_>) -> Option<&'a [u8]> {
    let mut size = 0;
    // SAFETY: the stream is alive, and its side data with it; the answer is null or holds `size`
    // bytes.
    unsafe {
        let matrix = ffi::av_stream_get_side_data(
            stream.as_ptr(),
            ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
            &raw mut size,
        );
        (!matrix.is_null()).then(|| std::slice::from_raw_parts(matrix, size))
    }
}
