//! RTSP server (RFC 2326) that plays a recording to each client, interleaved in the client's
//! connection. `ffmpeg` makes the RTP packets. Records the requests. Ends when dropped.
#![allow(dead_code, reason = "each of the test programs that have it uses a part of it")]

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// Seconds by which its clock is behind, so that tests can distinguish the times of its sender
/// reports (RTCP, RFC 3550 section 6.4.1) from the server's.
pub(crate) const BEHIND: i64 = 100_000_000;

pub(crate) enum Behaviour {
    /// Announces its duration in seconds, as a recording does.
    Recording(f64),
    /// Announces no duration, as a camera does.
    Camera,
    /// Redirects clients to this URL.
    Redirect(String),
}

/// How clients have to authenticate with [`USER`] and [`PASSWORD`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    None,
    Basic,
    /// By RFC 2069, as old cameras do.
    Digest,
}

pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "p:w";

/// Entry after the last request of a connection.
pub(crate) const CLOSED: &str = "closed";

pub(crate) struct Rtsp {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    notes: Arc<Notes>,
}

/// Requests, each as `METHOD URL`, with `by user` behind it where it came with a login.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    changed: Condvar,
}

impl Notes {
    fn push(&self, line: String) {
        self.lines.lock().unwrap().push(line);
        self.changed.notify_all();
    }
}

struct Host {
    file: PathBuf,
    behaviour: Behaviour,
    login: Login,
    notes: Arc<Notes>,
}

impl Rtsp {
    /// `file` holds H.264 and AAC.
    pub(crate) fn start(file: &Path, behaviour: Behaviour) -> Self {
        Self::guarded(file, behaviour, Login::None)
    }

    pub(crate) fn guarded(file: &Path, behaviour: Behaviour, login: Login) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let notes = Arc::new(Notes::default());
        let host = Arc::new(Host { file: file.to_owned(), behaviour, login, notes: Arc::clone(&notes) });
        let until = Arc::clone(&closed);
        thread::spawn(move || {
            for connection in listener.incoming() {
                if until.load(Ordering::SeqCst) {
                    return;
                }
                let host = Arc::clone(&host);
                thread::spawn(move || host.serve(connection.unwrap()));
            }
        });
        Self { address, closed, notes }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.notes.lines.lock().unwrap().clone()
    }

    /// The requests until the first connection was closed.
    pub(crate) fn asked_until_closed(&self) -> Vec<String> {
        let waits = |lines: &mut Vec<String>| !lines.iter().any(|line| line == CLOSED);
        let limit = Duration::from_secs(30);
        let (lines, late) =
            self.notes.changed.wait_timeout_while(self.notes.lines.lock().unwrap(), limit, waits).unwrap();
        assert!(!late.timed_out(), "the connection stays open: {lines:?}");
        lines.clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://localhost:{}/stream", self.address.port())
    }
}

impl Drop for Rtsp {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the listening thread.
        let _ = TcpStream::connect(self.address);
    }
}

