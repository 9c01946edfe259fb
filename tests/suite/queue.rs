//! Covers: the queue under load and faults. Hundreds of requests during a delivery in flight and
//! with sources that never respond; a damaged record in the queue; concurrent process, stop and
//! delete; a full disk at the end of a job. Every request gets a response, and SIGTERM ends the
//! server.

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    media,
    server::{Options, Server, TIMEOUT, small, until},
};

/// Timeout of a request that waits for a silent source, at the least.
const SOURCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time of a short operation on a machine that is busy with other tests. Less than
/// [`SOURCE_TIMEOUT`].
const SOON: Duration = Duration::from_secs(20);

/// Accepts connections and never responds.
struct Silent(TcpListener);

impl Silent {
    fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}/never.mp4", self.0.local_addr().unwrap())
    }
}

/// Sends a request to each path over several HTTP/2 connections; the statuses of the responses.
async fn ask_all(server: &Server, connections: usize, method: Method, paths: &[String]) -> Vec<StatusCode> {
    let clients: Vec<_> =
        (0..connections).map(|_| reqwest::Client::builder().http2_prior_knowledge().build().unwrap()).collect();
    let asked = paths
        .iter()
        .zip(clients.iter().cycle())
        .map(|(path, client)| server.request_by(client, method.clone(), path).send());
    let answers = tokio::time::timeout(TIMEOUT, join_all(asked)).await.expect("some requests got no response");
    answers.into_iter().map(|answer| answer.unwrap().status()).collect()
}

/// Starts a job that runs until it is stopped; the video's id.
async fn endless(server: &Server, dir: &Path) -> u64 {
    let file = media::pattern(dir, "320x240", 20);
    let id = server.process_file(json!({"stream_settings": {"play_speed": 0.02}}), &file).await;
    server.under_way(id, 1).await;
    id
}

