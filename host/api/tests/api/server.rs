//! Server within the test's process, and a client for it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ocellus_api::{Access, AdminToken, Api, ApiConfig, ConnectionLimits, router, serve};
use ocellus_core::{Clock, SystemClock};
use ocellus_detect::{AttributeClassifiers, Detectors, Embedders};
use ocellus_pipeline::{Engine, EngineConfig};
use ocellus_runtime::{Limits, Plugins};
use ocellus_store::{Archive, AuditLog, Tokens};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use crate::conformance;

pub(crate) const TOKEN: &str = "test-token-0123456789";

pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) archive: Archive,
    engine: Engine,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    folder: tempfile::TempDir,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts a 400 for `param`; returns its description.
    #[track_caller]
    pub(crate) fn refuses(self, param: &str) -> String {
        let json = self.expect(400).json();
        assert_eq!(
            (&json["code"], &json["param"], &json["traceback"]),
            (&json!("BAD_PARAM"), &json!(param), &json!("")),
            "{json}"
        );
        json["desc"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn finds_no_video(self) {
        let json = self.expect(404).json();
        assert_eq!(
            json,
            json!({"traceback": "", "code": "NOT_FOUND", "desc": "No VideoArchive matches the given query."})
        );
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(ApiConfig::default(), Arc::new(SystemClock)).await
    }

    pub(crate) async fn with(config: ApiConfig, clock: Arc<dyn Clock>) -> Self {
        Self::over(Detectors::default(), config, clock).await
    }

    pub(crate) async fn over(detectors: Detectors, config: ApiConfig, clock: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let data = of("data");
        let (archive, _) = Archive::open(&data, Arc::clone(&clock)).unwrap();
        let access = Access::new(AdminToken::new(TOKEN).unwrap(), Tokens::new(&data), AuditLog::new(&data));
        let plugins = Plugins::open(&of("plugins"), Limits::default()).unwrap();
        let engine = Engine::start(
            EngineConfig::default(),
            archive.clone(),
            detectors,
            Embedders::default(),
            AttributeClassifiers::default(),
            plugins,
            Arc::clone(&clock),
        )
        .unwrap();
        let api = Arc::new(Api::new(engine.clone(), access, config, clock).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(serve(listener, None, router(api), ConnectionLimits::default(), async {
            let _ = stopped.await;
        }));
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { address, archive, engine, client, stop, served, folder }
    }

    /// Shuts the server down gracefully; returns its folder.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        drop(self.client);
        self.engine.close();
        let _ = self.stop.send(());
        self.served.await.unwrap();
        self.engine.shutdown().await;
        self.folder
    }

    pub(crate) fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.address) }
    }

    /// A request without a token.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = client.execute(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let answer = Answer { status, headers, body: response.bytes().await.unwrap().to_vec() };
        if !answer.headers.contains_key("content-encoding") {
            let media_type = answer.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
            conformance::check(method.as_str(), &path, status.as_u16(), media_type, &answer.body);
        }
        answer
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.send(self.request(method, path).header("authorization", format!("Token {TOKEN}")).body(body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "").await
    }
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body.to_string()).await
    }
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body.to_string()).await
    }
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, body.to_string()).await
    }
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, "").await
    }

    /// A new video with this name; its id.
    pub(crate) async fn add(&self, name: &str) -> u64 {
        self.post("/videos/", json!({"camera_group": 1, "name": name})).await.expect(201).json()["id"].as_u64().unwrap()
    }

    pub(crate) async fn upload(&self, id: u64, bytes: impl Into<reqwest::Body>) -> Answer {
        self.call(Method::PUT, &format!("/videos/{id}/upload/source_file/"), bytes).await
    }

    pub(crate) async fn video(&self, id: u64) -> Value {
        self.get(&format!("/videos/{id}/")).await.expect(200).json()
    }

    pub(crate) async fn count(&self) -> u64 {
        self.get("/videos/count/").await.expect(200).json()["count"].as_u64().unwrap()
    }

    /// A raw connection, for bytes that no client library sends.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.unwrap()
    }

    /// Sends bytes as they are and reads until the server closes: the status of the answer and all
    /// of it; `None` where there is none.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Option<(u16, String)> {
        let mut stream = self.connect().await;
        // The server may have answered and closed before it has read all: then the answer is what
        // counts.
        let _ = stream.write_all(bytes).await;
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some((status, text))
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The files in a video's folder, by name.
    pub(crate) fn files(&self, id: u64) -> Vec<String> {
        let folder = self.archive.source_path(ocellus_core::VideoId(id)).parent().map(PathBuf::from).unwrap();
        let mut names = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect::<Vec<_>>();
        names.sort();
        names
    }
}

/// Polls until a condition holds, for effects that come after the response.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..3000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: never happened");
}