impl Host {
    fn serve(&self, connection: TcpStream) {
        let mut requests = BufReader::new(connection.try_clone().unwrap());
        let out = Arc::new(Mutex::new(connection));
        let mut channels = HashMap::new();
        let mut playing = None;
        while let Some(request) = Request::read(&mut requests) {
            let mut body = String::new();
            let mut headers = String::new();
            let shown = request.header("authorization");
            let by = if shown.is_empty() { "" } else { " by user" };
            self.notes.push(format!("{} {}{by}", request.method, request.url));
            if request.method != "OPTIONS" && !self.login.is_satisfied(&request) {
                let challenge = self.login.challenge();
                let answer = format!(
                    "RTSP/1.0 401 Unauthorized\r\nCSeq: {}\r\nWWW-Authenticate: {challenge}\r\n\r\n",
                    request.header("cseq")
                );
                out.lock().unwrap().write_all(answer.as_bytes()).unwrap();
                continue;
            }
            match request.method.as_str() {
                "OPTIONS" => headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n".into(),
                "DESCRIBE" => {
                    if let Behaviour::Redirect(to) = &self.behaviour {
                        let answer =
                            format!("RTSP/1.0 302 Moved\r\nCSeq: {}\r\nLocation: {to}\r\n\r\n", request.header("cseq"));
                        out.lock().unwrap().write_all(answer.as_bytes()).unwrap();
                        continue;
                    }
                    body = self.description();
                    headers = format!("Content-Base: {}/\r\nContent-Type: application/sdp\r\n", request.url);
                }
                "SETUP" => {
                    let transport = request.header("transport");
                    let channel: u8 =
                        transport.split_once("interleaved=").unwrap().1.split('-').next().unwrap().parse().unwrap();
                    let track: usize = request.url.rsplit_once("track").unwrap().1.parse().unwrap();
                    channels.insert(track, channel);
                    headers = format!("Transport: {transport}\r\nSession: 1\r\n");
                }
                "PLAY" => headers = "Session: 1\r\n".into(),
                _ => {}
            }
            let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n{headers}{length}\r\n{body}", request.header("cseq"));
            if out.lock().unwrap().write_all(answer.as_bytes()).is_err() || request.method == "TEARDOWN" {
                break;
            }
            if request.method == "PLAY" && playing.is_none() {
                playing = Some(self.play(&channels, &out));
            }
        }
        if let Some(playing) = playing {
            playing.store(true, Ordering::SeqCst);
        }
        self.notes.push(CLOSED.to_owned());
    }

    fn sender(&self, ports: [u16; 2], more: &[&str]) -> Command {
        let [video, sound] = ports.map(|port| format!("rtp://127.0.0.1:{port}"));
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-loglevel", "error", "-re", "-i"]).arg(&self.file).args(more);
        command
            .args(["-map", "0:v", "-c", "copy", "-f", "rtp", &video, "-map", "0:a", "-c", "copy", "-f", "rtp", &sound]);
        command.stdin(Stdio::null());
        command
    }

    fn description(&self) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sdp");
        let mut command = self.sender([9, 19], &["-sdp_file", path.to_str().unwrap()]);
        let mut process = command.spawn().unwrap();
        // ffmpeg writes the file before it sends the first packet.
        let text = loop {
            match std::fs::read_to_string(&path) {
                Ok(text) if text.contains("m=audio") && text.contains("config=") => break text,
                _ => assert!(
                    process.try_wait().unwrap().is_none_or(|s| s.success()),
                    "ffmpeg cannot describe the recording"
                ),
            }
            thread::sleep(Duration::from_millis(10));
        };
        process.kill().unwrap();
        process.wait().unwrap();
        let mut media = 0;
        let mut lines = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("m=") {
                if let (0, Behaviour::Recording(seconds)) = (media, &self.behaviour) {
                    lines.push(format!("a=range:npt=0-{seconds}"));
                }
                let mut words: Vec<&str> = rest.split(' ').collect();
                words[1] = "0";
                lines.push(format!("m={}", words.join(" ")));
                lines.push(format!("a=control:track{media}"));
                media += 1;
            } else {
                lines.push(line.trim_end().to_owned());
            }
        }
        lines.join("\r\n") + "\r\n"
    }

    /// Sends the recording, then closes the connection. Setting the returned flag stops it.
    fn play(&self, channels: &HashMap<usize, u8>, out: &Arc<Mutex<TcpStream>>) -> Arc<AtomicBool> {
        let pairs = [pair(), pair()];
        let ports = pairs.each_ref().map(|[rtp, _]| rtp.local_addr().unwrap().port());
        let sender = Sender(self.sender(ports, &[]).spawn().unwrap());
        let ended = Arc::new(AtomicBool::new(false));
        let sockets = pairs
            .into_iter()
            .enumerate()
            .flat_map(|(track, pair)| pair.into_iter().zip(0..).map(move |(s, n)| (track, n, s)));
        let relays: Vec<_> = sockets
            .filter_map(|(track, n, socket)| {
                let (channel, out, ended) = (*channels.get(&track)? + n, Arc::clone(out), Arc::clone(&ended));
                socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
                Some(thread::spawn(move || {
                    let mut packet = [0; 2048];
                    loop {
                        let Ok(length) = socket.recv(&mut packet) else {
                            if ended.load(Ordering::SeqCst) {
                                return;
                            }
                            continue;
                        };
                        if n == 1 {
                            set_back(&mut packet[..length]);
                        }
                        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
                        let frame = [&[b'$', channel, high, low], &packet[..length]].concat();
                        if out.lock().unwrap().write_all(&frame).is_err() {
                            return;
                        }
                    }
                }))
            })
            .collect();
        let (out, until) = (Arc::clone(out), Arc::clone(&ended));
        thread::spawn(move || {
            let mut sender = sender;
            while !until.load(Ordering::SeqCst) && sender.0.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(20));
            }
            until.store(true, Ordering::SeqCst);
            relays.into_iter().for_each(|relay| relay.join().unwrap());
            let _ = out.lock().unwrap().shutdown(Shutdown::Both);
        });
        ended
    }
}

