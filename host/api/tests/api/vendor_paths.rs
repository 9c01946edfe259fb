//! Covers: paths that clients of the vendor's server use beside `/videos/` and `/events/`: camera
//! groups, cameras, clusters by type, and the document, also as a page.

use std::sync::Arc;

use ocellus_api::ApiConfig;
use ocellus_core::SystemClock;
use reqwest::Method;
use serde_json::json;

use crate::{objects::with_objects, server::Server};

#[tokio::test(flavor = "multi_thread")]
async fn configured_groups_and_cameras_are_listed() {
    let config = ApiConfig { camera_groups: vec![-1, 1, 7], cameras: vec![3], ..ApiConfig::default() };
    let server = Server::with(config, Arc::new(SystemClock)).await;
    let groups = server.get("/camera-groups/").await.expect(200).json();
    let expected = json!([
        {"id": -1, "name": "Video archive default Camera Group"},
        {"id": 1, "name": "Default Camera Group"},
        {"id": 7, "name": "Camera group 7"},
    ]);
    assert_eq!(groups, json!({"next_page": null, "prev_page": null, "results": expected}));
    assert_eq!(server.get("/camera-groups/-1/").await.expect(200).json(), expected[0]);
    assert_eq!(server.get("/cameras/").await.expect(200).json()["results"], json!([{"id": 3, "name": "Camera 3"}]));
    assert_eq!(server.get("/cameras/3/").await.expect(200).json()["id"], 3);
    for (path, what) in [("/cameras/4/", "Camera"), ("/cameras/x/", "Camera"), ("/camera-groups/2/", "CameraGroup")] {
        let answer = server.get(path).await.expect(404).json();
        assert_eq!(answer["desc"], format!("No {what} matches the given query."));
    }
    server.get("/cameras/default_parameters/").await.expect(200);
    server.get("/cameras/?limit=0").await.refuses("limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_are_listed_by_type() {
    let server = Server::start().await;
    let (video, _) = with_objects(&server, &["face", "car"]).await;
    for kind in ["faces", "bodies", "cars"] {
        let path = format!("/clusters/{kind}/");
        // There are none before the job's end.
        let page = server.get(&format!("{path}?video_archive={video}")).await.expect(200).json();
        assert_eq!(page["results"], json!([]));
        for (query, param) in [("video_archive=99", "video_archive"), ("size=1", "size")] {
            server.get(&format!("{path}?{query}")).await.refuses(param);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_the_vendors_names_too() {
    let server = Server::start().await;
    let open = async |path: &str| server.send(server.request(Method::GET, path)).await.expect(200).body;
    let document = open("/openapi.json").await;
    for name in ["/swagger.json", "/api-docs/"] {
        assert_eq!(open(name).await, document, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_names_the_path_of_a_proxy() {
    let server = Server::start().await;
    for (prefix, path) in [(None, "/"), (Some("/sub/"), "/sub"), (Some("//evil.example"), "/")] {
        let request = server.request(Method::GET, "/openapi.json");
        let request = prefix.into_iter().fold(request, |request, prefix| request.header("x-forwarded-prefix", prefix));
        let answer = server.send(request).await.expect(200);
        assert_eq!(answer.headers["content-length"].to_str().unwrap(), answer.body.len().to_string());
        assert_eq!(answer.json()["servers"], json!([{"url": path, "description": "This server."}]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_a_page_that_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let open = async |path: &str| server.send(server.request(Method::GET, path)).await;
    let page = open("/docs/").await.expect(200);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = String::from_utf8(page.body).unwrap();
    let mut names = 0;
    for part in page.split(['"', '\'']).filter(|part| [".js", ".css", ".png"].iter().any(|end| part.ends_with(end))) {
        assert!(!part.contains("//"), "{part}");
        open(&format!("/docs/{part}")).await.expect(200);
        names += 1;
    }
    assert!(names >= 5, "{page}");
    let start = String::from_utf8(open("/docs/swagger-initializer.js").await.expect(200).body).unwrap();
    assert!(start.contains("../openapi.json"), "{start}");
    open("/docs").await.expect(308);
    open("/docs/nothing.js").await.expect(404);
}
