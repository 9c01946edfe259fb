//! Relay: a listener for FFmpeg, a connection to the camera, and the transfer between them.

use std::{
    fmt::Write as _,
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use bytes::BytesMut;
use ocellus_core::NetworkPolicy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::{TcpListener, TcpStream},
    select,
    sync::oneshot,
    task::JoinSet,
    time::timeout,
};
use url::Url;

use super::{
    connect::{Connection, connect},
    dialogue::{Answer, Dialogue},
    message::{Part, Parts},
};
use crate::{
    MediaError, Result,
    credentials::Credentials,
    error::UrlError,
    http::TICK,
    interrupt::{PATIENCE, Watch},
    network::port_of,
};

/// Timeout of a client's first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Limit of the open connections before FFmpeg's is recognized.
const MOST_WAITING: usize = 16;
/// Timeout of the teardown at the camera.
const GOODBYE: Duration = Duration::from_secs(1);
/// Read buffer in bytes.
const BUFFER: usize = 64 << 10;

/// Handle of a relay. Dropping it ends the relay, after a teardown of the camera's session.
pub(crate) struct Relay {
    url: String,
    port: u16,
    _stop: oneshot::Sender<()>,
}

/// The camera of a relay.
struct Target {
    network: NetworkPolicy,
    /// URL without credentials.
    url: Url,
    credentials: Option<Credentials>,
    verified: bool,
}

impl Relay {
    /// Connects to the camera and starts to listen.
    ///
    /// # Errors
    /// [`Refused`](MediaError::Refused) for a host that the policy does not allow,
    /// [`Unreachable`](MediaError::Unreachable), [`Interrupted`](MediaError::Interrupted).
    pub(crate) fn open(
        network: &NetworkPolicy,
        options: &[(String, String)],
        mut url: Url,
        watch: &Watch,
    ) -> Result<Self> {
        let credentials = Credentials::take_from(&mut url);
        url.set_fragment(None);
        let verified = !options.iter().any(|(key, value)| key == "tls_verify" && value == "0");
        let target = Target { network: network.clone(), url, credentials, verified };
        let (opened, open) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MediaError::internal)?;
        let serve = move || {
            runtime.block_on(serve(target, &opened, stopped));
            // A name lookup may still be running, which cannot be cancelled.
            runtime.shutdown_background();
        };
        thread::Builder::new().name("rtsp-relay".into()).spawn(serve).map_err(MediaError::internal)?;
        loop {
            match open.recv_timeout(TICK) {
                Ok(opened) => return opened.map(|(url, port)| Self { url, port, _stop: stop }),
                Err(RecvTimeoutError::Timeout) if watch.is_interrupted() => return Err(MediaError::Interrupted),
                Err(RecvTimeoutError::Timeout) if watch.is_overdue() => {
                    return Err(MediaError::Unreachable(UrlError::TimedOut("no answer".into())));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(MediaError::internal("the relay is gone")),
            }
        }
    }

    /// The URL for FFmpeg, which is secret.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// FFmpeg's own timeout for a silent camera.
    pub(crate) fn patience(&self) -> Duration {
        PATIENCE
    }

    /// Local port of the relay.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// Runs a relay to its end.
async fn serve(target: Target, opened: &mpsc::Sender<Result<(String, u16)>>, mut stopped: oneshot::Receiver<()>) {
    let begun = select! {
        begun = begin(target) => begun,
        _ = &mut stopped => return,
    };
    let (listener, port, mut relay) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            // The receiver may be gone.
            let _ = opened.send(Err(error));
            return;
        }
    };
    let own = relay.dialogue.own().to_vec();
    if opened.send(Ok((String::from_utf8_lossy(&own).into_owned(), port))).is_err() {
        return;
    }
    let client = select! {
        client = accept(listener, own) => client,
        _ = &mut stopped => return,
    };
    let Some((client, read)) = client else { return };
    select! {
        ended = relay.pass(client, read) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an RTSP connection ended: {error}");
            }
        }
        _ = &mut stopped => {}
    }
    relay.say_goodbye().await;
}

/// Connects to the camera, and listens for FFmpeg.
async fn begin(target: Target) -> Result<(TcpListener, u16, Connected)> {
    let Target { network, url, credentials, verified } = target;
    let (reader, writer) = split(connect(&network, &url, verified).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(MediaError::internal)?;
    let port = listener.local_addr().map_err(MediaError::internal)?.port();
    let own = format!("rtsp://127.0.0.1:{port}/{}", key()?);
    let dialogue = Dialogue::new(&own, &shown(&url), credentials);
    Ok((listener, port, Connected { reader, writer, dialogue }))
}

/// The URL as FFmpeg writes it in requests: always with a port.
fn shown(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}://{}:{}{}{query}", url.scheme(), url.host_str().unwrap_or_default(), port_of(url), url.path())
}

