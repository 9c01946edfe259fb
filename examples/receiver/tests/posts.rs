//! Covers: storing posts, refusing invalid ones, duplicates, and the options that make the receiver
//! fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::needless_range_loop,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const PARTS: [(&str, &str); 6] = [
    ("cam_id", "7"),
    ("timestamp", "2026-01-02T03:04:05.678Z"),
    ("bbox", "[[1,2,30,40]]"),
    ("detectorParams", r#"{"quality":0.8,"track_objects":["face"]}"#),
    ("bs_type", "overall"),
    ("labels", r#"{"object_type":"face"}"#),
];

struct Receiver {
    process: Child,
    address: String,
    dir: Option<TempDir>,
}

impl Receiver {
    fn start(arguments: &[&str]) -> Self {
        Self::over(TempDir::new().unwrap(), arguments)
    }

    /// Starts a receiver in a folder that an earlier one may have used.
    fn over(dir: TempDir, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocellus-receiver"));
        command.args(["--listen", "127.0.0.1:0", "--quiet", "--dir"]).arg(dir.path()).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, address, dir: Some(dir) }
    }

    /// Kills the receiver and returns its folder.
    fn kill(mut self) -> TempDir {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.dir.take().unwrap()
    }

    fn path(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }

    /// Status and body of the response.
    fn request(&self, head: &str, body: &[u8]) -> (u16, String) {
        let answer = self.raw(head, body).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// The whole response; an error or an empty string if the connection was closed without one.
    fn raw(&self, head: &str, body: &[u8]) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "{head}\r\nHost: receiver\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn post(&self, headers: &str, parts: &[(&str, &str)]) -> (u16, String) {
        let mut body = String::new();
        for (name, content) in parts {
            let filename = if matches!(*name, "photo" | "normalized") {
                "; filename=\"a.jpg\"\r\nContent-Type: image/jpeg"
            } else {
                ""
            };
            body +=
                &format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n{content}\r\n");
        }
        body += "--limit--\r\n";
        self.request(
            &format!("POST /any/frame HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=limit{headers}"),
            body.as_bytes(),
        )
    }

    fn summary(&self) -> String {
        self.request("GET / HTTP/1.1", b"").1
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}

#[test]
fn a_post_is_stored_with_its_pictures() {
    let receiver = Receiver::start(&[]);
    let parts = [&PARTS[..], &[("photo", "whole"), ("normalized", "part")]].concat();
    assert_eq!(receiver.post("\r\nIdempotency-Key: 7-1-face-1-0", &parts), (202, r#"{"id":"7-1-face-1-0"}"#.into()));
    assert_eq!(receiver.files(), ["7-1-face-1-0.normalized.jpg", "7-1-face-1-0.photo.jpg", "posts.jsonl"]);
    assert_eq!(read(receiver.path(), "7-1-face-1-0.photo.jpg"), "whole");
    let line = read(receiver.path(), "posts.jsonl");
    assert!(
        line.contains(r#""key":"7-1-face-1-0""#)
            && line.contains(r#""cam_id":"7""#)
            && line.contains(r#""bbox":[[1,2,30,40]]"#),
        "{line}"
    );
    assert_eq!(receiver.summary(), r#"{"posts":1,"duplicates":0,"by_type":{"face":1}}"#);
}

#[test]
fn a_second_post_under_a_key_is_a_duplicate_and_posts_without_keys_are_not() {
    let receiver = Receiver::start(&[]);
    for headers in ["\r\nIdempotency-Key: a", "\r\nIdempotency-Key: a", "", ""] {
        assert_eq!(receiver.post(headers, &PARTS).0, 202);
    }
    assert_eq!(receiver.summary(), r#"{"posts":4,"duplicates":1,"by_type":{"face":3}}"#);
}

#[test]
fn invalid_posts_are_refused_with_the_reason() {
    let receiver = Receiver::start(&["--token", "abc"]);
    let token = "\r\nAuthorization: Token abc";
    assert_eq!(receiver.post("", &PARTS).0, 401);
    assert_eq!(
        receiver.request(&format!("POST /frame HTTP/1.1\r\nContent-Type: application/json{token}"), b"{}").0,
        415
    );
    for missing in 0..5 {
        let parts: Vec<_> = PARTS.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, p)| *p).collect();
        let (status, body) = receiver.post(token, &parts);
        assert!(status == 400 && body.contains(PARTS[missing].0), "{status} {body}");
    }
    let (status, body) = receiver.post(token, &[&PARTS[..2], &[("bbox", "[[1,")], &PARTS[3..]].concat());
    assert!(status == 400 && body.contains("bbox"), "{status} {body}");
    assert_eq!(receiver.post(&format!("{token}\r\nIdempotency-Key: ../../x"), &PARTS).0, 400);
    let broken = format!("POST /frame HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=limit{token}");
    assert_eq!(receiver.request(&broken, b"--limit\r\nContent-Disp").0, 400);
    assert_eq!((receiver.files(), read(receiver.path(), "posts.jsonl")), (vec!["posts.jsonl".into()], String::new()));
    assert_eq!(receiver.summary(), r#"{"posts":0,"duplicates":0,"by_type":{}}"#);
}

#[test]
fn fail_first_and_status_set_the_status_of_responses() {
    let receiver = Receiver::start(&["--fail-first", "2"]);
    assert_eq!([0; 3].map(|_| receiver.post("\r\nIdempotency-Key: a", &PARTS).0), [503, 503, 202]);
    assert_eq!(receiver.summary(), r#"{"posts":1,"duplicates":0,"by_type":{"face":1}}"#);
    assert_eq!(Receiver::start(&["--status", "429"]).post("", &PARTS).0, 429);
    assert_eq!(Receiver::start(&["--status", "200"]).post("", &PARTS).0, 200);
}

#[test]
fn every_nth_post_fails_with_retry_after() {
    let receiver = Receiver::start(&["--fail-every", "3", "--retry-after", "7"]);
    assert_eq!([0; 6].map(|_| receiver.post("", &PARTS).0), [202, 202, 500, 202, 202, 500]);
    let head = "POST /frame HTTP/1.1\r\nContent-Type: text/plain";
    let answers = [0; 3].map(|_| receiver.raw(head, b"").unwrap().to_ascii_lowercase());
    let asked = answers.map(|a| (a.contains(" 500 "), a.contains("retry-after: 7")));
    assert_eq!(asked, [(false, false), (false, false), (true, true)], "an invalid post gets no Retry-After");
}

#[test]
fn flaky_fails_the_same_posts_in_every_run() {
    let run = || {
        let receiver = Receiver::start(&["--flaky", "0.5"]);
        [0; 20].map(|_| receiver.post("", &PARTS).0)
    };
    let first = run();
    assert!(first.contains(&202) && first.contains(&503), "{first:?}");
    assert_eq!(run(), first);
}

#[test]
fn down_for_closes_connections_and_then_accepts_posts() {
    let receiver = Receiver::start(&["--down-for", "1"]);
    let begun = Instant::now();
    let mut closed = 0;
    while receiver.raw("GET / HTTP/1.1", b"").map_or(true, |answer| answer.is_empty()) {
        closed += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not accept posts after --down-for");
    }
    assert!(closed > 0);
    assert_eq!(receiver.post("", &PARTS).0, 202);
}

#[test]
fn slow_delays_the_response() {
    let begun = Instant::now();
    assert_eq!(Receiver::start(&["--slow", "300"]).post("", &PARTS).0, 202);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn keys_of_an_earlier_run_are_duplicates_even_after_a_kill() {
    let receiver = Receiver::start(&[]);
    assert_eq!(receiver.post("\r\nIdempotency-Key: a", &PARTS).0, 202);
    let dir = receiver.kill();
    // A line that a kill left incomplete.
    fs::File::options().append(true).open(dir.path().join("posts.jsonl")).unwrap().write_all(b"{\"key\":\"to").unwrap();
    let receiver = Receiver::over(dir, &[]);
    assert_eq!(receiver.post("\r\nIdempotency-Key: a", &PARTS).0, 202);
    assert_eq!(receiver.post("\r\nIdempotency-Key: b", &PARTS).0, 202);
    assert_eq!(receiver.summary(), r#"{"posts":2,"duplicates":1,"by_type":{"face":1}}"#);
    assert_eq!(read(receiver.path(), "posts.jsonl").lines().count(), 3);
}