fn cars() -> Value {
    json!({"detectors": {"face": null, "car": small()}})
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_during_a_delivery_in_flight_get_responses() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--jobs", "1").start();
    let router = Silent::start();
    let mut settings = cars();
    settings["router_timeout_ms"] = json!(300_000);
    let posting = server
        .process_file(
            json!({"stream_settings": settings, "router_url": router.url()}),
            &media::short_street(dir.path(), 50),
        )
        .await;
    server.finished(posting).await;
    until("a delivery is in flight", async || server.get("/health/").await["deliveries"]["in_flight"] != 0).await;

    endless(&server, dir.path()).await;
    // More than the 512 blocking threads of the runtime.
    let mut ids = Vec::new();
    for _ in 0..700 {
        ids.push(server.create(json!({"url": "http://127.0.0.1:1/none.mp4"})).await);
    }
    ids.insert(100, posting);
    let paths: Vec<_> = ids.iter().map(|id| format!("/videos/{id}/process/")).collect();
    let answers = ask_all(&server, 12, Method::POST, &paths).await;
    assert!(answers.iter().all(|status| *status == StatusCode::OK), "{answers:?}");
    let waiting = server.video(posting).await;
    assert_eq!(waiting["health_status"]["status"], "AWAITING", "{waiting:#}");
    server.get("/videos/?limit=1").await;
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_sources_do_not_block_other_requests() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let source = Silent::start();
    let silent = format!("/videos/{}/screenshot/", server.create(json!({"url": source.url()})).await);
    let sound = server.create(json!({})).await;
    server.upload(sound, &media::pattern(dir.path(), "320x240", 1)).await;
    let sound = format!("/videos/{sound}/screenshot/");

    let clients = [(); 4].map(|()| reqwest::Client::builder().http2_prior_knowledge().build().unwrap());
    let mut asked = JoinSet::new();
    for client in clients.iter().cycle().take(200) {
        asked.spawn(server.request_by(client, Method::POST, &silent).send());
    }
    // Some run, some wait, and all others get a 503.
    let refused = tokio::time::timeout(TIMEOUT, asked.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["desc"], "The server has too many requests of this kind: try again later.");
    let begun = Instant::now();
    server.get("/videos/").await;
    assert!(begun.elapsed() < SOON, "a list waited for screenshots");

    // Requests of clients that disconnect are cancelled.
    let begun = Instant::now();
    drop(asked);
    until("a screenshot succeeds", async || server.status(Method::GET, &sound).await == StatusCode::OK).await;
    assert!(begun.elapsed() < SOURCE_TIMEOUT, "the screenshots of disconnected clients were not cancelled");

    // SIGTERM while screenshots, a job and a stop wait for the source.
    let waiting: Vec<_> = (0..8).map(|_| tokio::spawn(server.request(Method::POST, &silent).send())).collect();
    let job = server.create(json!({"url": source.url()})).await;
    server.process(job).await;
    server.wait(job, "starting", |v| v["health_status"]["status"] == "STARTING").await;
    let stop = tokio::spawn(server.request(Method::POST, &format!("/videos/{job}/stop/")).send());
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < SOON, "SIGTERM waited for a silent source");
    join_all(waiting).await;
    let _ = stop.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_does_not_block_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--jobs", "1").start();
    let record = |id: u64| data.join(format!("archive/000/{id}/video.json"));
    let file = media::pattern(dir.path(), "320x240", 1);
    let (damaged, behind) = (server.create(json!({})).await, server.create(json!({})).await);
    let busy = endless(&server, dir.path()).await;
    for id in [damaged, behind] {
        server.upload(id, &file).await;
        server.process(id).await;
    }
    std::fs::write(record(damaged), b"{\"id\": ").unwrap();
    server.post(&format!("/videos/{busy}/stop/")).await;
    assert_eq!(server.finished(behind).await["health_status"]["status"], "COMPLETED");
    server.post(&format!("/videos/{damaged}/stop/")).await;
    assert_eq!(server.status(Method::DELETE, &format!("/videos/{damaged}/")).await, StatusCode::NO_CONTENT);

    // The record of a video whose job was running.
    server.process(busy).await;
    server.under_way(busy, 1).await;
    assert!(server.terminate().success());
    std::fs::write(record(busy), b"").unwrap();
    let server = Options::new(&data).argument("--jobs", "1").start();
    server.process(behind).await;
    assert_eq!(server.finished(behind).await["health_status"]["status"], "COMPLETED");
    assert_eq!(server.status(Method::DELETE, &format!("/videos/{busy}/")).await, StatusCode::NO_CONTENT);
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_job_uses_the_settings_of_the_time_it_was_started() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Options::new(&data).argument("--jobs", "1").start();
    let busy = endless(&server, dir.path()).await;
    let id = server.process_file(json!({"stream_settings": cars()}), &media::short_street(dir.path(), 50)).await;
    let nothing = json!({"stream_settings": {"detectors": {"car": {"filter_min_size": 8000}}}});
    server.patch(id, &nothing).await;
    server.post(&format!("/videos/{busy}/stop/")).await;
    let video = server.finished(id).await;
    assert!(video["car_count"].as_u64() > Some(0), "{video:#}");
    // The next job uses the changed settings.
    server.process(id).await;
    assert_eq!(server.finished(id).await["car_count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_process_stop_and_delete_are_serialised() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let file = media::pattern(dir.path(), "320x240", 2);
    for round in 0..4 {
        let id = server.create(json!({})).await;
        server.upload(id, &file).await;
        let begin_and_end = ["process", "stop"].repeat(20).into_iter().map(|what| format!("/videos/{id}/{what}/"));
        let answers = ask_all(&server, 2, Method::POST, &begin_and_end.collect::<Vec<_>>()).await;
        assert!(answers.iter().all(|status| *status == StatusCode::OK), "round {round}: {answers:?}");
        // The last of the concurrent requests may have been either.
        server.post(&format!("/videos/{id}/stop/")).await;
        let stopped = server.video(id).await;
        assert_eq!(stopped["health_status"]["enabled"], false, "round {round}: {stopped:#}");

        let path = format!("/videos/{id}/");
        let (deletions, jobs) = (vec![path.clone(); 3], vec![format!("{path}process/"); 10]);
        let (deleted, processed) =
            tokio::join!(ask_all(&server, 1, Method::DELETE, &deletions), ask_all(&server, 1, Method::POST, &jobs));
        assert_eq!(
            deleted.iter().filter(|status| **status == StatusCode::NO_CONTENT).count(),
            1,
            "round {round}: {deleted:?}"
        );
        let expected = [StatusCode::OK, StatusCode::NOT_FOUND];
        assert!(processed.iter().all(|status| expected.contains(status)), "round {round}: {processed:?}");
        assert_eq!(server.status(Method::GET, &path).await, StatusCode::NOT_FOUND, "round {round}");
    }
    assert!(server.terminate().success());
}

/// A tmpfs that can be filled. Unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    const BYTES: u64 = 256 << 20;

    /// `None` if this user may not mount one.
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let size = format!("size={}", Self::BYTES);
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_path_buf()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills it to the last block.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let piece = vec![1; 1 << 20];
        while file.write_all(&piece).is_ok() {}
        while file.write_all(&[1; 512]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_job_on_a_full_disk_is_stored_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else {
        eprintln!("skipped: only root may mount a file system to fill");
        return;
    };
    let data = disk.0.join("data");
    let server = Server::start(&data);
    let id = server
        .process_file(
            json!({"stream_settings": {"detectors": {"face": null, "body": {}, "car": {}}}}),
            &media::short_street(dir.path(), 600),
        )
        .await;
    server.under_way(id, 5).await;
    disk.fill();
    let ended = server.finished(id).await;
    assert_eq!(ended["health_status"]["status"], "INTERRUPTED", "{ended:#}");
    assert_eq!(ended["error"], "The server's disk is full.");
    let stored =
        || -> Value { serde_json::from_slice(&std::fs::read(data.join("archive/000/1/video.json")).unwrap()).unwrap() };
    assert_eq!(stored()["status"], "STARTING", "the disk was not full");
    let listed = server.get("/videos/").await;
    assert_eq!(listed["results"][0]["health_status"]["status"], "INTERRUPTED", "{listed:#}");

    // Requests act on the status in memory, not on that of the file.
    server.post(&format!("/videos/{id}/stop/")).await;
    let process = server.status(Method::POST, &format!("/videos/{id}/process/")).await;
    assert_eq!(process, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.video(id).await["health_status"]["status"], "INTERRUPTED");

    disk.free();
    until("the status is stored", async || stored()["status"] == "INTERRUPTED").await;
    assert!(
        stored()["counts"].is_object() && stored()["statistic"]["frames_processed"].as_u64() >= Some(5),
        "{:#}",
        stored()
    );
    server.upload(id, &media::pattern(dir.path(), "320x240", 1)).await;
    server.process(id).await;
    let again = server.finished(id).await;
    assert_eq!(again["health_status"]["status"], "COMPLETED", "{again:#}");
    assert!(server.terminate().success());
}
