//! Covers: limits of connections. Clients with the token are served beside more connections without
//! it than any limit allows: silent ones, idle HTTP/2 connections that answer pings, clients that
//! never read. Each of these is closed by its timeout; a slow reader is served to the end; a server
//! that stops finishes its responses and waits for nothing else.

use std::{future::Future, path::Path, time::Duration};

use h2::client::SendRequest;
use reqwest::StatusCode;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};

use crate::{
    media,
    server::{Options, Server, TIMEOUT},
};

/// Limit of the server in tests that exceed it.
const MAX_CONNECTIONS: usize = 32;
const TOO_MANY: usize = 80;

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.unwrap_or_else(|_| panic!("timed out waiting for {what}"))
}

/// Connects with a receive buffer of a few kilobytes, so that an unread response blocks the server.
async fn connect(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(server.address()).await.unwrap()
}

/// Opens an HTTP/2 connection that answers pings, as every library does. The task ends with it.
async fn connect_h2(server: &Server, window: u32) -> (SendRequest<bytes::Bytes>, JoinHandle<()>) {
    let stream = connect(server).await;
    let (requests, connection) =
        h2::client::Builder::new().initial_window_size(window).handshake(stream).await.unwrap();
    (requests, tokio::spawn(async move { drop(connection.await) }))
}

fn get(path: &str, token: Option<&str>) -> axum::http::Request<()> {
    let request = axum::http::Request::get(format!("http://a{path}"));
    let request = token.into_iter().fold(request, |r, token| r.header("authorization", format!("Token {token}")));
    request.body(()).unwrap()
}

fn get_text(path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map(|token| format!("authorization: Token {token}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n{token}\r\n").into_bytes()
}

/// Reads one HTTP/1.1 response: its head, and its body by `Content-Length`.
async fn read_answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, body)
}

/// New connections, and an old one, are served.
async fn assert_answers(server: &Server, old: &mut TcpStream) {
    let token = server.token();
    for _ in 0..20 {
        let fresh = reqwest::Client::new();
        let request = fresh.get(format!("{}/videos/", server.base())).header("authorization", format!("Token {token}"));
        let answer = in_time("a response on a new connection", request.send()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    old.write_all(&get_text("/videos/count/", Some(token))).await.unwrap();
    let (head, body) = in_time("a response on an old connection", read_answer(old)).await;
    assert!(head.starts_with("HTTP/1.1 200") && body == b"{\"count\":0}", "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_with_the_token_are_served_beside_any_number_without() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--max-connections", &MAX_CONNECTIONS.to_string()).start();
    let mut old = connect(&server).await;
    old.write_all(&get_text("/videos/count/", Some(server.token()))).await.unwrap();
    read_answer(&mut old).await;

    let mut silent = Vec::new();
    for _ in 0..TOO_MANY {
        silent.push(connect(&server).await);
    }
    assert_answers(&server, &mut old).await;

    let mut unread = Vec::new();
    for _ in 0..TOO_MANY {
        let mut stream = connect(&server).await;
        // The server may have closed it by then.
        let _ = stream.write_all(&get_text("/openapi.json", None).repeat(20)).await;
        unread.push(stream);
    }
    assert_answers(&server, &mut old).await;

    let mut idle = Vec::new();
    for n in 0..TOO_MANY {
        let (mut requests, connection) = connect_h2(&server, 1000).await;
        // Every second one with a response that it does not read.
        if n % 2 == 0 {
            let _ = requests.send_request(get("/openapi.json", None), true);
        }
        idle.push((requests, connection));
    }
    assert_answers(&server, &mut old).await;
    let open = idle.iter().filter(|(_, connection)| !connection.is_finished()).count();
    assert!(open <= MAX_CONNECTIONS, "{open}");
    drop((silent, unread, idle));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_by_their_timeouts() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data)
        .argument("--first-request-timeout-ms", "300")
        .argument("--idle-timeout-ms", "300")
        .argument("--send-timeout-ms", "300")
        .start();
    let token = server.token();

    for start in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /videos/ HTTP/1.1\r\nhost"] {
        let mut silent = connect(&server).await;
        silent.write_all(start).await.unwrap();
        // Closed or reset; HTTP/2 after a GOAWAY frame.
        let _ = in_time("the end of a silent connection", silent.read_to_end(&mut Vec::new())).await;
    }

    let mut idle = connect(&server).await;
    idle.write_all(&get_text("/videos/count/", Some(token))).await.unwrap();
    read_answer(&mut idle).await;
    assert_eq!(in_time("the end of an idle connection", idle.read_to_end(&mut Vec::new())).await.unwrap(), 0);

    let (mut requests, connection) = connect_h2(&server, 1 << 20).await;
    let (answer, _) = requests.send_request(get("/health/", None), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK);
    in_time("the end of an idle HTTP/2 connection", connection).await.unwrap();

    let (mut requests, connection) = connect_h2(&server, 1000).await;
    let (answer, _) = requests.send_request(get("/openapi.json", None), true).unwrap();
    let unread = answer.await.unwrap();
    in_time("the end of an HTTP/2 connection whose response is not read", connection).await.unwrap();
    drop(unread);

    // The client notices when it sends more requests than the buffers hold.
    let mut unread = connect(&server).await;
    let request = get_text("/openapi.json", Some(token));
    in_time("the end of a connection whose responses are not read", async {
        while unread.write_all(&request).await.is_ok() {}
    })
    .await;
}

