//! Covers: the commands that are clients of a server (`add`, `jobs`, `show`), completions, manual
//! pages, `--version`.

use serde_json::{Value, json};

use crate::{
    media,
    server::{Server, run},
};

/// Runs a command against a server; standard output, or standard error where it failed.
fn ask(server: &Server, arguments: &[&str]) -> Result<String, String> {
    let (status, out, error) = run(&[arguments, &["--server", server.base(), "--token", server.token()]].concat());
    if status.success() { Ok(out) } else { Err(error) }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_added_listed_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let (clip, settings) = (media::short_street(dir.path(), 30), dir.path().join("settings.json"));
    std::fs::write(&settings, json!({"detectors": {"face": null, "body": null, "car": {}}}).to_string()).unwrap();
    let (clip, settings) = (clip.to_str().unwrap(), settings.to_str().unwrap());
    let said = ask(&server, &["add", clip, clip, "--settings", settings, "--wait"]).unwrap();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [format!("1 {clip}"), format!("2 {clip}"), "1 COMPLETED".into(), "2 COMPLETED".into()]
    );
    let video = server.video(1).await;
    assert_eq!(video["name"], "street-30.mp4");
    assert_eq!(video["stream_settings"]["detectors"]["face"], Value::Null);

    assert!(!ask(&server, &["jobs"]).unwrap().contains("street-30.mp4"));
    let all = ask(&server, &["jobs", "--all"]).unwrap();
    assert!(all.contains("COMPLETED") && all.contains("street-30.mp4"), "{all}");
    let shown = ask(&server, &["show", "2"]).unwrap();
    let has = |words: [&str; 2]| shown.lines().any(|line| line.split_whitespace().eq(words));
    assert!(has(["status", "COMPLETED"]) && has(["frames", "30"]), "{shown}");
    let json: Value = serde_json::from_str(&ask(&server, &["show", "2", "--json"]).unwrap()).unwrap();
    assert_eq!(json, server.video(2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_reported_and_leave_no_video() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let none = dir.path().join("none.mp4");
    let error = ask(&server, &["add", none.to_str().unwrap()]).unwrap_err();
    assert!(error.contains("none.mp4"), "{error}");
    let file = dir.path().join("a.mp4");
    std::fs::write(&file, "bytes").unwrap();
    let error = ask(&server, &["add", file.to_str().unwrap(), "--camera-group", "99"]).unwrap_err();
    assert!(error.contains("camera_group") && error.contains("--camera-groups"), "{error}");
    let error = ask(&server, &["show", "1"]).unwrap_err();
    assert!(error.contains("No VideoArchive"), "{error}");
    assert_eq!(server.get("/videos/count/").await["count"], 0);
    let (status, _, error) = run(&["jobs", "--server", server.base(), "--token", "not-a-token-of-this"]);
    assert!(!status.success() && error.contains("does not take this token"), "{error}");
    let (status, _, error) = run(&["jobs", "--server", "http://127.0.0.1:9", "--token", "not-a-token-of-this"]);
    assert!(!status.success() && error.contains("cannot reach the server"), "{error}");
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let (status, script, _) = run(&["completions", "bash"]);
    assert!(status.success() && script.contains("_ocellus") && script.contains("backup"));
    let dir = tempfile::tempdir().unwrap();
    assert!(run(&["man", dir.path().to_str().unwrap()]).0.success());
    for page in ["ocellus.1", "ocellus-serve.1", "ocellus-token-add.1", "ocellus-plugin-test.1"] {
        let text = std::fs::read_to_string(dir.path().join(page)).unwrap();
        assert!(text.contains(".TH"), "{page}");
    }
    assert!(!dir.path().join("ocellus-decode.1").exists(), "a hidden command");
    assert!(run(&["man"]).1.contains("ocellus"));
}

#[test]
fn the_version_names_the_commit() {
    let said = run(&["--version"]).1;
    let inner = said.trim().strip_prefix(concat!("ocellus ", env!("CARGO_PKG_VERSION"))).unwrap();
    let commit = inner.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).expect(&said);
    assert!(commit.len() >= 7 && commit.bytes().all(|b| b.is_ascii_hexdigit()), "{said}");
}
