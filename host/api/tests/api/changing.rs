//! Covers: PUT, PATCH and DELETE of a video, and DELETE of its file: effects, refusals, and files
//! that remain.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::Server;

async fn full(server: &Server) -> u64 {
    let sent = json!({
        "camera_group": -1, "name": "full", "url": "http://a/b.mp4", "case": 3, "router_url": "https://r/",
        "stream_settings": {"play_speed": 2, "detectors": {"face": {"jpeg_quality": 50}, "body": {}}},
    });
    server.post("/videos/", sent).await.expect(201).json()["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn put_keeps_fields_that_are_left_out() {
    let server = Server::start().await;
    let id = full(&server).await;
    let path = format!("/videos/{id}/");
    let mut expected = server.video(id).await;
    (expected["name"], expected["camera_group"]) = (json!("renamed"), json!(1));
    let sent = json!({"camera_group": 1, "name": "renamed", "finished": true});
    assert_eq!(server.put(&path, sent).await.expect(200).json(), expected);
    assert_eq!(server.video(id).await, expected);

    for (key, value) in [("url", json!(null)), ("router_url", json!("")), ("case", json!("4"))] {
        let sent = json!({"camera_group": 1, "name": "renamed", key: value});
        expected[key] = if key == "case" { json!(4) } else { Value::Null };
        assert_eq!(server.put(&path, sent).await.expect(200).json(), expected);
    }
    // Settings are one field: what is left out within them takes its default.
    let settings = json!({"detectors": {"face": {"jpeg_quality": 60.0}}});
    let sent = json!({"camera_group": 1, "name": "renamed", "stream_settings": settings});
    let replaced = server.put(&path, sent).await.expect(200).json();
    let mut plain = server.video(server.add("plain").await).await["stream_settings"].clone();
    plain["detectors"]["face"]["jpeg_quality"] = json!(60);
    assert_eq!(replaced["stream_settings"], plain);

    let before = server.video(id).await;
    for (sent, param) in [
        (json!({"name": "a"}), "camera_group"),
        (json!({"camera_group": 1}), "name"),
        (json!({"camera_group": 1, "name": 5}), "name"),
        (json!({"camera_group": 1, "name": "a", "stream_settings": {"rot": 1}}), "stream_settings.rot"),
    ] {
        server.put(&path, sent).await.refuses(param);
    }
    assert_eq!(server.video(id).await, before);
    server.put("/videos/99/", json!({"camera_group": 1, "name": "a"})).await.finds_no_video();
    assert_eq!(server.count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_changes_only_fields_that_are_sent() {
    let server = Server::start().await;
    let id = full(&server).await;
    let path = format!("/videos/{id}/");
    let mut expected = server.video(id).await;
    type Change = fn(&mut Value);
    let steps: [(Value, Change); 5] = [
        (json!({}), |_| ()),
        (json!({"name": null}), |v| v["name"] = Value::Null),
        (json!({"url": null, "case": null, "health_status": 1, "whatever": {}}), |v| {
            v["url"] = Value::Null;
            v["case"] = Value::Null;
        }),
        (json!({"stream_settings": {"play_speed": 4}}), |v| v["stream_settings"]["play_speed"] = json!(4)),
        (json!({"stream_settings": {"detectors": {"body": null, "face": {"roi": "10x20+1+2"}}}}), |v| {
            v["stream_settings"]["detectors"]["body"] = Value::Null;
            v["stream_settings"]["detectors"]["face"]["roi"] = json!("10x20+1+2");
        }),
    ];
    for (sent, change) in steps {
        change(&mut expected);
        assert_eq!(server.patch(&path, sent).await.expect(200).json(), expected);
        assert_eq!(server.video(id).await, expected);
    }
    assert_eq!(server.call(Method::PATCH, &path, "").await.expect(200).json(), expected);
    for (sent, param) in [
        (json!({"camera_group": null}), "camera_group"),
        (json!({"name": "new", "url": "concat:a|b"}), "url"),
        (json!({"name": "new", "stream_settings": {"detectors": {"face": null}}}), "stream_settings.detectors"),
        (
            json!({"name": "new", "stream_settings": {"detectors": {"face": {"x": 1}}}}),
            "stream_settings.detectors.face.x",
        ),
    ] {
        server.patch(&path, sent).await.refuses(param);
        assert_eq!(server.video(id).await, expected);
    }
    server.patch("/videos/99/", json!({"name": "a"})).await.finds_no_video();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_video_is_gone_and_its_id_is_not_reused() {
    let server = Server::start().await;
    let id = server.add("a").await;
    server.upload(id, "bytes").await.expect(201);
    let folder = server.archive.source_path(ocellus_core::VideoId(id)).parent().unwrap().to_owned();
    assert!(folder.exists());
    assert!(server.delete(&format!("/videos/{id}/")).await.expect(204).body.is_empty());
    assert!(!folder.exists());
    server.get(&format!("/videos/{id}/")).await.finds_no_video();
    server.delete(&format!("/videos/{id}/")).await.finds_no_video();
    assert_eq!(server.count().await, 0);
    assert_ne!(server.add("b").await, id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_file_leaves_its_video() {
    let server = Server::start().await;
    let id = server.add("a").await;
    server.upload(id, "bytes").await.expect(201);
    for _ in 0..2 {
        assert!(server.delete(&format!("/videos/{id}/file/")).await.expect(200).body.is_empty());
        let video = server.video(id).await;
        assert_eq!((&video["file_size"], &video["health_status"]["status"]), (&json!(0), &json!("NO_SOURCE")));
        assert!(!server.files(id).contains(&"source".to_owned()));
    }
    let video = server.patch(&format!("/videos/{id}/"), json!({"url": "http://a/b"})).await.expect(200).json();
    assert_eq!(video["health_status"]["status"], "DISABLED");
}
