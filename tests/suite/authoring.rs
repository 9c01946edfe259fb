//! Covers: the `ocellus plugin` commands, from a new crate to a running job: new, build, inspect,
//! test with and without a golden file, bench; installing the plugins.

use std::{path::Path, process::Command};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    plugins::copy_plugins,
    server::{Options, program, run},
};

/// Runs `ocellus plugin …` in a folder: exit code, standard output, standard error. All calls share
/// one target folder, so that dependencies are compiled once.
pub(crate) fn plugin(dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(program());
    command
        .current_dir(dir)
        .arg("plugin")
        .args(arguments)
        .env("CARGO_TARGET_DIR", media::target().join("wasm/authoring"));
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn inspect(dir: &Path, file: &str) -> Value {
    let (code, said, error) = plugin(dir, &["inspect", file]);
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&said).unwrap()
}

#[test]
fn a_router_is_tested_with_objects_and_responses() {
    let http = media::assets().join("plugins/http.wasm");
    let (status, said, error) = run(&["plugin", "test", http.to_str().unwrap(), "--repeat", "2"]);
    assert!(status.success(), "{error}");
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let encoded: Vec<&Value> = lines.iter().filter(|l| l["encode"].is_string()).collect();
    assert!(encoded.len() > 10 && encoded.iter().all(|l| l["request"]["method"] == "POST"), "{said}");
    assert!(encoded[0]["request"]["body"].to_string().contains("photo"), "{said}");
    let outcome = |status: u64| lines.iter().find(|l| l["judge"] == status).map(|l| l["outcome"].clone()).unwrap();
    assert_eq!((outcome(200), outcome(429)), (json!("accepted"), json!({"retry_after_ms": 7000})));

    let (status, said, _) = run(&["plugin", "bench", http.to_str().unwrap(), "--seconds", "0.1"]);
    assert!(
        status.success() && said.contains("http 0.2.0 (") && said.contains(" us") && said.contains("a frame"),
        "{said}"
    );
}

#[test]
fn plugin_test_prints_what_the_plugin_logs() {
    let chatter = media::assets().join("guests/hostile-tracker.wasm");
    let (_, _, error) = run(&["plugin", "test", chatter.to_str().unwrap(), "--settings", r#"{"misdeed": "chatter"}"#]);
    assert!(
        error.contains(r"hostile_tracker: line 0\nof many") && error.contains("writes more lines than it may"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_is_built_tested_and_installed_into_a_running_job() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["filter", "tracker", "router"] {
        let name = format!("my-{kind}");
        let (code, said, error) = plugin(dir.path(), &["new", kind, &name]);
        assert_eq!(code, Some(0), "{error}");
        assert!(said.contains("ocellus plugin build"), "{said}");
        let home = dir.path().join(&name);
        let tested = Command::new("cargo")
            .args(["test", "--quiet"])
            .current_dir(&home)
            .env("CARGO_TARGET_DIR", media::target().join("wasm/authoring"))
            .output()
            .unwrap();
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let (code, _, error) = plugin(&home, &["build"]);
        assert_eq!(code, Some(0), "{error}");
        let shown = inspect(&home, &format!("{name}.wasm"));
        assert_eq!((&shown["name"], &shown["kind"], &shown["state"]), (&json!(name), &json!(kind), &json!("ready")));
    }
    let home = dir.path().join("my-filter");
    let (code, said, _) = plugin(dir.path(), &["new", "filter", "my-filter"]);
    assert_eq!((code, said.as_str()), (Some(1), ""), "an existing folder is not overwritten");
    let (code, _, error) = plugin(dir.path(), &["new", "filter", "My_Filter"]);
    assert!(code == Some(1) && error.contains("My_Filter") && !dir.path().join("My_Filter").exists(), "{error}");

    let test = |more: &[&str]| plugin(&home, &[&["test", "my-filter.wasm"], more].concat());
    let (code, said, error) = test(&[]);
    assert_eq!(code, Some(0), "{error}");
    assert!(said.lines().count() > 10 && said.contains("max_ratio"), "{said}");
    let digest = inspect(&home, "my-filter.wasm")["digest"].as_str().unwrap().to_owned();
    assert!(error.contains(&digest) && error.contains(" us"), "the digest of the build, and its times: {error}");
    assert_eq!(test(&["--golden", "golden.jsonl", "--bless"]).0, Some(0));
    assert_eq!(test(&["--golden", "golden.jsonl", "--repeat", "3"]).0, Some(0));
    let (code, said, _) = test(&["--golden", "golden.jsonl", "--settings", r#"{"max_ratio": 100}"#]);
    assert_eq!(code, Some(1));
    assert!(said.contains("golden.jsonl:") && said.contains("\n+ "), "{said}");
    let (code, _, error) = test(&["--settings", r#"{"max_ratio": "wide"}"#]);
    assert!(code == Some(1) && error.contains("max_ratio"), "{error}");

    let (data, installed) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&installed);
    let server = Options::new(&data).plugins(&installed).start();
    for name in ["my-filter", "my-tracker"] {
        let bytes = std::fs::read(dir.path().join(name).join(format!("{name}.wasm"))).unwrap();
        assert_eq!(server.install(name, bytes).await.0, StatusCode::OK);
    }
    let car = json!({"filter_min_size": 15, "filter_min_quality": 0.1, "tracker_type": "my-tracker"});
    let settings = json!({
        "detectors": {"face": null, "car": car}, "stream_data_filter": "my-filter", "plugins": {"my-filter": {"max_ratio": 1.2}},
    });
    let id = server.process_file(json!({"stream_settings": settings}), &media::short_street(dir.path(), 60)).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    let used = &video["health_status"]["statistic"]["plugins"];
    assert_eq!(used["my-tracker"]["calls"], 62, "60 frames, and the calls that open and finish the session: {used:#}");
    assert!(used["my-filter"]["rejected"].as_u64() > Some(0), "{used:#}");
    for name in ["my-filter", "my-tracker"] {
        assert_eq!(server.status(Method::DELETE, &format!("/plugins/{name}/")).await, StatusCode::NO_CONTENT);
    }
}
