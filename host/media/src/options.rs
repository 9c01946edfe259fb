//! Allow-lists of FFmpeg options: for `ffmpeg_params`, `ffmpeg_format` and URLs.
//!
//! Some options of FFmpeg name files to read, sockets to open or other demuxers to load, so only
//! the names below pass. Demuxers that open further files by themselves (playlists, image
//! sequences, session descriptions) are refused.

use url::Url;

use crate::{MediaError, Result, av, presentation::PixelAspect};

/// Options that tune reading and cannot name a file, a listener or a protocol.
const ALLOWED: &[&str] = &[
    // Probing of streams.
    "probesize",
    "analyzeduration",
    "fpsprobesize",
    "max_probe_packets",
    "fflags",
    "ignore_editlist",
    // Raw streams, which have no header.
    "framerate",
    "video_size",
    "pixel_format",
    // RTSP
    "rtsp_transport",
    "reorder_queue_size",
    "max_delay",
    "buffer_size",
    "fifo_size",
    "overrun_nonfatal",
    "pkt_size",
    // HTTP, HLS. Interrupted downloads are resumed unless reconnect=0; the other options of the
    // reconnect family have no effect.
    "reconnect",
    "reconnect_at_eof",
    "reconnect_streamed",
    "reconnect_on_network_error",
    "reconnect_delay_max",
    "seekable",
    "user_agent",
    "referer",
    "live_start_index",
    "tls_verify",
    // Microseconds
    "timeout",
    "rw_timeout",
    // Not FFmpeg's: the time to start at, in seconds or [hh:]mm:ss, and the pixel aspect ratio,
    // width:height, of recordings without one.
    START,
    PIXEL_ASPECT,
];

/// Options that this crate implements, not FFmpeg.
pub(crate) const START: &str = "ss";
pub(crate) const PIXEL_ASPECT: &str = "sample_aspect_ratio";

/// An item of `ffmpeg_params` that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{item:?} {reason}")]
pub struct BadOption {
    /// Its index in the list, from 0.
    pub index: usize,
    /// The item itself.
    pub item: String,
    /// The reason, as the end of a sentence.
    pub reason: String,
}

/// Parses `ffmpeg_params`: one `key=value` per item, with an allowed key.
///
/// # Errors
/// [`BadOption`] for the first item that is not accepted.
pub fn parse_options(items: &[String]) -> Result<Vec<(String, String)>, BadOption> {
    let parse = |item: &str| {
        let (key, value) = item.split_once('=').ok_or("is not written key=value")?;
        check_option(key, value)?;
        Ok((key.to_owned(), value.to_owned()))
    };
    items
        .iter()
        .enumerate()
        .map(|(index, item)| parse(item).map_err(|reason: String| BadOption { index, item: item.clone(), reason }))
        .collect()
}

/// The reason why an option does not pass.
pub(crate) fn check_option(key: &str, value: &str) -> Result<(), String> {
    if !ALLOWED.contains(&key) {
        return Err(format!("is not allowed; allowed are {}", ALLOWED.join(", ")));
    }
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err("has no usable value".into());
    }
    if key == "rtsp_transport" && value != "tcp" {
        // With other transports the server chooses where packets go.
        return Err("has to be tcp".into());
    }
    if key == START && parse_time(value).is_none() {
        return Err("is no time: expected seconds or [hh:]mm:ss".into());
    }
    if key == PIXEL_ASPECT && PixelAspect::parse(value).is_none() {
        return Err("is no pixel aspect ratio: expected width:height, as in 2:1".into());
    }
    Ok(())
}

/// `90`, `90.5`, `01:30` or `00:01:30.5`, in seconds.
pub(crate) fn parse_time(text: &str) -> Option<f64> {
    let mut parts = text.rsplitn(3, ':');
    let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit() || b == b'.').then(|| s.parse::<f64>().ok()).flatten();
    let seconds = number(parts.next()?)?;
    let mut total = seconds;
    for factor in [60.0, 3600.0] {
        if let Some(part) = parts.next() {
            total += part.parse::<u32>().ok().map(f64::from)? * factor;
        }
    }
    (total.is_finite() && total < 1e9).then_some(total)
}

/// Whether a source is read from disk, where it may open nothing else, or from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    File,
    Network,
}

/// Demuxers that read more than the bytes they were given, or draw text as if it were video.
const REFUSED_FORMATS: &[&str] = &[
    // Lists of other files and URLs.
    "concat",
    "imf",
    "sdp",
    "sap",
    "rtp",
    "image2",
    // Reloads its manifest by itself, without our checks of addresses.
    "dash",
    "webm_dash_manifest",
    // Open files next to the given one.
    "mlv",
    "vobsub",
    // Scripts, and documents with references.
    "avisynth",
    "vapoursynth",
    "svg_pipe",
    // A text file is not a video.
    "tty",
    "bin",
    "xbin",
    "adf",
    "idf",
    "ffmetadata",
    "data",
];

