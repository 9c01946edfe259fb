//! Server process of a test, driven through its API. Killed when dropped.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Timeout of every wait, long enough for a slow and busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(180);

pub(crate) struct Server {
    process: Child,
    /// Kept open: the server logs a warning when standard output is closed.
    _stdout: ChildStdout,
    base: String,
    token: String,
    client: reqwest::Client,
}

/// Arguments and folders of a server.
pub(crate) struct Options<'a> {
    data: &'a Path,
    plugins: PathBuf,
    detectors: PathBuf,
    arguments: Vec<String>,
    log: Option<PathBuf>,
}

impl<'a> Options<'a> {
    pub(crate) fn new(data: &'a Path) -> Self {
        let assets = super::media::assets();
        Self {
            data,
            plugins: assets.join("plugins"),
            detectors: assets.join("detectors"),
            arguments: Vec::new(),
            log: None,
        }
    }

    pub(crate) fn plugins(mut self, dir: &Path) -> Self {
        self.plugins = dir.to_path_buf();
        self
    }

    pub(crate) fn detectors(mut self, dir: &Path) -> Self {
        self.detectors = dir.to_path_buf();
        self
    }

    pub(crate) fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Writes the log into a file, from level `info`.
    pub(crate) fn log(mut self, file: &Path) -> Self {
        self.log = Some(file.to_path_buf());
        self.argument("--log", "info")
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(program());
        command.args(["serve", "--data"]).arg(self.data).env("OCELLUS_LISTEN", "127.0.0.1:0");
        command.arg("--plugins").arg(&self.plugins).arg("--detectors").arg(&self.detectors);
        command.env("OCELLUS_LOG", "warn").env("OCELLUS_DEVICE", "cpu").args(&self.arguments);
        command
    }

    pub(crate) fn start(&self) -> Server {
        let log = self.log.as_ref().map_or_else(Stdio::inherit, |file| std::fs::File::create(file).unwrap().into());
        self.start_with_stderr(log)
    }

    /// Starts a server whose log goes to `stderr`.
    pub(crate) fn start_with_stderr(&self, stderr: Stdio) -> Server {
        let mut process = self.command().stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let base = line
            .trim()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("unexpected output of the server: {line:?}"))
            .to_owned();
        let token = std::fs::read_to_string(self.data.join("admin.token")).unwrap().trim().to_owned();
        Server { process, _stdout: lines.into_inner(), base, token, client: reqwest::Client::new() }
    }
}

/// Path of the `ocellus` binary that `cargo xtask build` made.
pub(crate) fn program() -> PathBuf {
    let path = super::media::target().join("release/ocellus");
    assert!(path.exists(), "{} is missing: run cargo xtask build", path.display());
    path
}

impl Server {
    pub(crate) fn start(data: &Path) -> Self {
        Options::new(data).start()
    }