/// A picture of some megabytes: its path and content.
async fn large_picture(server: &Server, dir: &Path) -> (String, Vec<u8>) {
    let file = dir.join("noise.mp4");
    let noise = "nullsrc=size=1920x1080:rate=1:duration=2,noise=alls=100:allf=t";
    media::ffmpeg(&["-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4"], &file);
    let id = server.create(json!({})).await;
    server.upload(id, &file).await;
    let path = format!("/videos/{id}/screenshot/");
    let whole = server.bytes(&path).await;
    assert!(whole.len() > 1_000_000, "{}", whole.len());
    (path, whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_served_to_the_end() {
    const SEND_TIMEOUT: Duration = Duration::from_secs(3);
    // Slow enough that the whole response takes several times the limit.
    const PAUSES: u32 = 100;
    let pause = || tokio::time::sleep(SEND_TIMEOUT * 4 / PAUSES);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data)
        .argument("--send-timeout-ms", &SEND_TIMEOUT.as_millis().to_string())
        .argument("--idle-timeout-ms", "1000")
        .start();
    let (path, whole) = large_picture(&server, dir.path()).await;
    let token = server.token();

    let h1 = async {
        let mut stream = connect(&server).await;
        let mut request = get_text(&path, Some(token));
        request.truncate(request.len() - 2);
        request.extend_from_slice(b"connection: close\r\n\r\n");
        stream.write_all(&request).await.unwrap();
        let mut got = Vec::new();
        let mut piece = vec![0; whole.len() / PAUSES as usize];
        loop {
            let n = stream.read(&mut piece).await.unwrap();
            if n == 0 {
                break;
            }
            got.extend_from_slice(&piece[..n]);
            if got.len() / piece.len() > (got.len() - n) / piece.len() {
                pause().await;
            }
        }
        assert!(got.ends_with(&whole), "{} bytes", got.len());
    };
    let h2 = async {
        let (mut requests, _connection) = connect_h2(&server, 64 << 10).await;
        let (answer, _) = requests.send_request(get(&path, Some(token)), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let mut got = Vec::new();
        let mut paused = 0;
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap_or_else(|e| panic!("after {} bytes: {e}", got.len()));
            got.extend_from_slice(&piece);
            body.flow_control().release_capacity(piece.len()).unwrap();
            while paused < got.len() * PAUSES as usize / whole.len() {
                paused += 1;
                pause().await;
            }
        }
        assert!(got == whole, "{} bytes", got.len());
    };
    tokio::join!(h1, h2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_finishes_responses_and_waits_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let (path, whole) = large_picture(&server, dir.path()).await;
    let token = server.token().to_owned();
    let silent = connect(&server).await;
    let idle = connect_h2(&server, 1000).await;
    let mut kept = connect(&server).await;
    kept.write_all(&get_text("/videos/count/", Some(&token))).await.unwrap();
    read_answer(&mut kept).await;
    let mut reading = connect(&server).await;
    reading.write_all(&get_text(&path, Some(&token))).await.unwrap();
    // The response has begun, and the rest of it does not fit into the buffers.
    reading.readable().await.unwrap();

    let stopped = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!(in_time("the end of a kept connection", kept.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    let (head, body) = in_time("the rest of a response", read_answer(&mut reading)).await;
    assert!(head.starts_with("HTTP/1.1 200") && body == whole, "{head}");
    assert!(in_time("the server's end", stopped).await.unwrap().success());
    in_time("the end of an idle HTTP/2 connection", idle.1).await.unwrap();
    drop(silent);
}
