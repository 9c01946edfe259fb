//! Covers: the `ocellus` process: first start, arguments, configuration file, lock of the data
//! folder.

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    process::{Command, Stdio},
};

use reqwest::{Method, StatusCode};

use crate::server::{Options, Server, program, run};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_creates_a_token_and_the_second_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let path = dir.path().join("admin.token");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&path).unwrap();
    assert!(server.terminate().success());
    let server = Server::start(dir.path());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
    assert_eq!(server.status(Method::GET, "/videos/").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_token_and_names_the_devices() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let url = server.request(Method::GET, "/health/").build().unwrap().url().clone();
    let health: serde_json::Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert!(health["detectors"]["device"].as_str().unwrap().starts_with("cpu"), "{health:#}");
    assert_eq!(health["decoding"], serde_json::json!({"choice": "software", "devices": []}), "{health:#}");
    assert_eq!(health["isolation"]["process"], cfg!(target_os = "linux"), "{health:#}");
}

#[test]
fn help_explains_every_option() {
    let (status, out, _) = run(&["serve", "--help"]);
    assert!(status.success());
    for option in [
        "--data",
        "--listen",
        "--device",
        "--decoding",
        "--isolation",
        "--jobs",
        "--plugins",
        "--detectors",
        "OCELLUS_JOBS",
    ] {
        assert!(out.contains(option), "{option} is missing in\n{out}");
    }
}

#[test]
fn wrong_arguments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let (status, _, err) = run(&["serve", "--data", data, "--device", "abacus"]);
    assert!(!status.success() && err.contains("abacus"), "{err}");
    let (status, _, err) = run(&["serve", "--data", data, "--decoding", "abacus"]);
    assert!(!status.success() && err.contains("abacus") && err.contains("vaapi"), "{err}");
    let (status, _, err) = run(&["serve", "--data", data, "--plugins", "/no/such/folder"]);
    assert!(!status.success() && err.contains("/no/such/folder"), "{err}");
    std::fs::write(dir.path().join("ocellus.toml"), "jobs = \"many\"\n").unwrap();
    let (status, _, err) = run(&["serve", "--data", data]);
    assert!(!status.success() && err.contains("ocellus.toml"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Server::start(dir.path());
    let second = Options::new(dir.path()).command().output().unwrap();
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr);
    assert!(error.contains("another") || error.contains("in use"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_an_empty_folder_makes_its_data_folder_there() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    let mut command = Command::new(program());
    // Plugins and networks are found beside the program.
    command.arg("serve").env("OCELLUS_LISTEN", "127.0.0.1:0").env("OCELLUS_DEVICE", "cpu").env("OCELLUS_LOG", "warn");
    command.env("NOTIFY_SOCKET", dir.path().join("notify")).current_dir(dir.path()).stdout(Stdio::piped());
    let mut server = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut message = [0; 64];
    let read = socket.recv(&mut message).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(line.starts_with("listening on http://127.0.0.1:"), "{line}");
    assert!(dir.path().join("ocellus-data/admin.token").is_file());
    assert_eq!(&message[..read], b"READY=1");
}