impl Login {
    const REALM: &str = "camera";
    const NONCE: &str = "4a5b";

    fn challenge(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Basic => format!("Basic realm=\"{}\"", Self::REALM),
            Self::Digest => format!("Digest realm=\"{}\", nonce=\"{}\"", Self::REALM, Self::NONCE),
        }
    }

    fn is_satisfied(self, request: &Request) -> bool {
        let shown = request.header("authorization");
        match self {
            Self::None => shown.is_empty(),
            // "user:p:w" in base64
            Self::Basic => shown == "Basic dXNlcjpwOnc=",
            Self::Digest => {
                let secret = md5(&format!("{USER}:{}:{PASSWORD}", Self::REALM));
                let asked = md5(&format!("{}:{}", request.method, request.url));
                let response = md5(&format!("{secret}:{}:{asked}", Self::NONCE));
                let has = |name: &str, value: &str| shown.contains(&format!("{name}=\"{value}\""));
                shown.starts_with("Digest ") && has("uri", &request.url) && has("response", &response)
            }
        }
    }
}

fn md5(text: &str) -> String {
    let mut process = Command::new("md5sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("needs md5sum, of coreutils");
    process.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = process.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().split(' ').next().unwrap().to_owned()
}

/// Sockets for RTP and, on the next port, RTCP.
fn pair() -> [UdpSocket; 2] {
    loop {
        let rtp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let next = rtp.local_addr().unwrap().port().checked_add(1);
        if let Some(rtcp) = next.and_then(|port| UdpSocket::bind(("127.0.0.1", port)).ok()) {
            return [rtp, rtcp];
        }
    }
}

/// Sets back the clock of a sender report: seconds since 1900, at its ninth byte.
fn set_back(packet: &mut [u8]) {
    const SENDER_REPORT: u8 = 200;
    if packet.len() >= 12 && packet[1] == SENDER_REPORT {
        let seconds = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        packet[8..12].copy_from_slice(&seconds.wrapping_sub(BEHIND as u32).to_be_bytes());
    }
}

/// The `ffmpeg` process that makes the packets. Killed when dropped.
struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Request {
    method: String,
    url: String,
    headers: HashMap<String, String>,
}

impl Request {
    /// Reads the next request; `None` at the end of the connection. Skips the RTCP reports that the
    /// client sends between requests.
    fn read(from: &mut BufReader<TcpStream>) -> Option<Self> {
        loop {
            let first = *from.fill_buf().ok()?.first()?;
            if first != b'$' {
                break;
            }
            let mut head = [0; 4];
            from.read_exact(&mut head).ok()?;
            let mut report = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
            from.read_exact(&mut report).ok()?;
        }
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace();
        let (method, url) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok()?;
            match line.split_once(':') {
                Some((name, value)) => headers.insert(name.trim().to_lowercase(), value.trim().to_owned()),
                None => return Some(Self { method, url, headers }),
            };
        }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}
