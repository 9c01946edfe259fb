//! Covers: malformed requests: none causes a 500, and refusals have the documented shape.

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, TOKEN};

fn targets() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("videos".to_owned()),
        Just("objects".to_owned()),
        Just("1".to_owned()),
        Just("count".to_owned()),
        Just("screenshot".to_owned()),
        Just("upload/source_file".to_owned()),
        Just("..".to_owned()),
        "[a-z0-9%_.~-]{0,8}",
        "(%[0-9a-fA-F]{2}){1,4}",
    ];
    let query = prop_oneof![
        Just(String::new()),
        "[?](limit|page|ordering|id_in|created_date_gt|created_date_nth_full_week|name_contains|width|type|camera_groups)=[ -~]{0,12}"
            .prop_map(|q| q.replace([' ', '#'], "+")),
        "[?]([a-z]{0,3}=(%[0-9a-fA-F]{2}){0,3}&?){0,3}",
    ];
    (prop::collection::vec(piece, 0..4), any::<bool>(), query)
        .prop_map(|(pieces, slash, query)| format!("/{}{}{query}", pieces.join("/"), if slash { "/" } else { "" }))
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..40),
        "[{\\[]{0,3}\"[a-z_]{0,12}\":[ ]?[0-9a-z\"{}\\[\\],.-]{0,12}[}\\]]{0,3}".prop_map(String::into_bytes),
        Just(br#"{"camera_group": 1, "name": "a"}"#.to_vec()),
    ]
}

fn headers() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "(host|range|expect|content-type|content-encoding|x-forwarded-proto|if-none-match|accept): [ -~]{0,16}\r\n",
        Just("transfer-encoding: gzip\r\n".to_owned()),
    ]
}

#[test]
fn no_request_makes_the_server_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(async {
        let server = Server::start().await;
        server.add("a").await;
        server
    });
    let methods =
        prop::sample::select(vec!["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]);
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&(methods, targets(), headers(), bodies()), |(method, target, headers, body)| {
            let head = format!(
                "{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Token {TOKEN}\r\n{headers}content-length: {}\r\n\r\n",
                body.len()
            );
            let request = [head.as_bytes(), &body].concat();
            let Some((status, text)) = runtime.block_on(server.raw(&request)) else { return Ok(()) };
            prop_assert!(status < 500, "{target}: {text}");
            // hyper itself answers what is not HTTP, without a body.
            let json = text.split_once("\r\n\r\n").filter(|(head, _)| head.contains("application/json")).map(|(_, body)| body);
            if let Some(body) = json.filter(|b| status >= 400 && !b.is_empty()) {
                let body: Value = serde_json::from_str(body).unwrap();
                prop_assert!(body["code"].is_string() && body["desc"].is_string(), "{body}");
                prop_assert_eq!(body["param"].is_string(), status == 400, "{}", body);
            }
            Ok(())
        })
        .unwrap();
    runtime.block_on(async { server.get("/videos/").await.expect(200) });
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_http_are_refused_and_others_are_served() {
    let server = Server::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrubbish",
        b"\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Reset or closed, with an answer or without.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(
            !answer.starts_with(b"HTTP/1.1") || answer.starts_with(b"HTTP/1.1 400"),
            "{bytes:?}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
    let many = format!("GET /videos/ HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(500));
    assert!(server.raw(many.as_bytes()).await.unwrap().0 < 500);
    server.get("/videos/").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_up_no_other() {
    let server = Server::start().await;
    let mut silent = Vec::new();
    for start in [&b""[..], b"P", b"GET /videos/ HTTP/1.1\r\nhost"] {
        let mut stream = server.connect().await;
        stream.write_all(start).await.unwrap();
        silent.push(stream);
    }
    server.get("/videos/").await.expect(200);
    drop(silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_one_connection_are_answered_in_order() {
    let server = Server::start().await;
    let request = |path: &str, close: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Token {TOKEN}\r\n{close}\r\n")
    };
    let mut stream = server.connect().await;
    let both = request("/videos/count/", "") + &request("/videos/77/", "connection: close\r\n");
    stream.write_all(both.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (count, missing) = (text.find("{\"count\":0}").unwrap(), text.find("NOT_FOUND").unwrap());
    assert!(count < missing);
}
