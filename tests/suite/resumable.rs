//! Covers: uploads by the protocol tus: they continue after the server was killed, are refused as
//! the protocol requires, and become the video's source; the libraries tus-js-client and tuspy,
//! where `tests/clients/setup.sh` has installed them.

use std::{fs, path::Path, process::Command};

use axum::http::StatusCode;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::json;

use crate::{
    clients::tools,
    media,
    server::{Options, Server},
};

fn tus(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.request(method, path).header("Tus-Resumable", "1.0.0")
}

fn part(server: &Server, path: &str, offset: usize, bytes: &[u8]) -> RequestBuilder {
    tus(server, Method::PATCH, path)
        .header("Upload-Offset", offset)
        .header("Content-Type", "application/offset+octet-stream")
        .body(bytes.to_vec())
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Begins an upload; returns its path.
async fn begin(server: &Server, video: u64, length: usize) -> String {
    let request = tus(server, Method::POST, &format!("/videos/{video}/uploads/")).header("Upload-Length", length);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(header(&response, "tus-resumable"), "1.0.0");
    assert!(httpdate(header(&response, "upload-expires")));
    header(&response, "location").strip_prefix(server.base()).unwrap().to_owned()
}

fn httpdate(text: &str) -> bool {
    text.ends_with(" GMT") && text.len() == 29
}

async fn offset(server: &Server, path: &str) -> String {
    let response = tus(server, Method::HEAD, path).send().await.unwrap();
    assert_eq!((response.status(), header(&response, "cache-control")), (StatusCode::OK, "no-store"));
    header(&response, "upload-offset").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_continues_after_the_server_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let clip = fs::read(media::short_street(dir.path(), 60)).unwrap();
    let (first, rest) = clip.split_at(clip.len() / 2);
    let server = Server::start(&data);
    let video = server.create(json!({})).await;
    let path = begin(&server, video, clip.len()).await;
    assert_eq!(offset(&server, &path).await, "0");
    let response = part(&server, &path, 0, first).send().await.unwrap();
    assert_eq!(
        (response.status(), header(&response, "upload-offset")),
        (StatusCode::NO_CONTENT, &*first.len().to_string())
    );
    server.kill();

    let server = Server::start(&data);
    assert_eq!(offset(&server, &path).await, first.len().to_string());
    assert_eq!(server.video(video).await["file_size"], 0);
    let wrong = part(&server, &path, 0, rest).send().await.unwrap();
    assert_eq!(wrong.status(), StatusCode::CONFLICT);
    let response = part(&server, &path, first.len(), rest).send().await.unwrap();
    assert_eq!(
        (response.status(), header(&response, "upload-offset")),
        (StatusCode::NO_CONTENT, &*clip.len().to_string())
    );
    assert_eq!(server.bytes(&format!("/videos/{video}/source_file/")).await, clip);
    assert_eq!(tus(&server, Method::HEAD, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    server.process(video).await;
    assert_eq!(server.finished(video).await["health_status"]["statistic"]["frames_processed"], 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_against_the_protocol_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(&dir.path().join("data")).argument("--max-upload-bytes", "1000").start();
    let video = server.create(json!({})).await;
    let uploads = format!("/videos/{video}/uploads/");
    let abilities = server.request(Method::OPTIONS, &uploads).send().await.unwrap();
    assert_eq!((header(&abilities, "tus-version"), header(&abilities, "tus-max-size")), ("1.0.0", "1000"));
    let extensions = header(&abilities, "tus-extension");
    assert_eq!(extensions, "creation,expiration,termination");

    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    let create = |length: &str| tus(&server, Method::POST, &uploads).header("Upload-Length", length);
    for (length, refusal) in [("0", 400), ("-1", 400), ("x", 400), ("1001", 413), ("99999999999999999999999", 400)] {
        assert_eq!(status(create(length)).await, refusal, "{length}");
    }
    assert_eq!(status(tus(&server, Method::POST, &uploads).header("Upload-Defer-Length", "1")).await, 400);
    let other = server.request(Method::POST, &uploads).header("Upload-Length", "9").header("Tus-Resumable", "0.2.2");
    let other = other.send().await.unwrap();
    assert_eq!((other.status(), header(&other, "tus-version")), (StatusCode::PRECONDITION_FAILED, "1.0.0"));
    assert_eq!(status(tus(&server, Method::POST, "/videos/99/uploads/").header("Upload-Length", "9")).await, 404);

    let path = begin(&server, video, 10).await;
    assert_eq!(status(part(&server, &path, 0, b"more than ten")).await, 413);
    assert_eq!(status(part(&server, &path, 3, b"3")).await, 409);
    let untyped = tus(&server, Method::PATCH, &path).header("Upload-Offset", 0).body("0");
    assert_eq!(status(untyped).await, 415);
    let without_offset = tus(&server, Method::PATCH, &path).header("Content-Type", "application/offset+octet-stream");
    assert_eq!(status(without_offset.body("0")).await, 400);
    assert_eq!(offset(&server, &path).await, "0");
    let elsewhere = path.replace(&format!("/{video}/"), "/99/");
    assert_eq!(status(tus(&server, Method::HEAD, &elsewhere)).await, 404);
    assert_eq!(status(tus(&server, Method::DELETE, &path)).await, 204);
    assert_eq!(status(tus(&server, Method::HEAD, &path)).await, 404);
    let anonymous = reqwest::Client::new().head(format!("{}{path}", server.base())).send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_of_the_protocol_interrupt_and_resume_an_upload() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let clip = media::short_street(dir.path(), 60);
    // Node.js searches for libraries from the program's folder upwards.
    let programs = dir.path().join("programs");
    fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(tools.join("node_modules"), programs.join("node_modules")).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    for (interpreter, program) in [(tools.join("venv/bin/python"), "tus.py"), ("node".into(), "tus.mjs")] {
        fs::copy(sources.join(program), programs.join(program)).unwrap();
        let video = server.create(json!({})).await;
        let mut command = Command::new(interpreter);
        let url = format!("{}/videos/{video}/uploads/", server.base());
        command.arg(programs.join(program)).args([&url, server.token()]).arg(&clip);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(server.bytes(&format!("/videos/{video}/source_file/")).await, fs::read(&clip).unwrap(), "{program}");
    }
}
