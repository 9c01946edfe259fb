//! Covers: messages of the program about missing or conflicting things: ports, folders, closed
//! pipes, a stop that waits.

use std::{
    io::Read,
    process::{Command, Stdio},
};

use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    media,
    server::{Options, Server, program, run, until},
};

#[tokio::test]
async fn a_port_in_use_and_a_missing_archive_are_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("first"));
    let port = server.address().port().to_string();
    let second = dir.path().join("second");
    let output = Options::new(&second).argument("--listen", &format!("127.0.0.1:{port}")).command().output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("another program uses this port"), "{error}");

    let none = dir.path().join("none");
    let (status, _, error) = run(&["check", "--data", none.to_str().unwrap()]);
    assert!(!status.success());
    assert_eq!(error, format!("ocellus: {} is no folder\n", none.display()));
    let (_, _, error) = run(&["check", "--data", dir.path().to_str().unwrap()]);
    assert!(error.contains("is no data folder") && !error.contains("lock"), "{error}");
}

#[tokio::test]
async fn the_servers_own_address_is_named_in_the_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let refused = server.create_refused(json!({"url": format!("{}/a.mp4", server.base())})).await;
    assert!(refused["desc"].as_str().unwrap().contains("is this server itself"), "{refused}");
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let plugin = media::assets().join("plugins/quality.wasm");
    let mut inspect = Command::new(program())
        .args(["plugin", "inspect", plugin.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(inspect.stdout.take());
    let mut error = String::new();
    inspect.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(inspect.wait().unwrap().success() && error.is_empty(), "{error}");
}

#[tokio::test]
async fn replay_takes_the_settings_of_a_video_as_the_api_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let only_cars = json!({"detectors": {"face": null, "body": null, "car": {}}});
    let fields = json!({"stream_settings": only_cars});
    let id = server.process_file(fields, &media::short_street(dir.path(), 20)).await;
    let video = server.finished(id).await;
    let file = dir.path().join("video.json");
    std::fs::write(&file, video.to_string()).unwrap();
    let arguments = ["replay", &id.to_string(), "--data", data.to_str().unwrap(), "--settings", file.to_str().unwrap()];
    let plugins = media::assets().join("plugins");
    let (status, out, error) = run(&[&arguments[..], &["--plugins", plugins.to_str().unwrap()]].concat());
    assert!(status.success() && out.contains("the same, 0 changed"), "{out}{error}");
}

#[tokio::test]
async fn a_stop_that_waits_for_an_upload_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let server = Options::new(&dir.path().join("data")).log(&log).start();
    let id = server.create(json!({})).await;
    let mut upload = TcpStream::connect(server.address()).await.unwrap();
    let head = format!(
        "PUT /videos/{id}/upload/source_file/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token {}\r\nContent-Length: 9\r\n\r\n",
        server.token()
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let folder = dir.path().join("data/archive/000").join(id.to_string());
    let begun =
        || std::fs::read_dir(&folder).unwrap().any(|e| e.unwrap().file_name().to_string_lossy().contains("part"));
    until("the upload has begun", async || begun()).await;
    let stopped = tokio::task::spawn_blocking(|| server.terminate());
    let said = || std::fs::read_to_string(&log).unwrap().contains("waiting for requests on 1 connections");
    until("the log says what is waited for", async || said()).await;
    upload.write_all(b"the bytes").await.unwrap();
    assert!(stopped.await.unwrap().success());
}
