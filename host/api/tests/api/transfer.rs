//! Covers: compression, CORS, entity tags, downloads by range, and signed URLs.

use std::{io::Read, sync::Arc, time::Duration};

use ocellus_api::{ApiConfig, UrlSigner};
use ocellus_core::{Clock, ManualClock, SystemClock};
use reqwest::Method;
use serde_json::json;

use crate::{
    objects::with_objects,
    server::{Answer, Server, TOKEN},
};

/// A request with the token and these headers.
async fn send(server: &Server, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let request = server.request(method, path).header("authorization", format!("Token {TOKEN}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    server.send(request.body(body.to_owned())).await
}

fn header(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_compressed_for_clients_that_read_it() {
    let server = Server::start().await;
    for n in 0..5 {
        server.add(&format!("v{n}")).await;
    }
    let plain = server.get("/videos/").await.expect(200);
    assert_eq!(header(&plain, "content-encoding"), "");
    for encoding in ["gzip", "br"] {
        let packed = send(&server, Method::GET, "/videos/", &[("accept-encoding", encoding)], "").await.expect(200);
        assert_eq!(header(&packed, "content-encoding"), encoding);
        assert!(packed.body.len() < plain.body.len() / 4, "{encoding}: {} bytes", packed.body.len());
        if encoding == "gzip" {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain.body);
        }
    }
    let (_, made) = with_objects(&server, &["face"]).await;
    let path = format!("/objects/{}/thumbnail/", made[0]);
    let picture = send(&server, Method::GET, &path, &[("accept-encoding", "gzip, br")], "").await.expect(200);
    assert_eq!(header(&picture, "content-encoding"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn cors_allows_the_configured_origins_only() {
    const PAGE: &str = "https://board.example.org";
    let preflight = async |server: &Server, origin: &str| {
        let request = server.request(Method::OPTIONS, "/videos/1/").header("origin", origin);
        let request = request.header("access-control-request-method", "PATCH");
        server.send(request.header("access-control-request-headers", "authorization,if-match")).await
    };
    let config = ApiConfig { cors_origins: vec![PAGE.into()], ..ApiConfig::default() };
    let server = Server::with(config, Arc::new(SystemClock)).await;
    let allowed = preflight(&server, PAGE).await.expect(200);
    assert_eq!(header(&allowed, "access-control-allow-origin"), PAGE);
    assert!(header(&allowed, "access-control-allow-methods").contains("PATCH"));
    assert_eq!(header(&allowed, "access-control-allow-headers"), "authorization,if-match");
    let answer = send(&server, Method::GET, "/videos/", &[("origin", PAGE)], "").await.expect(200);
    assert_eq!(header(&answer, "access-control-allow-origin"), PAGE);
    // A refusal has to be readable, too.
    let refused = server.send(server.request(Method::GET, "/videos/").header("origin", PAGE)).await.expect(401);
    assert_eq!(header(&refused, "access-control-allow-origin"), PAGE);
    let other = preflight(&server, "https://other.example.org").await;
    assert_eq!(header(&other, "access-control-allow-origin"), "");

    let none = Server::start().await;
    assert_eq!(header(&preflight(&none, PAGE).await, "access-control-allow-origin"), "");
    let any = ApiConfig { cors_origins: vec!["*".into()], ..ApiConfig::default() };
    let any = Server::with(any, Arc::new(SystemClock)).await;
    assert_eq!(header(&preflight(&any, PAGE).await.expect(200), "access-control-allow-origin"), "*");
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_prevents_lost_updates() {
    let server = Server::start().await;
    let id = server.add("a").await;
    let path = format!("/videos/{id}/");
    let first = header(&server.get(&path).await.expect(200), "etag");
    assert!(first.starts_with('"') && first.len() == 34, "{first}");
    let known = send(&server, Method::GET, &path, &[("if-none-match", &first)], "").await.expect(304);
    assert!(known.body.is_empty());

    let change = json!({"name": "b"}).to_string();
    let changed = send(&server, Method::PATCH, &path, &[("if-match", &first)], &change).await.expect(200);
    let second = header(&changed, "etag");
    assert_ne!(second, first);
    assert_eq!(header(&server.get(&path).await.expect(200), "etag"), second);
    send(&server, Method::GET, &path, &[("if-none-match", &first)], "").await.expect(200);

    let change = json!({"camera_group": 1, "name": "c"}).to_string();
    for method in [Method::PATCH, Method::PUT, Method::DELETE] {
        let refused = send(&server, method, &path, &[("if-match", &first)], &change).await.expect(412).json();
        assert_eq!(refused["code"], "PRECONDITION_FAILED");
    }
    assert_eq!(server.video(id).await["name"], "b");
    send(&server, Method::PATCH, "/videos/99/", &[("if-match", "*")], &change).await.finds_no_video();
    send(&server, Method::PUT, &path, &[("if-match", &format!("\"x\", {second}"))], &change).await.expect(200);
    send(&server, Method::DELETE, &path, &[("if-match", "*")], "").await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_downloaded_whole_or_in_parts() {
    let server = Server::start().await;
    let id = server.add("Zoë \"1\"").await;
    let bytes = [&b"\0\0\0\x18ftypmp42"[..], &[7; 3000]].concat();
    for path in [format!("/videos/{id}/source_file/"), format!("/videos/{id}/file/")] {
        server.get(&path).await.expect(404);
    }
    server.upload(id, bytes.clone()).await.expect(201);
    for path in [format!("/videos/{id}/source_file/"), format!("/videos/{id}/file/")] {
        let whole = server.get(&path).await.expect(200);
        assert_eq!(whole.body, bytes);
        assert_eq!(header(&whole, "content-type"), "video/mp4");
        assert_eq!(header(&whole, "accept-ranges"), "bytes");
        let name = "inline; filename=\"Zo___1_.mp4\"; filename*=UTF-8''Zo%C3%AB%20%221%22%2Emp4";
        assert_eq!(header(&whole, "content-disposition"), name);
        let tag = header(&whole, "etag");
        assert_eq!(tag.len(), 66, "{tag}");

        let part = send(&server, Method::GET, &path, &[("range", "bytes=4-7")], "").await.expect(206);
        assert_eq!((&*part.body, header(&part, "content-range")), (&b"ftyp"[..], "bytes 4-7/3012".to_owned()));
        let end = send(&server, Method::GET, &path, &[("range", "bytes=-5")], "").await.expect(206);
        assert_eq!(end.body, [7; 5]);
        send(&server, Method::GET, &path, &[("range", "bytes=9999-")], "").await.expect(416);
        let same = [("range", "bytes=4-7"), ("if-range", tag.as_str())];
        assert_eq!(send(&server, Method::GET, &path, &same, "").await.expect(206).body, b"ftyp");
        let other = [("range", "bytes=4-7"), ("if-range", "\"other\"")];
        assert_eq!(send(&server, Method::GET, &path, &other, "").await.expect(200).body, bytes);
        send(&server, Method::GET, &path, &[("if-none-match", &tag)], "").await.expect(304);
        assert!(send(&server, Method::HEAD, &path, &[], "").await.expect(200).body.is_empty());
    }
    server.get("/videos/99/source_file/").await.finds_no_video();
    server.send(server.request(Method::GET, &format!("/videos/{id}/file/"))).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_url_opens_its_picture_until_it_expires() {
    let clock = Arc::new(ManualClock::new("2025-03-28T12:00:00Z".parse().unwrap()));
    let config = ApiConfig { url_signer: Some(UrlSigner::new(&[7; 32])), ..ApiConfig::default() };
    let server = Server::with(config, Arc::clone(&clock) as Arc<dyn Clock>).await;
    let (video, _) = with_objects(&server, &["face"]).await;
    let anyone = async |method: Method, url: &str| server.send(server.request(method, url)).await;

    let list = server.get(&format!("/videos/{video}/objects/?sign_urls=600")).await.expect(200).json();
    let urls: Vec<_> =
        ["thumbnail", "fullframe"].map(|which| list["results"][0][which].as_str().unwrap().to_owned()).into();
    let uploaded = server.add("b").await;
    server.upload(uploaded, "bytes").await.expect(201);
    let sent = json!({"path": format!("/videos/{uploaded}/source_file/"), "seconds": 600});
    let source = server.post("/signed-urls/", sent).await.expect(200).json()["url"].as_str().unwrap().to_owned();
    for url in urls.iter().chain([&source]) {
        anyone(Method::GET, url).await.expect(200);
        anyone(Method::HEAD, url).await.expect(200);
        anyone(Method::DELETE, url).await.expect(405);
        anyone(Method::GET, &url.replace("expires=1", "expires=2")).await.expect(401);
        anyone(Method::GET, url.split('?').next().unwrap()).await.expect(401);
    }
    // A signature does not hold for the other path of the same file.
    anyone(Method::DELETE, &source.replace("source_file", "file")).await.expect(401);
    let event = server.get(&format!("/events/faces/?video_archive={video}&sign_urls=600")).await.expect(200).json();
    anyone(Method::GET, event["results"][0]["fullframe"].as_str().unwrap()).await.expect(200);
    let shown = server.get(&format!("/videos/{video}/?sign_urls=600")).await.expect(200).json();
    assert!(shown["screenshot"].as_str().unwrap().contains("&signature="), "{shown}");

    clock.advance(Duration::from_secs(661));
    for url in urls.iter().chain([&source]) {
        anyone(Method::GET, url).await.expect(401);
    }
    for (sent, param) in [
        (json!({"seconds": 1}), "path"),
        (json!({"path": "/videos/", "seconds": 1}), "path"),
        (json!({"path": "http://a/videos/1/file/", "seconds": 1}), "path"),
        (json!({"path": "/videos/1/file/"}), "seconds"),
        (json!({"path": "/videos/1/file/", "seconds": 604_801}), "seconds"),
        (json!({"path": "/videos/1/file/", "seconds": "soon"}), "seconds"),
    ] {
        server.post("/signed-urls/", sent).await.refuses(param);
    }
    server.get("/videos/?sign_urls=0").await.refuses("sign_urls");
    assert_eq!(Server::start().await.get("/videos/?sign_urls=9").await.expect(503).json()["code"], "UNAVAILABLE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_needs_a_time_and_a_source() {
    let server = Server::start().await;
    let path = format!("/videos/{}/frame/", server.add("a").await);
    for (query, param) in [
        ("", "time"),
        ("time=", "time"),
        ("time=-1", "time"),
        ("time=NaN", "time"),
        ("time=1&width=0", "width"),
        ("time=1&quality=101", "quality"),
    ] {
        server.get(&format!("{path}?{query}")).await.refuses(param);
    }
    server.get(&format!("{path}?time=1.5")).await.expect(404);
    server.get("/videos/99/frame/?time=1").await.expect(404);
}
