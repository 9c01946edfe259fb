//! Streams of a container: selection of the one that is processed, its origin of time, and its
//! rotation.

use ffmpeg_next::{
    Stream,
    format::{context, stream::Disposition},
    media, packet,
};
use ocellus_core::Size;

use crate::{av, orientation::Orientation};

/// Formats whose files list others, so that the length of such a file says nothing.
pub(crate) const PLAYLISTS: [&str; 2] = ["hls", "dash"];

/// Audio that begins more than this many seconds before the video counts as having another time
/// base.
const MAX_PRELUDE: f64 = 3600.0;

/// Whether a stream is video, and not cover art.
pub(crate) fn is_moving(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == media::Type::Video && !stream.disposition().contains(Disposition::ATTACHED_PIC)
}

/// The video stream that is processed: the first that is marked as the default, or else the first.
/// Of a playlist's variants the best.
pub(crate) fn video_stream<'a>(container: &'a context::Input, format: &str) -> Option<Stream<'a>> {
    let has_size = |stream: &Stream<'_>| {
        let size = av::stored_size(stream);
        size.width > 0 && size.height > 0
    };
    let is_default = |stream: &Stream<'_>| stream.disposition().contains(Disposition::DEFAULT);
    if PLAYLISTS.contains(&format) {
        return container.streams().best(media::Type::Video).filter(is_moving);
    }
    let moving = || container.streams().filter(is_moving);
    moving().find(|s| has_size(s) && is_default(s)).or_else(|| moving().find(has_size)).or_else(|| moving().next())
}

/// Description of a stream, for users.
pub(crate) fn named(stream: &Stream<'_>) -> String {
    let Size { width, height } = av::stored_size(stream);
    format!("stream {}: {} {width}x{height}", stream.index(), av::codec_name(stream.parameters().id()))
}

/// The first time stamp, where the container declares it.
pub(crate) fn start_of(stream: &Stream<'_>) -> Option<i64> {
    let start = stream.start_time();
    (start != ffmpeg_next::ffi::AV_NOPTS_VALUE).then_some(start)
}

/// The time stamp that is second 0, as players have it: where the earlier of video and sound
/// begins. Sound that begins less than a frame before the video is only its codec's run-up.
pub(crate) fn origin_of(container: &context::Input, video: &Stream<'_>, is_live: bool) -> i64 {
    let Some(own) = start_of(video) else { return 0 };
    if is_live {
        return own;
    }
    let tick = f64::from(video.time_base());
    let seconds = own as f64 * tick;
    let earlier = container
        .streams()
        .filter(|stream| stream.parameters().medium() == media::Type::Audio)
        .filter_map(|stream| Some(start_of(&stream)? as f64 * f64::from(stream.time_base())))
        .map(|start| if seconds >= 0.0 { start.max(0.0) } else { start })
        .filter(|start| *start < seconds && seconds - start < MAX_PRELUDE)
        .fold(seconds, f64::min);
    let rate = f64::from(video.avg_frame_rate());
    let frame = if rate > 0.0 { 1.0 / rate } else { 0.0 };
    if earlier < seconds - frame { (earlier / tick).round() as i64 } else { own }
}

/// The container's rotation.
pub(crate) fn container_rotation(stream: &Stream<'_>) -> Orientation {
    let matrix = stream.side_data().find(|data| data.kind() == packet::side_data::Type::DisplayMatrix);
    matrix.and_then(|data| av::display_matrix(data.data())).unwrap_or_default()
}
