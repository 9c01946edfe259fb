//! Covers: router plugins of a user's own. A video names the one that its objects are posted by,
//! and keeps it for as long as its job's objects are on their way; others use the one that ships; a
//! name that is not installed is refused.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    authoring::plugin,
    media,
    plugins::copy_plugins,
    receiver::Receiver,
    server::{Options, Server},
};

/// Keeps what it is sent as it comes, and answers with a status that may be changed.
#[derive(Clone)]
struct Queue {
    posts: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    status: Arc<AtomicU16>,
    url: String,
}

impl Queue {
    async fn start(status: u16) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/queue", listener.local_addr().unwrap());
        let queue = Self { posts: Arc::default(), status: Arc::new(AtomicU16::new(status)), url };
        let app = Router::new().route("/queue", post(Self::take)).with_state(queue.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        queue
    }

    async fn take(State(queue): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let status = queue.status.load(Ordering::SeqCst);
        if status == 200 {
            queue.posts.lock().unwrap().push((headers, body));
        }
        StatusCode::from_u16(status).unwrap()
    }
}

fn settings(more: Value) -> Value {
    let mut settings = json!({"detectors": {"face": null, "car": {"filter_min_size": 15, "filter_min_quality": 0.1}}});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

async fn refused(server: &Server, more: Value) -> Value {
    let body = json!({"camera_group": 1, "name": "refused", "stream_settings": settings(more)});
    let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_names_the_router_that_its_objects_are_posted_by() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, error) = plugin(dir.path(), &["new", "router", "to-queue"]);
    assert_eq!(code, Some(0), "{error}");
    let home = dir.path().join("to-queue");
    let (code, _, error) = plugin(&home, &["build"]);
    assert_eq!(code, Some(0), "{error}");

    let installed = dir.path().join("plugins");
    copy_plugins(&installed);
    let server = Options::new(&dir.path().join("data")).plugins(&installed).start();
    let missing = refused(&server, json!({"router": "to-queue"})).await;
    assert_eq!(missing["param"], "stream_settings.router", "{missing}");
    assert!(missing["desc"].as_str().unwrap().contains("http"), "those that there are: {missing}");
    let bytes = std::fs::read(home.join("to-queue.wasm")).unwrap();
    let put = server.request(Method::PUT, "/plugins/to-queue/").body(bytes).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    let wrong = refused(&server, json!({"router": "to-queue", "plugins": {"to-queue": {"topic": "cars"}}})).await;
    assert_eq!(wrong["param"], "stream_settings.plugins.to-queue.topic", "{wrong}");
    assert!(wrong["desc"].as_str().unwrap().contains("Unknown key \"topic\""), "{wrong}");

    let clip = media::short_street(dir.path(), 60);
    let (queue, plain) = (Queue::start(503).await, Receiver::start(StatusCode::OK).await);
    let chosen = json!({"router": "to-queue", "plugins": {"to-queue": {}}});
    let by_plugin = server.create(json!({"stream_settings": settings(chosen), "router_url": queue.url})).await;
    let by_default = server.create(json!({"stream_settings": settings(json!({})), "router_url": plain.url})).await;
    for id in [by_plugin, by_default] {
        server.upload(id, &clip).await;
        server.process(id).await;
    }
    assert_eq!(server.finished(by_plugin).await["stream_settings"]["router"], "to-queue");
    assert!(server.delivered(by_default).await["stream_settings"].get("router").is_none());

    // What is on its way keeps the router of its job.
    let change = json!({"stream_settings": {"router": "http"}});
    let changed = server.request(Method::PATCH, &format!("/videos/{by_plugin}/")).json(&change).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::OK);
    queue.status.store(200, Ordering::SeqCst);
    server.delivered(by_plugin).await;

    let made = async |id: u64| -> Vec<String> {
        let mut ids: Vec<_> = server.objects(id).await.iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let posts = queue.posts.lock().unwrap().clone();
    let mut sent = Vec::new();
    for (headers, body) in posts {
        let object: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&object["video"], &object["type"]), (&json!(by_plugin), &json!("car")));
        assert_eq!(
            (headers["content-type"].as_bytes(), &object["id"]),
            (&b"application/json"[..], &json!(headers["idempotency-key"].to_str().unwrap()))
        );
        assert_eq!(headers["content-length"].to_str().unwrap(), body.len().to_string());
        sent.push(object["id"].as_str().unwrap().to_owned());
    }
    sent.sort();
    assert!(!sent.is_empty());
    assert_eq!(sent, made(by_plugin).await);
    let mut sent: Vec<_> = plain.posts().into_iter().map(|p| p.key).collect();
    sent.sort();
    assert_eq!(sent, made(by_default).await, "the other video's router is the one that ships");
}
