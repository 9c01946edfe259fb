//! Covers: classification of sources: complete, truncated, damaged, no video, hostile, silent; and
//! interrupts.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use common::{Media, all, input, open};
use ocellus_core::Size;
use ocellus_media::{Decoder, Input, Interrupt, Location, MediaError, probe};

const CLIP: &str = "-f lavfi -i testsrc2=s=320x180:r=25:d=4 -pix_fmt yuv420p -g 12";

/// Waits for a request, since a response before it would be an error of its own.
fn asked(host: &TcpListener) -> TcpStream {
    let (mut connection, _) = host.accept().unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
    connection
}

/// Answers with the first `sent` bytes of `body`. The client may close before the last byte.
fn answer(connection: &mut TcpStream, body: &[u8], sent: usize) {
    write!(connection, "HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\nContent-Length: {}\r\n\r\n", body.len())
        .unwrap();
    let _ = connection.write_all(&body[..sent]);
}

#[test]
fn properties_come_from_the_header() {
    let media = Media::new();
    let clip = media.make(&format!("-f lavfi -i sine=d=4 {CLIP}"), "clip.mp4");
    let info = probe(&input(&clip), &Interrupt::new()).unwrap();
    assert_eq!(info.size, Size { width: 320, height: 180 });
    assert_eq!(info.frame_rate, Some(25.0));
    assert!((info.duration.unwrap() - 4.0).abs() < 1e-6);
    assert!(info.has_audio);
    assert_eq!((info.codec.as_str(), info.container.as_str()), ("h264", "mov"));
}

#[test]
fn a_whole_file_ends_without_error() {
    let media = Media::new();
    for name in
        ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts", "clip.flv", "clip.webm", "clip.mpg", "clip.gif", "clip.wmv"]
    {
        let clip = media.make(&format!("{CLIP} -deadline realtime -cpu-used 8"), name);
        let mut decoder = open(&clip).unwrap();
        let (frames, error) = all(&mut decoder);
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!((frames.len(), decoder.soft_errors()), (100, 0), "{name}");
        assert!(decoder.next_frame().unwrap().is_none());
    }
}

#[test]
fn a_stream_without_duration_has_none() {
    let media = Media::new();
    media.make(CLIP, "clip.mp4");
    let clip = media.make("-i clip.mp4 -c copy -f matroska -live 1", "live.mkv");
    let mut decoder = open(&clip).unwrap();
    assert_eq!(decoder.info().duration, None);
    let (frames, error) = all(&mut decoder);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 100);
}

#[test]
fn audio_that_outlasts_the_video_is_no_damage() {
    let media = Media::new();
    for name in ["long.mp4", "long.mkv"] {
        let clip = media.make(&format!("-f lavfi -i sine=d=20 {CLIP}"), name);
        let (frames, error) = all(&mut open(&clip).unwrap());
        assert!(error.is_none(), "{name}: {error:?}");
        assert_eq!(frames.len(), 100);
    }
}

