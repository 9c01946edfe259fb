//! Covers: HTTP sources with unusual servers: no range requests, 416 to any range, bodies of
//! unknown length, Digest and Basic, cookies with redirects; and the sentence for each failure to
//! read a URL.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
};

use common::{Media, all};
use ocellus_media::{Decoder, Input, Interrupt, Location, MediaError};

/// A server that answers each request, given as its lines, on a new connection. Ends with the
/// process.
fn serve(answer: impl Fn(&[String]) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines: Vec<String> = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            // Clients close when they have read enough.
            let _ = stream.write_all(&answer(&lines));
        }
    });
    host
}

fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn whole(body: &[u8]) -> Vec<u8> {
    answer(&format!("200 OK\r\nContent-Length: {}", body.len()), body)
}

fn header<'a>(lines: &'a [String], name: &str) -> Option<&'a str> {
    let line = lines.iter().find(|line| line.to_ascii_lowercase().starts_with(name))?;
    Some(line[name.len() + 1..].trim())
}

fn open(url: &str) -> Result<Decoder, MediaError> {
    Decoder::open(&Input::new(Location::Url(url.to_owned())), &Interrupt::new())
}

fn frames(url: &str) -> usize {
    let (frames, error) = all(&mut open(url).unwrap());
    assert!(error.is_none(), "{error:?}");
    frames.len()
}

/// An MP4 file with its `moov` box at the end, as cameras write it.
fn clip() -> Vec<u8> {
    std::fs::read(Media::new().make("-f lavfi -i testsrc2=s=160x120:r=25:d=2 -pix_fmt yuv420p", "clip.mp4")).unwrap()
}

#[test]
fn a_moov_box_at_the_end_is_read_from_servers_without_ranges() {
    let clip = clip();
    let moov = clip.windows(4).position(|w| w == b"moov").unwrap();
    assert!(moov > clip.windows(4).position(|w| w == b"mdat").unwrap());
    let body = clip.clone();
    let plain = serve(move |_| whole(&body));
    assert_eq!(frames(&format!("http://{plain}/clip.mp4")), 50);

    let body = clip.clone();
    let chunked = serve(move |_| {
        let chunks: Vec<u8> = body
            .chunks(5000)
            .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
            .collect();
        answer("200 OK\r\nTransfer-Encoding: chunked", &[&chunks[..], b"0\r\n\r\n"].concat())
    });
    assert_eq!(frames(&format!("http://{chunked}/clip.mp4")), 50);

    let body = clip.clone();
    let refusing = serve(move |lines| match header(lines, "range:") {
        Some(_) => answer("416 Range Not Satisfiable\r\nContent-Length: 0", b""),
        None => whole(&body),
    });
    assert_eq!(frames(&format!("http://{refusing}/clip.mp4")), 50);

    let broken = serve(move |_| answer(&format!("200 OK\r\nContent-Length: {}", clip.len()), &clip[..clip.len() / 2]));
    let error = open(&format!("http://{broken}/clip.mp4")).err();
    assert!(matches!(error, Some(MediaError::Unreachable(_))), "{error:?}");
}

#[test]
fn credentials_are_sent_as_the_server_challenges() {
    let body = clip();
    let digest = serve(move |lines| match header(lines, "authorization:") {
        Some(shown) if shown.starts_with("Digest") && shown.contains("username=\"user\"") => whole(&body),
        Some(_) => answer("403 Forbidden\r\nContent-Length: 0", b""),
        None => answer(
            "401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"camera\", nonce=\"abc\", qop=\"auth\"\r\nContent-Length: 0",
            b"",
        ),
    });
    assert_eq!(frames(&format!("http://user:pw@{digest}/clip.mp4")), 50);
    let body = clip();
    let basic = serve(move |lines| match header(lines, "authorization:") {
        Some("Basic dXNlcjpwdw==") => whole(&body),
        _ => answer("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"nvr\"\r\nContent-Length: 0", b""),
    });
    assert_eq!(frames(&format!("http://user:pw@{basic}/clip.mp4")), 50);
    let error = open(&format!("http://user:wrong@{basic}/clip.mp4")).err().unwrap().to_string();
    assert!(error.contains("401, that a user name and password are needed"), "{error}");
    assert!(!error.contains("wrong ") && !error.contains("127.0.0.1"), "{error}");
}

#[test]
fn a_cookie_of_a_redirect_is_sent() {
    let body = clip();
    let host = serve(move |lines| match header(lines, "cookie:") {
        Some(cookie) if cookie.contains("pass=7") => whole(&body),
        _ => answer("302 Found\r\nSet-Cookie: pass=7; Path=/\r\nLocation: /real.mp4\r\nContent-Length: 0", b""),
    });
    assert_eq!(frames(&format!("http://{host}/clip.mp4")), 50);
}

#[test]
fn each_failure_has_its_sentence() {
    let says = |url: &str, text: &str| {
        let error = open(url).err().unwrap();
        let shown = error.to_string();
        assert!(shown.starts_with("The source URL cannot be opened: ") && shown.contains(text), "{url}: {error:?}");
        assert!(!shown.contains("127.0.0.1"), "{shown}");
    };
    for (status, text) in [
        ("401 Unauthorized", "401, that a user name"),
        ("403 Forbidden", "403, that it may not be read"),
        ("404 Not Found", "404, that there is nothing there"),
        ("500 Oh", "500, that it fails"),
    ] {
        let host = serve(move |_| answer(&format!("{status}\r\nContent-Length: 0"), b""));
        says(&format!("http://{host}/"), text);
    }
    let host = serve(|_| answer("302 Found\r\nLocation: /again\r\nContent-Length: 0", b""));
    says(&format!("http://{host}/"), "redirects lead in a circle");
    says(&format!("https://{host}/"), "the secure connection fails");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    says(&format!("http://{nobody}/"), "no connection");
    says("http://nobody.invalid/", "the name of its host is not known");
}

#[test]
fn a_self_referring_playlist_is_refused() {
    let list = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb.m3u8\n";
    let host = serve(|_| whole(list.as_bytes()));
    let error = open(&format!("http://{host}/list.m3u8")).err().unwrap().to_string();
    assert_eq!(error, "The playlist refers to more than 1000 others, or to itself.");
}
