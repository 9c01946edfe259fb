//! Covers: a log that cannot be written: on a full disk, into a closed pipe, into a pipe that
//! nobody reads. Lines are dropped, every request gets a response, and the server ends with
//! success.

use std::{fs::File, io::Read, path::Path, process::Stdio};

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::server::{Options, Server};

fn start(data: &Path, stderr: impl Into<Stdio>) -> Server {
    Options::new(data).argument("--log", "info").start_with_stderr(stderr.into())
}

/// Sends three kinds of requests `rounds` times; each logs at least one line.
async fn assert_answers(server: &Server, rounds: usize) {
    for _ in 0..rounds {
        let status = async |method, path: &str| server.request(method, path).send().await.unwrap().status();
        assert_eq!(status(Method::GET, "/videos/").await, StatusCode::OK);
        assert_eq!(status(Method::GET, "/videos/999/").await, StatusCode::NOT_FOUND);
        assert_eq!(status(Method::DELETE, "/videos/").await, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_responses_when_the_log_is_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(&dir.path().join("data"), File::options().write(true).open("/dev/full").unwrap());
    assert_answers(&server, 38).await;
    // Jobs log from their own threads, here an error.
    for _ in 0..3 {
        let id = server.create(json!({"url": "http://127.0.0.1:1/none.mp4"})).await;
        server.process(id).await;
        server.finished(id).await;
    }
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_responses_when_the_log_is_a_closed_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let (read, write) = std::io::pipe().unwrap();
    let server = start(&dir.path().join("data"), write);
    drop(read);
    assert_answers(&server, 38).await;
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_get_responses_when_nobody_reads_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (mut read, write) = std::io::pipe().unwrap();
    let server = start(&dir.path().join("data"), write);
    // Several times the capacity of a pipe.
    assert_answers(&server, 1000).await;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        text
    });
    assert!(server.terminate().success());
    let lines = reading.join().unwrap().lines().filter(|line| line.contains("GET /videos/ 200")).count();
    assert_eq!(lines, 1000, "a line is lost although the queue had space");
}
