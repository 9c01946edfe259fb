//! Covers: `GET /metrics` of a server that processed a video, on its own address and with the API,
//! in the text format as promtool reads it; the Grafana board, which uses these metrics only.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Write},
    net::TcpListener,
    process::{Command, Stdio},
};

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::{
    clients::must_run,
    media,
    receiver::Receiver,
    server::{Options, Server, small, until},
};

/// The samples by name and labels.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.into(), value.parse().unwrap()))
        .collect()
}

async fn scrape(server: &Server) -> String {
    String::from_utf8(server.bytes("/metrics").await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_in_the_metrics() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receiver = Receiver::start(StatusCode::ACCEPTED).await;
    let settings = json!({"detectors": {"car": small(), "face": null, "body": null}});
    let fields = json!({"stream_settings": settings, "router_url": receiver.url});
    let id = server.process_file(fields, &media::short_street(dir.path(), 60)).await;
    let video = server.delivered(id).await;
    let cars = video["car_count"].as_f64().unwrap();
    assert!(cars >= 1.0);
    // These are counted after the records say that the job and the deliveries have ended.
    let counted_last = [
        ("ocellus_running_jobs", 0.0),
        ("ocellus_jobs_ended_total{status=\"COMPLETED\"}", 1.0),
        ("ocellus_delivery_attempts_total{result=\"posted\"}", cars),
    ];
    until("the job and its deliveries are counted", async || {
        let samples = samples(&scrape(&server).await);
        counted_last.iter().all(|(name, expected)| samples.get(*name) == Some(expected))
    })
    .await;
    let text = scrape(&server).await;
    let samples = samples(&text);
    for (name, expected) in [
        ("ocellus_videos", 1.0),
        ("ocellus_queued_videos", 0.0),
        ("ocellus_frames_total{kind=\"processed\"}", 60.0),
        ("ocellus_objects_total{type=\"car\"}", cars),
        ("ocellus_decoder_crashes_total", 0.0),
        ("ocellus_http_requests_total{method=\"POST\",route=\"/videos/\",status=\"201\"}", 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&expected), "{name} in\n{text}");
    }
    for name in [
        "ocellus_stage_cpu_seconds_total{stage=\"detect\"}",
        "ocellus_plugin_calls_total{kind=\"tracker\",plugin=\"simple_iou\"}",
        "ocellus_disk_free_bytes",
        "ocellus_http_request_duration_seconds_count{method=\"POST\",route=\"/videos/\"}",
    ] {
        assert!(samples.get(name).is_some_and(|value| *value > 0.0), "{name} in\n{text}");
    }
    promtool(&text);
    assert_board_uses_only(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_address_needs_no_token_and_serves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let server = Options::new(dir.path()).argument("--metrics-listen", &free).start();
    let get = async |path: &str| reqwest::get(format!("http://{free}{path}")).await.unwrap();
    let response = get("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    assert!(response.text().await.unwrap().contains("ocellus_build_info{"));
    assert_eq!(get("/videos/").await.status(), 404);
    let unauthorized = reqwest::get(format!("{}/metrics", server.base())).await.unwrap();
    assert_eq!(unauthorized.status(), 401);
}

/// Checks the text by promtool, where it is installed: by the system, or by
/// `tests/clients/setup.sh`.
fn promtool(text: &str) {
    let unpacked = media::target().join("clients/prometheus/usr/bin/promtool");
    let program = if unpacked.exists() { unpacked } else { "promtool".into() };
    let started = Command::new(program).args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut promtool = match started {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_run() => {
            let mut stdout = std::io::stdout();
            return writeln!(stdout, "promtool is not installed (package prometheus): its check is skipped").unwrap();
        }
        Err(error) => panic!("{error}"),
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Asserts that every metric on the Grafana board is in the text.
fn assert_board_uses_only(text: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/grafana/ocellus.json");
    let board: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut asked = BTreeSet::new();
    for target in board["panels"].as_array().unwrap().iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        let expression = target["expr"].as_str().unwrap();
        let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        asked.extend(words.filter(|word| word.starts_with("ocellus_")));
    }
    assert!(asked.len() > 10);
    for name in asked {
        assert!(text.contains(&format!("\n{name}")) || text.starts_with(name), "{name} is not in the metrics");
    }
}
