//! Covers: deliveries. Every object reaches its router exactly once and in order within its track,
//! also if the router is down, fails or is killed, or the server is; routers that do not respond
//! delay neither jobs nor other routers; the log reports a router's failure and its return once
//! each, and meanwhile statistics, lists and times agree; failed deliveries can be retried.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    media,
    receiver::Receiver,
    server::{Options, Server, ids, until},
};

/// The example receiver, as a process that can be killed.
struct ReceiverProcess {
    process: Child,
    address: String,
    dir: PathBuf,
}

impl ReceiverProcess {
    fn start(listen: &str, dir: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(media::target().join("release/ocellus-receiver"));
        command.args(["--quiet", "--listen", listen, "--dir"]).arg(dir).args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { process, address, dir: dir.to_path_buf() }
    }

    fn url(&self) -> String {
        format!("http://{}/frame", self.address)
    }

    /// Keys of the stored posts, in the order of their arrival.
    fn keys(&self) -> Vec<String> {
        let lines = std::fs::read_to_string(self.dir.join("posts.jsonl")).unwrap_or_default();
        let key = |line: &str| serde_json::from_str::<Value>(line).ok()?["key"].as_str().map(str::to_owned);
        lines.lines().filter_map(key).collect()
    }
}

impl Drop for ReceiverProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Settings that give many objects, several of each track.
fn settings() -> Value {
    let cars = json!({
        "filter_min_size": 15, "filter_min_quality": 0.1,
        "overall_only": false, "realtime_post_interval": 0.1, "realtime_post_every_interval": true, "realtime_post_first_immediately": true,
    });
    json!({"detectors": {"face": null, "body": null, "car": cars}})
}

fn sorted(mut keys: Vec<String>) -> Vec<String> {
    keys.sort();
    keys
}

/// Shots of each track, in the order of their arrival.
fn by_track(keys: &[String]) -> BTreeMap<&str, Vec<u32>> {
    let mut tracks = BTreeMap::<_, Vec<u32>>::new();
    for key in keys {
        let (track, shot) = key.rsplit_once('-').unwrap();
        tracks.entry(track).or_default().push(shot.parse().unwrap());
    }
    tracks
}

/// Asserts that each track's realtime shots, from 1, arrived in order, and its overall shot, 0,
/// last.
fn assert_in_order(keys: &[String]) {
    for (track, shots) in by_track(keys) {
        let mut expected = shots.clone();
        expected.sort_by_key(|shot| if *shot == 0 { u32::MAX } else { *shot });
        assert_eq!(shots, expected, "track {track}");
    }
}

/// Counts of the statistic over all types: posted, failed, not posted.
fn sums(video: &Value) -> [u64; 3] {
    let counts = video["health_status"]["statistic"]["objects"].as_object().unwrap();
    ["posted", "failed", "not_posted"].map(|key| counts.values().map(|c| c[key].as_u64().unwrap()).sum())
}