#[test]
fn a_truncated_file_gives_its_frames_and_an_error() {
    let media = Media::new();
    for name in ["front.mp4", "clip.mkv", "clip.avi"] {
        let clip = media.make(&format!("{CLIP} -movflags +faststart"), name);
        let bytes = std::fs::read(&clip).unwrap();
        let cut = media.write(&format!("cut-{name}"), &bytes[..bytes.len() * 6 / 10]);
        let (frames, error) = all(&mut open(&cut).unwrap());
        assert!((20..90).contains(&frames.len()), "{name}: {}", frames.len());
        match error {
            Some(MediaError::BrokenOff { frames: n, .. }) => assert_eq!(n, frames.len() as u64),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_file_without_its_moov_box_has_no_frames() {
    let media = Media::new();
    let clip = media.make(CLIP, "back.mp4");
    let bytes = std::fs::read(&clip).unwrap();
    let cut = media.write("cut.mp4", &bytes[..bytes.len() * 6 / 10]);
    let error = open(&cut).err().unwrap();
    assert!(matches!(error, MediaError::BrokenOff { frames: 0, .. }), "{error:?}");
    assert_eq!(error.to_string(), "The video is damaged or cut off: it holds no frame that can be read.");
}

#[test]
fn damage_in_the_middle_is_counted_and_passed_over() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.ts");
    let mut bytes = std::fs::read(&clip).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..middle + 4000] {
        *byte = byte.wrapping_mul(31).wrapping_add(17);
    }
    let damaged = media.write("damaged.ts", &bytes);
    let mut decoder = open(&damaged).unwrap();
    let (frames, error) = all(&mut decoder);
    assert!(error.is_none(), "{error:?}");
    assert!(decoder.soft_errors() > 0);
    assert!(frames.len() > 50, "{}", frames.len());
}

#[test]
fn sources_without_video_are_refused() {
    let media = Media::new();
    let sound = media.make("-f lavfi -i sine=d=1", "sound.mp4");
    assert!(matches!(open(&sound), Err(MediaError::NoVideoStream)));
    let not = |bytes: &[u8]| {
        let path = media.write("source", bytes);
        open(&path).err().unwrap()
    };
    let mut noise = vec![0u8; 200_000];
    noise.iter_mut().fold(1u32, |state, byte| {
        *byte = (state >> 24) as u8;
        state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)
    });
    for bytes in [&b""[..], b"\n", b"This is a text, and no video.\n", b"{\"json\": true}", &noise] {
        let error = not(bytes);
        assert!(matches!(error, MediaError::NotAVideo(_) | MediaError::NoVideoStream), "{error:?}");
    }
    assert!(matches!(open(&media.path("nothing")), Err(MediaError::NotFound(_))));
    assert!(matches!(open(&media.path("")), Err(MediaError::NotFound(_))));
}

#[test]
fn an_upload_cannot_refer_to_other_files() {
    let media = Media::new();
    let clip = media.make(CLIP, "secret.ts");
    let secret = clip.display();
    let lists = [
        format!("ffconcat version 1.0\nfile {secret}\n"),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{secret}\n#EXT-X-ENDLIST\n"),
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nfile:{secret}\n#EXT-X-ENDLIST\n"),
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n".into(),
        format!(
            "<?xml version=\"1.0\"?><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-on-demand:2011\" type=\"static\" mediaPresentationDuration=\"PT4S\"><Period><AdaptationSet mimeType=\"video/mp4\"><Representation id=\"1\"><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>"
        ),
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"/>".into(),
    ];
    for list in lists {
        let path = media.write("source", list.as_bytes());
        let error = open(&path).err().unwrap_or_else(|| panic!("opened: {list}"));
        assert!(matches!(error, MediaError::NotAVideo(_)), "{error:?}: {list}");
        for format in ["concat", "hls", "dash", "sdp", "image2"] {
            let forced = Input { format: Some(format.into()), ..input(&path) };
            let error = Decoder::open(&forced, &Interrupt::new()).err().unwrap();
            assert!(matches!(error, MediaError::NotAVideo(_) | MediaError::Refused { .. }), "{format}: {error:?}");
        }
    }
}

#[test]
fn settings_that_are_not_allowed_are_refused() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let with = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Decoder::open(&Input { options, ..input(&clip) }, &Interrupt::new())
    };
    assert!(matches!(with(&[("protocol_whitelist", "file")]), Err(MediaError::Refused { .. })));
    assert!(matches!(with(&[("probesize", "nonsense")]), Err(MediaError::Refused { .. })));
    assert!(with(&[("probesize", "500000"), ("rtsp_transport", "tcp")]).is_ok());
    let url = |url: &str| Decoder::open(&Input::new(Location::Url(url.into())), &Interrupt::new());
    assert!(matches!(url(&format!("file://{}", clip.display())), Err(MediaError::Refused { .. })));
    assert!(matches!(url(&clip.display().to_string()), Err(MediaError::Refused { .. })));
    let unknown = Input { format: Some("no-such-format".into()), ..input(&clip) };
    assert!(matches!(Decoder::open(&unknown, &Interrupt::new()), Err(MediaError::Refused { .. })));
}

