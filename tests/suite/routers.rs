//! Covers: router plugins of users. A video names the router that posts its objects, and deliveries
//! keep the router of their job; other videos use the shipped one; a name that is not installed is
//! refused.

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
use serde_json::{Value, json};

use crate::{
    authoring::plugin,
    media,
    plugins::copy_plugins,
    receiver::Receiver,
    server::{Options, Server, ids, small, with},
};

/// Records accepted posts, and responds with a status that the test sets.
#[derive(Clone)]
pub(crate) struct Queue {
    pub(crate) posts: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    status: Arc<AtomicU16>,
    pub(crate) url: String,
}

impl Queue {
    pub(crate) async fn start(status: u16) -> Self {
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
    with(json!({"detectors": {"face": null, "car": small()}}), more)
}

async fn refused(server: &Server, more: Value) -> Value {
    server.create_refused(json!({"stream_settings": settings(more)})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_video_names_the_router_that_posts_its_objects() {
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
    assert!(missing["desc"].as_str().unwrap().contains("http"), "names the installed routers: {missing}");
    let bytes = std::fs::read(home.join("to-queue.wasm")).unwrap();
    assert_eq!(server.install("to-queue", bytes).await.0, StatusCode::OK);
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

    // Deliveries keep the router of their job.
    let change = json!({"stream_settings": {"router": "http"}});
    server.patch(by_plugin, &change).await;
    queue.status.store(200, Ordering::SeqCst);
    server.delivered(by_plugin).await;

    let found = async |id: u64| -> Vec<String> {
        let mut ids = ids(&server.objects(id).await);
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
    assert_eq!(sent, found(by_plugin).await);
    let mut sent: Vec<_> = plain.posts().into_iter().map(|p| p.key).collect();
    sent.sort();
    assert_eq!(sent, found(by_default).await, "the other video uses the shipped router");
}