async fn begin(server: &Server, clip: &Path, router_url: &str) -> u64 {
    server.process_file(json!({"stream_settings": settings(), "router_url": router_url}), clip).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_fails_in_many_ways_gets_each_object_once_and_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let kept = dir.path().join("kept");
    let receiver = ReceiverProcess::start("127.0.0.1:0", &kept, &["--down-for", "2", "--fail-every", "3"]);
    let (address, url) = (receiver.address.clone(), receiver.url());
    let id = begin(&server, &media::short_street(dir.path(), 75), &url).await;

    until("a few objects have arrived", async || receiver.keys().len() >= 5).await;
    drop(receiver);
    server.finished(id).await;
    let objects = server.objects(id).await;
    assert!(objects.len() > 12, "{} objects", objects.len());
    let video = server.video(id).await;
    assert_eq!(sums(&video).iter().sum::<u64>(), objects.len() as u64, "the counts do not add up: {video:#}");
    assert!(!server.deliveries(id, "pending,retrying").await.is_empty(), "nothing is left to deliver");

    let receiver = ReceiverProcess::start(&address, &kept, &["--fail-every", "3"]);
    let video = server.delivered(id).await;
    assert_eq!(sums(&video), [objects.len() as u64, 0, 0]);
    assert_eq!(video["health_status"]["code"], "green");
    let keys = receiver.keys();
    assert_in_order(&keys);
    assert_eq!(sorted(keys), sorted(ids(&objects)));
    let deliveries = server.deliveries(id, "").await;
    assert!(deliveries.iter().any(|d| d["attempts"].as_u64() > Some(1)));
    assert!(
        deliveries.iter().all(|d| d["state"] == "posted" && d["last_status"] == 202 && d["next_try"].is_null()),
        "{deliveries:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_does_not_respond_delays_no_job_and_a_killed_server_delivers_later() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let kept = dir.path().join("kept");
    // Accepts connections and never responds; reserves the port for the receiver.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let server = Server::start(&data);
    let clip = media::short_street(dir.path(), 75);
    let id = begin(&server, &clip, &format!("http://{address}/frame")).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED");
    let objects = server.objects(id).await;
    assert_eq!(sums(&video).iter().sum::<u64>(), objects.len() as u64);
    assert_eq!(sums(&video)[0], 0);

    // Deliveries to a router that responds are not delayed.
    let other = Receiver::start(StatusCode::OK).await;
    let fine = begin(&server, &clip, &other.url).await;
    let video = server.delivered(fine).await;
    assert_eq!(sums(&video), [objects.len() as u64, 0, 0]);
    assert_eq!(server.deliveries(id, "posted").await.len(), 0);

    server.kill();
    drop(silent);
    let receiver = ReceiverProcess::start(&address, &kept, &[]);
    let server = Server::start(&data);
    let video = server.delivered(id).await;
    assert_eq!(sums(&video), [objects.len() as u64, 0, 0]);
    let keys = receiver.keys();
    assert_in_order(&keys);
    assert_eq!(sorted(keys), sorted(ids(&objects)));
    assert_eq!(other.posts().len(), objects.len(), "a delivered object is posted again");
}

/// URL of a router that reads posts and never responds, until the test's runtime ends.
async fn silent_router() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/frame", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move { tokio::io::copy(&mut connection, &mut tokio::io::sink()).await });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn routers_that_never_respond_do_not_delay_one_that_does() {
    const SILENT: usize = 34;
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(&dir.path().join("data")).argument("--jobs", "2").start();
    let clip = media::short_street(dir.path(), 60);
    let mut patient = settings();
    patient["router_timeout_ms"] = json!(300_000);
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        let id =
            server.process_file(json!({"stream_settings": patient, "router_url": silent_router().await}), &clip).await;
        silent.push(id);
    }
    for id in &silent {
        server.finished(*id).await;
    }
    let in_flight = async || server.get("/health/").await["deliveries"]["in_flight"] == SILENT;
    until("a post to each of them is in flight", in_flight).await;

    let receiver = Receiver::start(StatusCode::OK).await;
    let begun = Instant::now();
    let fine = begin(&server, &clip, &receiver.url).await;
    let video = server.delivered(fine).await;
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let objects = server.objects(fine).await;
    assert!(!objects.is_empty());
    assert_eq!(sums(&video), [objects.len() as u64, 0, 0]);
    assert_eq!(sorted(receiver.posts().into_iter().map(|p| p.key).collect()), sorted(ids(&objects)));

    assert_eq!(server.status(Method::DELETE, &format!("/videos/{}/", silent[0])).await, StatusCode::NO_CONTENT);
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_goes_down_is_logged_once_and_all_reports_agree() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let server = Options::new(&dir.path().join("data")).log(&log).start();
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap().to_string();
    drop(unused);
    let id = begin(&server, &media::short_street(dir.path(), 60), &format!("http://{address}/frame")).await;
    server.finished(id).await;
    // Only one object at a time is posted while the router is down.
    let attempts =
        async || server.deliveries(id, "retrying").await.iter().filter_map(|d| d["attempts"].as_u64()).sum::<u64>();
    until("a few posts have failed", async || attempts().await > 3).await;

    let asked = jiff::Timestamp::now();
    let open = server.deliveries(id, "pending,retrying").await;
    let past = |d: &&Value| d["next_try"].as_str().is_some_and(|t| t.parse::<jiff::Timestamp>().unwrap() < asked);
    assert_eq!(open.iter().find(past), None);
    assert!(open.iter().any(|d| d["next_try"].is_string()), "{open:#?}");
    let video = server.video(id).await;
    let failed = server.deliveries(id, "failed").await;
    assert_eq!(sums(&video), [0, failed.len() as u64, open.len() as u64]);
    assert!(failed.is_empty());
    assert_eq!(video["health_status"]["code"], "yellow", "{video:#}");
    assert!(video["health_status"]["statistic"]["objects"]["car"]["retrying"].as_u64() > Some(0), "{video:#}");
    let logged = |what: &str| -> Vec<String> {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines()
            .filter(|line| line.contains(&format!("router http://{address} {what}")))
            .map(str::to_owned)
            .collect()
    };
    let down = logged("does not answer");
    assert!(down.len() == 1 && down[0].contains("WARN") && down[0].contains("refused"), "{down:#?}");
    assert!(logged("answers again").is_empty());

    let receiver = ReceiverProcess::start(&address, &dir.path().join("kept"), &[]);
    let video = server.delivered(id).await;
    assert_eq!(sums(&video), [open.len() as u64, 0, 0]);
    assert_eq!(video["health_status"]["code"], "green");
    assert_eq!(receiver.keys().len(), open.len());
    let back = logged("answers again");
    assert!(back.len() == 1 && back[0].contains("INFO") && back[0].contains("away_ms"), "{back:#?}");
    assert_eq!(logged("does not answer").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_objects_can_be_retried_to_another_router() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let (wrong, right) = (Receiver::start(StatusCode::NOT_FOUND).await, Receiver::start(StatusCode::OK).await);
    let id = begin(&server, &media::short_street(dir.path(), 75), &wrong.url).await;
    let video = server.delivered(id).await;
    let count = server.objects(id).await.len() as u64;
    assert_eq!(sums(&video), [0, count, 0]);
    assert_eq!(video["health_status"]["code"], "yellow");
    let failed = server.deliveries(id, "failed").await;
    assert_eq!(failed.len() as u64, count);
    assert!(
        failed.iter().all(|d| d["last_status"] == 404 && d["reason"].as_str().unwrap().contains("404")),
        "{failed:#?}"
    );

    let post = async |path: String| {
        let response = server.request(Method::POST, &path).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    server.patch(id, &json!({"router_url": right.url})).await;
    let first = failed[0]["id"].as_str().unwrap();
    let (status, delivery) = post(format!("/deliveries/{first}/retry/")).await;
    assert_eq!((status, &delivery["state"], &delivery["attempts"]), (StatusCode::OK, &json!("retrying"), &json!(1)));
    server.delivered(id).await;
    assert_eq!(right.posts().iter().map(|p| p.key.as_str()).collect::<Vec<_>>(), [first]);
    let (status, refused) = post(format!("/deliveries/{first}/retry/")).await;
    assert_eq!((status, &refused["code"]), (StatusCode::CONFLICT, &json!("CONFLICT")));

    let (status, retried) = post(format!("/videos/{id}/deliveries/retry/")).await;
    assert_eq!((status, retried), (StatusCode::OK, json!({"retried": count - 1})));
    let video = server.delivered(id).await;
    assert_eq!(sums(&video), [count, 0, 0]);
    assert_eq!(video["health_status"]["code"], "green");
    assert_eq!(right.posts().len() as u64, count);
    assert_eq!(post(format!("/videos/{id}/deliveries/retry/")).await.1, json!({"retried": 0}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_signed_certificate_is_accepted_only_if_the_settings_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receiver = Receiver::self_signed().await;
    let clip = media::short_street(dir.path(), 75);
    let strict = begin(&server, &clip, &receiver.url).await;
    until("a post has failed", async || !server.deliveries(strict, "retrying").await.is_empty()).await;
    let tried = server.deliveries(strict, "retrying").await;
    assert!(tried[0]["reason"].as_str().unwrap().contains("certificate"), "{tried:#?}");

    let mut trusting = settings();
    trusting["router_verify_ssl"] = json!(false);
    let trusting = server.process_file(json!({"stream_settings": trusting, "router_url": receiver.url}), &clip).await;
    let video = server.delivered(trusting).await;
    let count = server.objects(trusting).await.len();
    assert!(count > 0);
    assert_eq!(sums(&video), [count as u64, 0, 0]);
    assert!(receiver.posts().iter().all(|p| p.labels["video_id"] == trusting));
    assert!(server.deliveries(strict, "posted").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_are_signed_by_standard_webhooks() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use hmac::{Hmac, KeyInit, Mac};

    let dir = tempfile::tempdir().unwrap();
    let secret = b"24 bytes are the fewest!";
    let written = format!("whsec_{}", STANDARD.encode(secret));
    let server = Options::new(&dir.path().join("data"))
        .argument("--router-signing-secret", &written)
        .argument("--router-token", "open sesame")
        .start();
    let receiver = Receiver::start(StatusCode::OK).await;
    let id = begin(&server, &media::short_street(dir.path(), 60), &receiver.url).await;
    server.delivered(id).await;
    let posts = receiver.posts();
    assert!(!posts.is_empty());
    for post in posts {
        let header = |name: &str| post.headers[name].to_str().unwrap();
        assert_eq!((header("webhook-id"), header("authorization")), (&*post.key, "Token open sesame"));
        let age = jiff::Timestamp::now().as_second() - header("webhook-timestamp").parse::<i64>().unwrap();
        assert!((0..120).contains(&age), "{age}");
        let sign = |payload: &[u8]| {
            let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
            mac.update(format!("{}.{}.", post.key, header("webhook-timestamp")).as_bytes());
            mac.update(payload);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        };
        let digests = header("webhook-part-digests");
        assert_eq!(header("webhook-signature"), format!("{} {}", sign(&post.body), sign(digests.as_bytes())));
        let digests: Vec<Value> = serde_json::from_str(digests).unwrap();
        assert!(digests.iter().any(|part| part["name"] == "photo"), "{digests:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_given_up_are_listed_as_failed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Options::new(&dir.path().join("data")).argument("--router-give-up-hours", "0").start();
    let receiver = Receiver::start(StatusCode::INTERNAL_SERVER_ERROR).await;
    let id = begin(&server, &media::short_street(dir.path(), 60), &receiver.url).await;
    let video = server.delivered(id).await;
    let failed = server.deliveries(id, "failed").await;
    assert_eq!(sums(&video), [0, failed.len() as u64, 0]);
    assert!(!failed.is_empty());
    assert!(
        failed.iter().all(|d| d["reason"] == "status 500; given up after 1 attempts" && d["last_status"] == 500),
        "{failed:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_video_or_processing_it_again_cancels_its_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let receiver =
        ReceiverProcess::start("127.0.0.1:0", &dir.path().join("kept"), &["--status", "503", "--retry-after", "1"]);
    let clip = media::short_street(dir.path(), 75);
    let id = begin(&server, &clip, &receiver.url()).await;
    server.finished(id).await;
    until("a post has failed", async || !server.deliveries(id, "retrying").await.is_empty()).await;
    let health = server.get("/health/").await;
    assert!(health["deliveries"]["waiting"].as_u64() > Some(0), "{health:#}");

    let other = Receiver::start(StatusCode::OK).await;
    server.patch(id, &json!({"router_url": other.url})).await;
    server.process(id).await;
    server.delivered(id).await;
    let jobs: HashMap<String, usize> = other.posts().into_iter().fold(HashMap::new(), |mut jobs, p| {
        *jobs.entry(p.key.split('-').nth(1).unwrap().to_owned()).or_default() += 1;
        jobs
    });
    assert_eq!(jobs.into_iter().collect::<Vec<_>>(), [("2".to_owned(), server.objects(id).await.len())]);

    let doomed = begin(&server, &clip, &receiver.url()).await;
    until("a post has failed", async || !server.deliveries(doomed, "retrying").await.is_empty()).await;
    assert_eq!(server.status(Method::DELETE, &format!("/videos/{doomed}/")).await, StatusCode::NO_CONTENT);
    assert_eq!(
        server.get("/health/").await["deliveries"],
        json!({"waiting": 0, "in_flight": 0, "unreachable_routers": 0})
    );
    assert_eq!(server.status(Method::GET, &format!("/videos/{doomed}/deliveries/")).await, StatusCode::NOT_FOUND);
}
