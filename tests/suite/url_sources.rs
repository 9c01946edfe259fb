//! Covers: videos whose source is a URL. HTTP and RTSP are processed and recorded, including sound,
//! and the recording can be processed again; an interrupted HTTP body is resumed, or the job ends
//! INTERRUPTED with its objects; a job that waits for a silent host can be stopped; no connection
//! is made to addresses that the operator does not allow, whether by URL, name, redirect or
//! playlist.

use std::{net::TcpListener, path::Path, process::Command};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    rtsp::{BEHIND, Behaviour, Rtsp},
    server::{Options, Server, small},
    web::{Resource, Web},
};

/// Four seconds of a test pattern with sound, the MP4 headers at the beginning.
fn clip(dir: &Path) -> std::path::PathBuf {
    let path = dir.join("clip.mp4");
    let picture = "testsrc2=size=320x240:rate=25:duration=4";
    let coded =
        ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-bf", "0", "-c:a", "aac", "-movflags", "+faststart"];
    media::ffmpeg(
        &[&["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "sine=duration=4"], &coded[..]].concat(),
        &path,
    );
    path
}

fn recorded(audio: bool) -> Value {
    json!({"enable_recorder": true, "record_audio": audio})
}

async fn processed(server: &Server, fields: Value) -> (u64, Value) {
    let id = server.create(fields).await;
    server.process(id).await;
    (id, server.finished(id).await)
}

fn frames(video: &Value) -> u64 {
    video["health_status"]["statistic"]["frames_processed"].as_u64().unwrap()
}

/// Kinds of the streams in a video's source file in the archive.
fn streams(data: &Path, id: u64) -> Vec<String> {
    let source = data.join(format!("archive/000/{id}/source"));
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"])
        .arg(&source)
        .output();
    let mut kinds: Vec<_> = String::from_utf8(output.unwrap().stdout)
        .unwrap()
        .lines()
        .map(|l| l.trim_end_matches(',').to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// The video has a recording with these streams, and processing it gives the same frames.
async fn assert_recorded(server: &Server, data: &Path, id: u64, video: &Value, kinds: &[&str]) {
    let file = data.join(format!("archive/000/{id}/source"));
    assert_eq!(video["file_size"], std::fs::metadata(&file).unwrap().len(), "{video:#}");
    assert_eq!(streams(data, id), kinds);
    server.process(id).await;
    let again = server.finished(id).await;
    assert_eq!(again["health_status"]["status"], "COMPLETED", "{again:#}");
    assert_eq!(frames(&again), frames(video));
    let [before, after] = [video, &again].map(|v| v["source_len"].as_f64().unwrap());
    assert!((before - after).abs() < 0.3, "{before} {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_source_is_processed_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let bytes = std::fs::read(clip(dir.path())).unwrap();
    let web =
        Web::start([("/clip.mp4", Resource::Whole(bytes)), ("/old", Resource::Redirect("/clip.mp4".into()))]).await;

    let (id, plain) = processed(&server, json!({"url": web.url("/old")})).await;
    assert_eq!(plain["health_status"]["status"], "COMPLETED", "{plain:#}");
    assert_eq!((frames(&plain), plain["file_size"].as_u64()), (100, Some(0)));
    assert!(!data.join(format!("archive/000/{id}/source")).exists(), "recorded without being asked to");

    let (silent, silent_video) =
        processed(&server, json!({"url": web.url("/clip.mp4"), "stream_settings": recorded(false)})).await;
    let (id, video) = processed(&server, json!({"url": web.url("/clip.mp4"), "stream_settings": recorded(true)})).await;
    assert_eq!((frames(&video), &video["error"]), (100, &json!(null)), "{video:#}");
    drop(web);
    assert_recorded(&server, &data, silent, &silent_video, &["video"]).await;
    assert_recorded(&server, &data, id, &video, &["audio", "video"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rtsp_source_is_processed_and_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let camera = Rtsp::start(&clip(dir.path()), Behaviour::Recording(4.0));
    let (id, video) = processed(&server, json!({"url": camera.url(), "stream_settings": recorded(true)})).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert!((90..=100).contains(&frames(&video)), "{}", frames(&video));
    drop(camera);
    assert_recorded(&server, &data, id, &video, &["audio", "video"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_those_of_the_camera_if_use_rtsp_time_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let street = media::short_street(dir.path(), 100);
    let clip = dir.path().join("street.mp4");
    let sound =
        ["-f", "lavfi", "-i", "sine=duration=4", "-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-c:a", "aac"];
    media::ffmpeg(&[&["-i", street.to_str().unwrap()], &sound[..], &["-shortest"]].concat(), &clip);
    let camera = Rtsp::start(&clip, Behaviour::Recording(4.0));
    for use_rtsp_time in [true, false] {
        let cars = json!({"car": small(), "face": null});
        let (id, video) = processed(
            &server,
            json!({"url": camera.url(), "stream_settings": {"use_rtsp_time": use_rtsp_time, "detectors": cars}}),
        )
        .await;
        assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
        let objects = server.objects(id).await;
        // Frames before the first sender report have the server's time.
        let first = objects
            .iter()
            .map(|o| o["last_timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap())
            .min_by_key(|t| t.as_second());
        let behind = jiff::Timestamp::now().as_second() - first.unwrap().as_second();
        let expected = if use_rtsp_time { BEHIND } else { 0 };
        assert!((behind - expected).abs() < 120, "{behind} seconds behind: {objects:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recording_of_a_camera_that_disconnects_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let camera = Rtsp::start(&clip(dir.path()), Behaviour::Camera);
    let (id, video) = processed(&server, json!({"url": camera.url(), "stream_settings": recorded(true)})).await;
    assert_eq!(video["health_status"]["status"], "INTERRUPTED", "{video:#}");
    assert!(frames(&video) >= 90, "{video:#}");
    assert_recorded(&server, &data, id, &video, &["audio", "video"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_http_body_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let bytes = std::fs::read(clip(dir.path())).unwrap();
    let piece = bytes.len() / 4;
    let web = Web::start([("/clip.mp4", Resource::Flaky(bytes, piece))]).await;
    let (_, video) = processed(&server, json!({"url": web.url("/clip.mp4")})).await;
    assert_eq!((video["health_status"]["status"].as_str(), frames(&video)), (Some("COMPLETED"), 100), "{video:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_of_a_source_that_cannot_be_resumed_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let whole = dir.path().join("whole.mp4");
    let street = media::short_street(dir.path(), 100);
    media::ffmpeg(&["-i", street.to_str().unwrap(), "-c", "copy", "-movflags", "+faststart"], &whole);
    let bytes = std::fs::read(whole).unwrap();
    let sent = bytes.len() * 6 / 10;
    let web = Web::start([("/street.mp4", Resource::Broken(bytes, sent))]).await;
    let mut settings = recorded(false);
    settings["detectors"] = json!({"face": null, "body": null, "car": small()});
    let (id, video) = processed(&server, json!({"url": web.url("/street.mp4"), "stream_settings": settings})).await;
    assert_eq!(video["health_status"]["status"], "INTERRUPTED", "{video:#}");
    assert!((20..100).contains(&frames(&video)), "{}", frames(&video));
    assert!(video["error"].as_str().unwrap().contains("cut off"));
    let objects = server.objects(id).await.len();
    assert!(objects > 0 && video["car_count"] == objects, "{objects}: {video:#}");
    assert_recorded(&server, &data, id, &video, &["video"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_a_silent_host_can_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let bytes = std::fs::read(clip(dir.path())).unwrap();
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::start(&data);
    let id = server.create(json!({"url": format!("http://{}/clip.mp4", host.local_addr().unwrap())})).await;
    server.process(id).await;
    let asked = host.accept().await.unwrap();
    server.post(&format!("/videos/{id}/stop/")).await;
    let stopped = server.video(id).await;
    assert_eq!(stopped["health_status"]["status"], "DISABLED", "{stopped:#}");
    assert_eq!((&stopped["finished"], &stopped["error"]), (&json!(false), &json!(null)), "{stopped:#}");
    drop(asked);

    server.process(id).await;
    let asked = host.accept().await.unwrap();
    assert!(server.terminate().success());
    drop(asked);
    let _web = Web::at(host, [("/clip.mp4", Resource::Whole(bytes))]);
    let server = Server::start(&data);
    let video = server.finished(id).await;
    assert_eq!((video["health_status"]["status"].as_str(), frames(&video)), (Some("COMPLETED"), 100), "{video:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn playlists_may_only_lead_to_allowed_segments() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let segment = dir.path().join("segment.ts");
    media::ffmpeg(&["-i", clip(dir.path()).to_str().unwrap(), "-c", "copy"], &segment);
    let list = |target: &str| {
        let text =
            format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{target}\n#EXT-X-ENDLIST\n");
        Resource::Whole(text.into_bytes())
    };
    let web = Web::start([
        ("/live/good.m3u8", list("segment.ts")),
        ("/live/segment.ts", Resource::Whole(std::fs::read(&segment).unwrap())),
        ("/file.m3u8", list(&format!("file://{}", segment.display()))),
        ("/away.m3u8", list("http://169.254.169.254/segment.ts")),
    ])
    .await;
    let (_, video) = processed(&server, json!({"url": web.url("/live/good.m3u8")})).await;
    assert_eq!((video["health_status"]["status"].as_str(), frames(&video)), (Some("COMPLETED"), 100), "{video:#}");
    let (_, video) = processed(&server, json!({"url": web.url("/file.m3u8")})).await;
    assert!(
        ["NOT_STARTED", "MISCONFIGURED"].contains(&video["health_status"]["status"].as_str().unwrap()),
        "{video:#}"
    );
    let (_, video) = processed(&server, json!({"url": web.url("/away.m3u8")})).await;
    assert_eq!(video["health_status"]["status"], "MISCONFIGURED", "{video:#}");
    assert_eq!(video["error"], "The host 169.254.169.254 is not allowed by the server's configuration.");
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_that_are_not_allowed_are_refused_when_they_are_set() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let own = server.request(Method::GET, "/health/").build().unwrap().url().port().unwrap();
    for (field, bad) in [
        ("url", "file:///etc/passwd".to_owned()),
        ("url", "concat:http://a/1|http://a/2".into()),
        ("url", "pipe:0".into()),
        ("url", "udp://127.0.0.1:5004".into()),
        ("url", "http://169.254.169.254/latest/meta-data/".into()),
        ("url", "rtsp://[fe80::1]/stream".into()),
        ("url", format!("http://127.0.0.1:{own}/videos/")),
        ("router_url", format!("http://[::1]:{own}/videos/")),
        ("router_url", "http://169.254.169.254/".into()),
    ] {
        let body = json!({"camera_group": 1, "name": "test", field: bad});
        let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
        let error: Value = response.json().await.unwrap();
        assert_eq!((&error["code"], &error["param"]), (&json!("BAD_PARAM"), &json!(field)), "{bad}: {error}");
    }
    assert_eq!(server.get("/videos/count/").await["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_services_are_refused_however_their_address_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    for host in [
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "169.254.170.2",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fe80::a9fe:a9fe]",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[::ffff:0:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:a9fe:a9fe::1]",
        "[2001:0:808:808:0:ffff:5601:5601]",
        "[2001:db8::5efe:a9fe:a9fe]",
        "[64:ff9b::a83f:8110]",
    ] {
        for (field, url) in [
            ("url", format!("http://{host}/latest/")),
            ("url", format!("rtsp://{host}/")),
            ("router_url", format!("http://{host}/")),
        ] {
            let body = json!({"camera_group": 1, "name": "test", field: url});
            let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{field} {url}");
            let error: Value = response.json().await.unwrap();
            assert_eq!((&error["code"], &error["param"]), (&json!("BAD_PARAM"), &json!(field)), "{url}: {error}");
            let desc = error["desc"].as_str().unwrap();
            let own = desc.contains("is this server itself");
            assert!(own || desc.contains("not allowed by the server's configuration"), "{url}: {error}");
        }
    }
    assert_eq!(server.get("/videos/count/").await["count"], 0);
    // Addresses that embed an allowed one, and the neighbour of a refused one.
    for host in ["[64:ff9b::808:808]", "[2002:808:808::1]", "168.63.129.17"] {
        server.create(json!({"url": format!("http://{host}/clip.mp4")})).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_redirects_may_only_lead_to_allowed_hosts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let own = server.request(Method::GET, "/health/").build().unwrap().url().port().unwrap();
    let web = Web::start([
        ("/away", Resource::Redirect("http://169.254.169.254/latest/".into())),
        ("/home", Resource::Redirect(format!("http://localhost:{own}/health/"))),
    ])
    .await;
    for (fields, host) in [
        (json!({"url": web.url("/away")}), "169.254.169.254"),
        (json!({"url": web.url("/home")}), "localhost"),
        (json!({"url": format!("http://localhost:{own}/health/")}), "localhost"),
        (json!({"url": web.url("/none"), "router_url": format!("http://localhost:{own}/videos/")}), "localhost"),
    ] {
        let (_, video) = processed(&server, fields.clone()).await;
        assert_eq!(video["health_status"]["status"], "MISCONFIGURED", "{fields} {video:#}");
        let why = match host {
            "localhost" => "at this port is this server itself, which sources and routers must not be.",
            _ => "is not allowed by the server's configuration.",
        };
        assert_eq!(video["error"], format!("The host {host} {why}"), "{fields}");
    }

    // An RTSP redirect, which FFmpeg would follow by itself.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("rtsp://{}/stream", elsewhere.local_addr().unwrap());
    let camera = Rtsp::start(dir.path(), Behaviour::Redirect(target));
    let (_, video) = processed(&server, json!({"url": camera.url()})).await;
    assert_eq!(video["health_status"]["status"], "NOT_STARTED", "{video:#}");
    elsewhere.set_nonblocking(true).unwrap();
    let accepted = elsewhere.accept();
    assert!(matches!(&accepted, Err(e) if e.kind() == std::io::ErrorKind::WouldBlock), "{accepted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn allow_network_excludes_all_other_networks() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(clip(dir.path())).unwrap();
    let web = Web::start([("/clip.mp4", Resource::Whole(bytes))]).await;
    let server = Options::new(&dir.path().join("data")).argument("--allow-network", "10.0.0.0/8,127.0.0.1").start();
    let (_, video) = processed(&server, json!({"url": web.url("/clip.mp4")})).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    server.kill();

    let server = Options::new(&dir.path().join("data")).argument("--allow-network", "10.0.0.0/8").start();
    let body = json!({"camera_group": 1, "name": "test", "url": web.url("/clip.mp4")});
    let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let named = web.url("/clip.mp4").replace("127.0.0.1", "localhost");
    let (_, video) = processed(&server, json!({"url": named})).await;
    assert_eq!(video["health_status"]["status"], "MISCONFIGURED", "{video:#}");
    assert_eq!(video["error"], "The host localhost is not allowed by the server's configuration.");
}