/// Lists of URLs: allowed on the network, where the protocols are limited, not in an upload.
const NETWORK_FORMATS: &[&str] = &["hls", "rtsp"];

/// Whether a demuxer may be used. `name`: FFmpeg's, several separated by commas; `own_io`: it opens
/// its input by itself.
pub(crate) fn format_is_allowed(name: &str, own_io: bool, reach: Reach) -> bool {
    let network = name.split(',').any(|n| NETWORK_FORMATS.contains(&n));
    let refused = name.split(',').any(|n| REFUSED_FORMATS.contains(&n)) || (own_io && !network);
    !refused && (reach == Reach::Network || !network)
}

/// Checks a value of `ffmpeg_format`.
///
/// # Errors
/// [`MediaError::Refused`] for a format that FFmpeg does not know or that is not allowed.
pub fn check_format(name: &str) -> Result<()> {
    let known = av::find_format(name)
        .ok_or_else(|| MediaError::refused(format!("{name:?} is not a known container format.")))?;
    if format_is_allowed(&known.name(), known.own_io(), Reach::Network) {
        Ok(())
    } else {
        Err(MediaError::refused(format!("The container format {name:?} is not allowed.")))
    }
}

/// Schemes that a source URL may have.
const SCHEMES: &[&str] = &["http", "https", "rtsp", "rtsps"];

/// Refuses malformed URLs and other schemes.
pub(crate) fn check_url(url: &str) -> Result<Url> {
    let fits = |url: &Url| SCHEMES.contains(&url.scheme()) && url.has_host();
    Url::parse(url)
        .ok()
        .filter(|parsed| fits(parsed) && url.contains("://") && !url.chars().any(char::is_control))
        .ok_or_else(|| {
            MediaError::refused(format!(
                "The source URL is not allowed: it has to begin with one of {}.",
                SCHEMES.join("://, ") + "://"
            ))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(items: &[&str]) -> Result<Vec<(String, String)>, BadOption> {
        parse_options(&items.iter().map(|&s| s.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_documented_examples_pass() {
        assert!(parse(&["sample_aspect_ratio=2:1"]).is_ok());
        let options = parse(&["rtsp_transport=tcp", "ss=00:20:00"]).unwrap();
        assert_eq!(options, [("rtsp_transport".into(), "tcp".into()), ("ss".into(), "00:20:00".into())]);
    }

    #[test]
    fn a_refusal_names_the_item() {
        for bad in [
            "protocol_whitelist=file",
            "enable_drefs=1",
            "key_file=/etc/passwd",
            "listen=1",
            "nonsense",
            "=x",
            "probesize=",
            "ss=tomorrow",
            "ss=1:x",
            "rtsp_transport=udp",
            "sample_aspect_ratio=0:1",
        ] {
            let refused = parse(&["probesize=5000", bad]).unwrap_err();
            assert_eq!((refused.index, refused.item.as_str()), (1, bad));
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("90.5"), Some(90.5));
        assert_eq!(parse_time("01:30"), Some(90.0));
        assert_eq!(parse_time("01:01:30.25"), Some(3690.25));
        for bad in ["", ":", "1:", "-1", "1:2:3:4", "1e5", "inf"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn urls_stay_on_the_network() {
        assert!(check_url("RTSP://camera/1").is_ok());
        for bad in [
            "file:///etc/passwd",
            "/etc/passwd",
            "concat:http://a|/etc/passwd",
            "data:video/mp4;base64,AA",
            "subfile,,start,0,,:http://a/",
            "http:a",
            "rtp://host:5004",
            "udp://@:5004",
            "tcp://host:1",
            "",
        ] {
            assert!(check_url(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn playlists_are_for_the_network_only() {
        assert!(format_is_allowed("mov,mp4,m4a,3gp,3g2,mj2", false, Reach::File));
        assert!(!format_is_allowed("hls", false, Reach::File));
        assert!(format_is_allowed("hls", false, Reach::Network));
        assert!(format_is_allowed("rtsp", true, Reach::Network));
        assert!(!format_is_allowed("dash", false, Reach::Network));
        assert!(!format_is_allowed("v4l2", true, Reach::Network));
        assert!(!format_is_allowed("concat", false, Reach::Network));
    }

    #[test]
    fn formats_by_name() {
        assert!(check_format("flv").is_ok());
        assert!(check_format("mxg").is_ok());
        assert!(check_format("concat").is_err());
        assert!(check_format("no such\0format").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_an_option_or_a_refusal(item in ".*") {
            if let Ok(options) = parse(&[&item]) {
                prop_assert!(ALLOWED.contains(&options[0].0.as_str()));
            }
        }
    }
}