#[test]
fn a_named_format_is_taken() {
    let media = Media::new();
    let raw = media.make("-f lavfi -i testsrc2=s=64x48:r=10:d=1 -pix_fmt rgb24 -f rawvideo", "raw");
    let options = [("video_size", "64x48"), ("pixel_format", "rgb24"), ("framerate", "10")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
    let input = Input { format: Some("rawvideo".into()), options, ..input(&raw) };
    let (frames, error) = all(&mut Decoder::open(&input, &Interrupt::new()).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 10);
}

#[test]
fn an_interrupt_ends_decoding() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.mp4");
    let interrupt = Interrupt::new();
    let mut decoder = Decoder::open(&input(&clip), &interrupt).unwrap();
    assert!(decoder.next_frame().unwrap().is_some());
    interrupt.raise();
    assert!(matches!(decoder.next_frame(), Err(MediaError::Interrupted)));
    assert!(decoder.next_frame().unwrap().is_none());
    assert!(matches!(Decoder::open(&input(&clip), &interrupt), Err(MediaError::Interrupted)));
}

#[test]
fn an_interrupt_ends_waiting_for_a_silent_host() {
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/video.mp4", host.local_addr().unwrap());
    let interrupt = Interrupt::new();
    let opening = std::thread::spawn({
        let interrupt = interrupt.clone();
        move || Decoder::open(&Input::new(Location::Url(url)), &interrupt).err()
    });
    // The connection is made, and never answered.
    let (connection, _) = host.accept().unwrap();
    interrupt.raise();
    assert!(matches!(opening.join().unwrap(), Some(MediaError::Interrupted)));
    drop(connection);
}

#[test]
fn an_interrupt_ends_waiting_for_the_rest_of_a_body() {
    let media = Media::new();
    let bytes = std::fs::read(media.make(CLIP, "clip.ts")).unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/clip.ts", host.local_addr().unwrap());
    let interrupt = Interrupt::new();
    let decoding = std::thread::spawn({
        let input = Input { threads: 1, ..Input::new(Location::Url(url)) };
        let interrupt = interrupt.clone();
        move || Decoder::open(&input, &interrupt).map_or_else(Some, |mut decoder| all(&mut decoder).1)
    });
    let mut connection = asked(&host);
    answer(&mut connection, &bytes, bytes.len() / 2);
    let raised = std::time::Instant::now();
    interrupt.raise();
    let error = decoding.join().unwrap();
    assert!(matches!(error, Some(MediaError::Interrupted)), "{error:?}");
    assert!(raised.elapsed() < Duration::from_secs(1), "{:?}", raised.elapsed());
}

#[test]
fn an_interrupt_before_the_first_picture_is_not_reported_as_damage() {
    let media = Media::new();
    let clip = std::fs::read(media.make(CLIP, "clip.ts")).unwrap();
    // Only the tables that announce video, without any packet of it.
    let tables = clip[..3 * 188].repeat(20);
    let playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\ntables.ts\n#EXTINF:2,\npictures.ts\n#EXT-X-ENDLIST\n";
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/clip.m3u8", host.local_addr().unwrap());
    let interrupt = Interrupt::new();
    let opening = std::thread::spawn({
        let interrupt = interrupt.clone();
        move || Decoder::open(&Input::new(Location::Url(url)), &interrupt).err()
    });
    for body in [playlist.as_bytes(), &tables] {
        answer(&mut asked(&host), body, body.len());
    }
    // FFmpeg now probes for the first picture.
    let _connection = asked(&host);
    interrupt.raise();
    let error = opening.join().unwrap();
    assert!(matches!(error, Some(MediaError::Interrupted)), "{error:?}");
}

#[test]
fn a_url_is_read_and_its_host_may_not_exist() {
    let media = Media::new();
    let clip = media.make(CLIP, "clip.ts");
    let bytes = std::fs::read(clip).unwrap();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = host.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        answer(&mut asked(&host), &bytes, bytes.len());
    });
    let url = |path: &str| Input { threads: 1, ..Input::new(Location::Url(format!("http://{address}/{path}"))) };
    let (frames, error) = all(&mut Decoder::open(&url("clip.ts"), &Interrupt::new()).unwrap());
    assert!(error.is_none(), "{error:?}");
    assert_eq!(frames.len(), 100);
    serving.join().unwrap();
    // The listener is closed.
    let error = Decoder::open(&url("clip.ts"), &Interrupt::new()).err().unwrap();
    assert!(matches!(error, MediaError::Unreachable(_)), "{error:?}");
    assert!(!error.to_string().contains("127.0.0.1"));
}

#[test]
fn decoders_and_frames_can_move_between_threads() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<Decoder>();
    moves::<ocellus_media::Scaler>();
    is_shared::<ocellus_media::Frame>();
    is_shared::<Interrupt>();
    is_shared::<MediaError>();
}
