//! Target `request`: the API without its connections. The input is the text of a request with path,
//! query, headers and body (JSON, uploads, multipart forms): `GET /path`, lines of headers, an
//! empty line, the body. Later requests see the changes of earlier ones.

use std::sync::{Arc, LazyLock, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode, header::AUTHORIZATION},
};
use ocellus_api::{Access, AdminToken, Api, ApiConfig, router};
use ocellus_core::SystemClock;
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_pipeline::{Engine, EngineConfig};
use ocellus_runtime::{Limits, Plugins};
use ocellus_store::{Archive, AuditLog, Tokens};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const TOKEN: &str = "fuzz-token-0123456789";
/// Requests to one server, which is then replaced: its data would take ever more space.
const REQUESTS: u32 = 500;
/// Bytes of the longest answer that is read.
const ANSWER: usize = 16 << 20;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads can be started"));
static SERVER: Mutex<Option<Server>> = Mutex::new(None);

struct Server {
    router: Router,
    engine: Engine,
    requests: u32,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder for an archive");
        let clock = Arc::new(SystemClock);
        let (archive, _) = Archive::open(folder.path(), clock.clone()).expect("a new archive");
        let plugins = folder.path().join("no-plugins");
        std::fs::create_dir(&plugins).expect("the folder can be written");
        let plugins = Plugins::open(&plugins, Limits::default()).expect("a folder without plugins");
        let engine = Engine::start(
            EngineConfig::default(),
            archive,
            Detectors::default(),
            Embedders::default(),
            AttributeClassifiers::default(),
            plugins,
            clock.clone(),
        )
        .expect("an engine without networks");
        let token = AdminToken::new(TOKEN).expect("a valid token");
        let access = Access::new(token, Tokens::new(folder.path()), AuditLog::new(folder.path()));
        let api = Api::new(engine.clone(), access, ApiConfig::default(), clock).expect("metrics of the API");
        Self { router: router(Arc::new(api)), engine, requests: 0, _folder: folder }
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let Some(request) = parse(bytes) else { return };
    let mut server = SERVER.lock().expect("a failure ends the program");
    RUNTIME.block_on(async {
        if let Some(old) = server.take_if(|server| server.requests == REQUESTS) {
            old.engine.shutdown().await;
        }
        let server = server.get_or_insert_with(Server::start);
        server.requests += 1;
        send(&server.router, request).await;
    });
}

fn parse(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let mut lines = std::str::from_utf8(head).ok()?.lines();
    let (method, target) = lines.next()?.split_once(' ')?;
    let mut request = Request::builder()
        .method(method.parse::<Method>().ok()?)
        .uri(target)
        .header(AUTHORIZATION, format!("Token {TOKEN}"));
    for line in lines {
        let (name, value) = line.split_once(':')?;
        request = request.header(name, value.trim());
    }
    request.body(Body::from(body.get(2..).unwrap_or_default().to_vec())).ok()
}

async fn send(router: &Router, request: Request<Body>) {
    let asked = format!("{} {}", request.method(), request.uri());
    let Ok(response) = router.clone().oneshot(request).await;
    let status = response.status();
    assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{asked}");
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    let body = to_bytes(response.into_body(), ANSWER).await.expect("the answer has an end");
    if !status.is_client_error() || asked.starts_with("HEAD") || !is_json {
        return;
    }
    let error: Value = serde_json::from_slice(&body).expect("it says that it is JSON");
    assert!(error["code"].is_string() && error["desc"].is_string(), "{asked}: {error}");
    assert_eq!(error["param"].is_string(), status == StatusCode::BAD_REQUEST, "{asked}: {error}");
}
