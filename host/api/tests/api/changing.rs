//! Covers: PUT, PATCH and DELETE of a video, and DELETE of its file: effects, refusals, what is
//! left behind.

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
async fn put_replaces_everything_that_can_be_written() {
    let server = Server::start().await;
    let id = full(&server).await;
    let plain = server.add("plain").await;
    let mut expected = server.video(plain).await;
    let before = server.video(id).await;
    let after = server
        .put(&format!("/videos/{id}/"), json!({"camera_group": 1, "name": "plain", "finished": true}))
        .await
        .expect(200)
        .json();
    for key in ["id", "created_date", "screenshot"] {
        expected[key] = before[key].clone();
    }
    assert_eq!(after, expected);
    assert_eq!(server.video(id).await, expected);
    for (sent, param) in [
        (json!({"name": "a"}), "camera_group"),
        (json!({"camera_group": 1}), "name"),
        (json!({"camera_group": 1, "name": 5}), "name"),
    ] {
        server.put(&format!("/videos/{id}/"), sent).await.refuses(param);
    }
    assert_eq!(server.video(id).await, expected);
    server.put("/videos/99/", json!({"camera_group": 1, "name": "a"})).await.finds_no_video();
    assert_eq!(server.count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_changes_what_it_names() {
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
async fn a_deleted_video_is_gone_and_its_id_with_it() {
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
