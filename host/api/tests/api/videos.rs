//! Covers: POST and GET of a video: the documented shape field by field, defaults, refusals and
//! their effects.

use ocellus_api::ApiConfig;
use serde_json::{Value, json};

use crate::server::{Server, TOKEN};

/// The keys of the vendor's response example, in its order, and one of this server.
const KEYS: [&str; 27] = [
    "id",
    "camera_group",
    "name",
    "url",
    "camera",
    "processing_start_date",
    "active",
    "router_url",
    "screenshot",
    "stream_settings",
    "source_len",
    "health_status",
    "finished",
    "queued",
    "face_count",
    "file_size",
    "created_date",
    "body_count",
    "car_count",
    "case",
    "face_cluster_count",
    "body_cluster_count",
    "car_cluster_count",
    "frame_height",
    "frame_width",
    "error",
    "keep",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_new_video_is_as_documented() {
    let server = Server::start().await;
    let video = server.post("/videos/", json!({"camera_group": 1, "name": "Pitt&Jolie"})).await.expect(201).json();
    assert_eq!(video.as_object().unwrap().keys().collect::<Vec<_>>(), KEYS);

    let created = video["created_date"].as_str().unwrap();
    assert!(created.len() == 27 && created.ends_with('Z') && created.parse::<jiff::Timestamp>().is_ok(), "{created}");
    let settings = &video["stream_settings"];
    assert_eq!(
        (&settings["detectors"]["body"], &settings["detectors"]["face"]["filter_min_quality"]),
        (&Value::Null, &json!(0.42))
    );
    let expected = json!({
        "id": 1, "camera_group": 1, "name": "Pitt&Jolie", "url": null, "camera": null, "processing_start_date": null, "active": false,
        "router_url": null, "screenshot": server.url("/videos/1/screenshot/"), "stream_settings": settings, "source_len": null,
        "health_status": {
            "enabled": false, "status": "WAITING_FOR_SYNC", "msg": "", "statistic": {}, "code": "red",
            "code_desc": "Videomanager job is missing. Wait for synchronization.",
        },
        "finished": false, "queued": false, "face_count": 0, "file_size": 0, "created_date": created, "body_count": 0, "car_count": 0,
        "case": null, "face_cluster_count": 0, "body_cluster_count": 0, "car_cluster_count": 0, "frame_height": null, "frame_width": null,
        "error": null, "keep": false,
    });
    assert_eq!(video, expected);
    assert_eq!(server.video(1).await, expected);
    assert_eq!(
        server.get("/videos/").await.expect(200).json(),
        json!({"next_page": null, "prev_page": null, "results": [expected]})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_stored_and_read_only_or_unknown_ones_ignored() {
    let server = Server::start().await;
    let sent = json!({
        "id": 77, "camera_group": -1, "name": "Zoë\u{1F3A5}", "url": "rtsp://cam/1", "case": 5, "router_url": "http://r/", "active": true,
        "file_size": 9, "save_to": "x", "stream_settings": {"play_speed": 2, "detectors": {"car": {}}},
    });
    let video = server.post("/videos/", sent).await.expect(201).json();
    assert_eq!(
        (&video["id"], &video["camera_group"], &video["name"], &video["case"]),
        (&json!(1), &json!(-1), &json!("Zoë\u{1F3A5}"), &json!(5))
    );
    assert_eq!(
        (&video["url"], &video["router_url"], &video["active"], &video["file_size"]),
        (&json!("rtsp://cam/1"), &json!("http://r/"), &json!(false), &json!(0))
    );
    assert_eq!(video["stream_settings"]["play_speed"], 2);
    assert_eq!(video["stream_settings"]["detectors"]["car"]["filter_min_quality"], 0.65);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_the_field_and_leave_nothing() {
    let server = Server::start().await;
    for (sent, param, desc) in [
        (json!({"name": "a"}), "camera_group", "This field is required."),
        (json!({"camera_group": 1}), "name", "This field is required."),
        (
            json!({"camera_group": 99, "name": "a"}),
            "camera_group",
            "Invalid pk \"99\" - object does not exist. This server has -1, 1 (--camera-groups).",
        ),
        (
            json!({"camera_group": 1, "name": "a".repeat(257)}),
            "name",
            "Ensure this field has no more than 256 characters.",
        ),
        (
            json!({"camera_group": 1, "name": "a", "url": "file:///etc/passwd"}),
            "url",
            "Enter a valid URL (http, https, rtsp, rtsps).",
        ),
        (
            json!({"camera_group": 1, "name": "a", "camera": 1}),
            "camera",
            "Invalid pk \"1\" - object does not exist. This server has none (--cameras).",
        ),
        (
            json!({"camera_group": 1, "name": "a", "stream_settings": {"speed": 1}}),
            "stream_settings.speed",
            "Unknown key \"speed\".",
        ),
        (json!([]), "body", "Invalid data. Expected a JSON object."),
    ] {
        assert_eq!(server.post("/videos/", sent).await.refuses(param), desc);
    }
    let sent = json!({"camera_group": 1, "name": "a", "stream_settings": {"detectors": {"face": {"roi": "string"}}}});
    assert!(server.post("/videos/", sent).await.refuses("stream_settings.detectors.face.roi").contains("WxH+X+Y"));
    for (text, place) in
        [("{\n \"name\": }", "line 2 column 10"), ("{\"a\": 1e999}", "line 1"), ("\u{FEFF}{}", "line 1")]
    {
        let desc = server.call(reqwest::Method::POST, "/videos/", text).await.refuses("body");
        assert!(desc.starts_with("JSON parse error") && desc.contains(place), "{desc}");
    }
    // Nothing at all is an object without keys, as in the vendor's framework.
    server.call(reqwest::Method::POST, "/videos/", "").await.refuses("camera_group");
    let deep = "[".repeat(100_000);
    server.call(reqwest::Method::POST, "/videos/", deep).await.refuses("body");
    let large = server.call(reqwest::Method::POST, "/videos/", " ".repeat((1 << 20) + 1)).await.expect(413).json();
    assert_eq!(large["code"], "TOO_LARGE");
    assert_eq!(server.count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_begin_with_the_base_url_of_the_client() {
    let server = Server::start().await;
    server.add("a").await;
    let behind = server.request(reqwest::Method::GET, "/videos/1/").header("authorization", format!("Token {TOKEN}"));
    let behind = behind.header("host", "archive.example").header("x-forwarded-proto", "https");
    assert_eq!(
        server.send(behind).await.expect(200).json()["screenshot"],
        "https://archive.example/videos/1/screenshot/"
    );

    let config = ApiConfig { public_url: Some("https://example.org/ocellus/".into()), ..ApiConfig::default() };
    let server = Server::with(config, std::sync::Arc::new(ocellus_core::SystemClock)).await;
    server.add("a").await;
    assert_eq!(server.video(1).await["screenshot"], "https://example.org/ocellus/videos/1/screenshot/");
    // A proxy passes on what somebody types, with the path that it serves the server under.
    let typed = server.send(server.request(reqwest::Method::GET, "/ocellus")).await.expect(308);
    assert_eq!(typed.headers["location"], "/ocellus/");
}