/// A random key: other users of the machine can connect to the relay, but do not know it.
fn key() -> Result<String> {
    let mut key = [0_u8; 16];
    getrandom::fill(&mut key).map_err(MediaError::internal)?;
    Ok(key.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Accepts the client that knows `own`, the URL of the relay, and returns its connection and the
/// bytes read so far. Then closes the listener.
async fn accept(listener: TcpListener, own: Vec<u8>) -> Option<(TcpStream, BytesMut)> {
    let mut waiting = JoinSet::new();
    loop {
        select! {
            accepted = listener.accept(), if waiting.len() < MOST_WAITING => match accepted {
                Ok((client, _)) => {
                    let first = first_request(client, own.clone());
                    waiting.spawn(async move { timeout(FIRST_REQUEST, first).await.ok().flatten() });
                }
                Err(_) => return None,
            },
            Some(first) = waiting.join_next() => {
                if let Ok(Some(client)) = first {
                    return Some(client);
                }
            }
        }
    }
}

/// A client whose first request is for `own`.
async fn first_request(mut client: TcpStream, own: Vec<u8>) -> Option<(TcpStream, BytesMut)> {
    let mut read = BytesMut::with_capacity(BUFFER);
    while !read.contains(&b'\n') {
        if read.len() >= BUFFER || client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
    let bytes: &[u8] = &read;
    let url = bytes.split(|byte| *byte == b' ').nth(1)?;
    if url.starts_with(&own) { Some((client, read)) } else { None }
}

/// A connection to a camera.
struct Connected {
    reader: ReadHalf<Box<dyn Connection>>,
    writer: WriteHalf<Box<dyn Connection>>,
    dialogue: Dialogue,
}

impl Connected {
    /// Transfers in both directions, until one end closes. `from_client`: bytes read before.
    async fn pass(&mut self, client: TcpStream, mut from_client: BytesMut) -> io::Result<()> {
        client.set_nodelay(true)?;
        let (mut client_reader, mut client) = client.into_split();
        let mut from_camera = BytesMut::with_capacity(BUFFER);
        let (mut client_parts, mut camera_parts) = (Parts::of_client(), Parts::of_camera());
        loop {
            while let Some(part) = client_parts.next(&mut from_client) {
                match part {
                    Part::Packet(bytes) => self.writer.write_all(&bytes).await?,
                    Part::Message(bytes) => {
                        let refused = || io::Error::other("a request that does not read a stream");
                        let request = self.dialogue.request(&bytes).ok_or_else(refused)?;
                        self.writer.write_all(&request).await?;
                    }
                    Part::Other(_) => return Err(io::Error::other("a request that is none")),
                }
            }
            while let Some(part) = camera_parts.next(&mut from_camera) {
                match part {
                    Part::Packet(bytes) | Part::Other(bytes) => client.write_all(&bytes).await?,
                    Part::Message(bytes) => match self.dialogue.answer(bytes) {
                        Answer::ToClient(bytes) => client.write_all(&bytes).await?,
                        Answer::ToCamera(bytes) => self.writer.write_all(&bytes).await?,
                    },
                }
            }
            self.writer.flush().await?;
            from_client.reserve(BUFFER);
            from_camera.reserve(BUFFER);
            select! {
                read = client_reader.read_buf(&mut from_client) => if read? == 0 { return Ok(()) },
                read = self.reader.read_buf(&mut from_camera) => if read? == 0 {
                    // The rest, which is no complete message.
                    return client.write_all(&from_camera).await;
                },
            }
        }
    }

    /// Tears down the session, which some cameras keep after the connection, and lets the camera
    /// close the connection: it might miss the request if that were cut off. Does not wait long.
    async fn say_goodbye(&mut self) {
        let request = self.dialogue.goodbye().unwrap_or_default();
        let goodbye = async {
            self.writer.write_all(&request).await?;
            self.writer.shutdown().await?;
            let mut rest = vec![0; BUFFER];
            while self.reader.read(&mut rest).await? > 0 {}
            io::Result::Ok(())
        };
        // The connection ends in any case.
        let _ = timeout(GOODBYE, goodbye).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::Interrupt;

    /// A relay, and the camera's end of its connection.
    fn opened(interrupt: &Interrupt) -> (Relay, BufReader<TcpStream>) {
        let camera = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("rtsp://user:pw@{}/a", camera.local_addr().unwrap()).parse().unwrap();
        let relay = Relay::open(&NetworkPolicy::default(), &[], url, &Watch::network(interrupt)).unwrap();
        (relay, BufReader::new(camera.accept().unwrap().0))
    }

    fn connect(relay: &Relay) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(("127.0.0.1", relay.port())).unwrap())
    }

    fn message(from: &mut BufReader<TcpStream>) -> String {
        from.lines()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .fold(String::new(), |all, line| all + &line + "|")
    }

    fn rest(mut from: BufReader<TcpStream>) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset connection is at its end, too.
        let _ = from.read_to_end(&mut rest);
        rest
    }

    #[test]
    fn only_a_client_that_knows_its_url_is_served() {
        let (relay, mut camera) = opened(&Interrupt::new());
        let (mut silent, mut stranger, mut client) = (connect(&relay), connect(&relay), connect(&relay));
        silent.get_mut().write_all(b"OPTIONS").unwrap();
        let other = format!("OPTIONS rtsp://127.0.0.1:{}/other RTSP/1.0\r\n\r\n", relay.port());
        stranger.get_mut().write_all(other.as_bytes()).unwrap();
        assert!(rest(stranger).is_empty());
        client.get_mut().write_all(format!("OPTIONS {} RTSP/1.0\r\nCSeq: 4\r\n\r\n", relay.url()).as_bytes()).unwrap();
        let asked = message(&mut camera);
        let port = camera.get_ref().local_addr().unwrap().port();
        assert_eq!(asked, format!("OPTIONS rtsp://127.0.0.1:{port}/a RTSP/1.0|CSeq: 1|"));
        camera.get_mut().write_all(b"$\0\0\x02pcRTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").unwrap();
        let mut packet = [0; 6];
        client.read_exact(&mut packet).unwrap();
        assert_eq!((&packet, message(&mut client)), (b"$\0\0\x02pc", "RTSP/1.0 200 OK|CSeq: 4|".to_owned()));
        assert!(rest(silent).is_empty());
        assert!(TcpStream::connect(("127.0.0.1", relay.port())).is_err(), "nobody else may connect");
    }

    #[test]
    fn it_ends_with_its_handle_and_ends_the_session() {
        let (relay, mut camera) = opened(&Interrupt::new());
        let mut client = connect(&relay);
        client.get_mut().write_all(format!("SETUP {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", relay.url()).as_bytes()).unwrap();
        message(&mut camera);
        camera.get_mut().write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nSession: 9\r\n\r\n").unwrap();
        message(&mut client);
        let port = relay.port();
        drop(relay);
        let goodbye = String::from_utf8(rest(camera)).unwrap();
        assert!(goodbye.starts_with("TEARDOWN ") && goodbye.contains("\r\nSession: 9\r\n"), "{goodbye}");
        assert!(rest(client).is_empty());
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    }

    #[test]
    fn it_ends_with_either_end() {
        let (relay, camera) = opened(&Interrupt::new());
        let mut client = connect(&relay);
        client.get_mut().write_all(format!("OPTIONS {} RTSP/1.0\r\n\r\n", relay.url()).as_bytes()).unwrap();
        drop(camera);
        assert!(rest(client).is_empty());

        let (relay, mut camera) = opened(&Interrupt::new());
        let mut client = connect(&relay);
        client.get_mut().write_all(format!("OPTIONS {} RTSP/1.0\r\n\r\n", relay.url()).as_bytes()).unwrap();
        message(&mut camera);
        drop(client);
        assert!(rest(camera).is_empty());
    }

    #[test]
    fn other_methods_are_not_passed_on() {
        let (relay, mut camera) = opened(&Interrupt::new());
        let mut client = connect(&relay);
        let requests = format!("OPTIONS {0} RTSP/1.0\r\n\r\nRECORD {0} RTSP/1.0\r\n\r\n", relay.url());
        client.get_mut().write_all(requests.as_bytes()).unwrap();
        assert!(message(&mut camera).starts_with("OPTIONS "));
        assert!(rest(camera).is_empty() && rest(client).is_empty());
    }

    #[test]
    fn an_unreachable_camera_is_an_error() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let open = |interrupt: &Interrupt| {
            let url = format!("rtsp://{gone}/").parse().unwrap();
            Relay::open(&NetworkPolicy::default(), &[], url, &Watch::network(interrupt)).err().unwrap()
        };
        let error = open(&Interrupt::new());
        assert!(matches!(error, MediaError::Unreachable(UrlError::NotConnected(_))), "{error:?}");
    }
}