    /// URL of the server, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.base.trim_start_matches("http://").parse().unwrap()
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_by(&self.client, method, path)
    }

    /// A request of another client, with connections of its own.
    pub(crate) fn request_by(&self, client: &reqwest::Client, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        client.request(method, url).header("Authorization", format!("Token {}", self.token))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        response.json().await.unwrap()
    }

    /// Status of the response to a request without a body.
    pub(crate) async fn status(&self, method: Method, path: &str) -> StatusCode {
        self.request(method, path).send().await.unwrap().status()
    }

    /// Sends a request with a body; status and JSON of the response.
    pub(crate) async fn send(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
        let response = self.request(method, path).body(body).send().await.unwrap();
        (response.status(), response.json().await.unwrap())
    }

    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        response.bytes().await.unwrap().to_vec()
    }

    /// Creates a video with these fields and the required ones; returns its id.
    pub(crate) async fn create(&self, more: Value) -> u64 {
        let body = with(json!({"camera_group": 1, "name": "test"}), more);
        let (status, video) = self.send(Method::POST, "/videos/", body.to_string()).await;
        assert_eq!(status, StatusCode::CREATED, "{video}");
        video["id"].as_u64().unwrap()
    }

    /// Returns the error of a request to create a video with these fields; asserts that nothing is
    /// stored.
    pub(crate) async fn create_refused(&self, more: Value) -> Value {
        let before = self.get("/videos/count/").await;
        let body = with(json!({"camera_group": 1, "name": "refused"}), more);
        let (status, error) = self.send(Method::POST, "/videos/", body.to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(self.get("/videos/count/").await, before);
        error
    }

    pub(crate) async fn patch(&self, id: u64, fields: &Value) {
        let (status, video) = self.send(Method::PATCH, &format!("/videos/{id}/"), fields.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{video}");
    }

    /// Creates a video with these fields, uploads its file and starts its job; returns its id.
    pub(crate) async fn process_file(&self, fields: Value, file: &Path) -> u64 {
        let id = self.create(fields).await;
        self.upload(id, file).await;
        self.process(id).await;
        id
    }

    pub(crate) async fn replay(&self, id: u64, body: Value) -> (StatusCode, Value) {
        self.send(Method::POST, &format!("/videos/{id}/replay/"), body.to_string()).await
    }

    /// Installs a component; status and JSON of the response.
    pub(crate) async fn install(&self, plugin: &str, component: Vec<u8>) -> (StatusCode, Value) {
        self.send(Method::PUT, &format!("/plugins/{plugin}/"), component).await
    }

    pub(crate) async fn upload(&self, id: u64, file: &Path) {
        let bytes = std::fs::read(file).unwrap();
        let response =
            self.request(Method::PUT, &format!("/videos/{id}/upload/source_file/")).body(bytes).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    pub(crate) async fn post(&self, path: &str) {
        let response = self.request(Method::POST, path).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "POST {path}");
    }

    pub(crate) async fn process(&self, id: u64) {
        self.post(&format!("/videos/{id}/process/")).await;
    }

    pub(crate) async fn video(&self, id: u64) -> Value {
        self.get(&format!("/videos/{id}/")).await
    }

    /// All objects of a video.
    pub(crate) async fn objects(&self, id: u64) -> Vec<Value> {
        let mut next = json!(format!("/videos/{id}/objects/?limit=7"));
        let mut all = Vec::new();
        while let Some(path) = next.as_str() {
            let page = self.get(path).await;
            all.extend(page["results"].as_array().unwrap().clone());
            next = page["next_page"].clone();
        }
        all
    }

    /// Waits until `wanted` holds of the video; returns the video. `what` names the condition in
    /// the message of a timeout.
    pub(crate) async fn wait(&self, id: u64, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let video = self.video(id).await;
            if wanted(&video) {
                return video;
            }
            assert!(begun.elapsed() < TIMEOUT, "timed out waiting until video {id} is {what}: {video:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for the end of the job, whatever its status; returns the video.
    pub(crate) async fn finished(&self, id: u64) -> Value {
        self.wait(id, "finished", |v| v["finished"] == true).await
    }

    /// All deliveries of a video in one of these states, separated by commas; all if empty.
    pub(crate) async fn deliveries(&self, id: u64, states: &str) -> Vec<Value> {
        self.get(&format!("/videos/{id}/deliveries/?limit=1000&state={states}")).await["results"]
            .as_array()
            .unwrap()
            .clone()
    }

    /// Waits for the end of the job and of all deliveries; returns the video.
    pub(crate) async fn delivered(&self, id: u64) -> Value {
        self.finished(id).await;
        until("all deliveries have ended", async || self.deliveries(id, "pending,retrying").await.is_empty()).await;
        self.video(id).await
    }

    /// Waits until at least `frames` frames are processed; returns the video.
    pub(crate) async fn under_way(&self, id: u64, frames: u64) -> Value {
        self.wait(id, "under way", |v| v["health_status"]["statistic"]["frames_processed"].as_u64() >= Some(frames))
            .await
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends SIGTERM; returns the exit status.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < TIMEOUT, "the server does not end after SIGTERM");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until `done`; `what` names the condition in the message of a timeout.
pub(crate) async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < TIMEOUT, "timed out waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ids of objects or deliveries.
pub(crate) fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// A JSON object extended by the keys of another, which win.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

/// Detector settings that keep small objects: the sample video is 272 pixels high.
pub(crate) fn small() -> Value {
    json!({"filter_min_size": 15, "filter_min_quality": 0.1})
}

/// Runs `ocellus` with arguments to its end; returns status, standard output and standard error.
pub(crate) fn run(arguments: &[&str]) -> (ExitStatus, String, String) {
    let mut process =
        Command::new(program()).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    process.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (process.wait().unwrap(), out, err)
}
