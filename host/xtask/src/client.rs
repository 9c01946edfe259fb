//! HTTP client for the part of the server's API that the commands of xtask use.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use ureq::{
    Agent, SendBody,
    http::{Method, Request, Response},
};

#[derive(Deserialize)]
pub(crate) struct Video {
    pub(crate) id: u64,
    pub(crate) finished: bool,
    /// Seconds; absent where the recording has no duration.
    pub(crate) source_len: Option<f64>,
    pub(crate) error: Option<String>,
    pub(crate) face_count: u64,
    pub(crate) body_count: u64,
    pub(crate) car_count: u64,
    pub(crate) health_status: HealthStatus,
}

#[derive(Deserialize)]
pub(crate) struct HealthStatus {
    pub(crate) status: String,
    pub(crate) statistic: Statistic,
}

/// All 0 before the first job.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Statistic {
    pub(crate) frames_processed: u64,
    pub(crate) processing_fps: f64,
    /// Seconds of media.
    pub(crate) processed_duration: f64,
    /// By stage.
    pub(crate) cpu_seconds: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
pub(crate) struct Objects {
    pub(crate) next_page: Option<String>,
    pub(crate) results: Vec<Object>,
}

#[derive(Deserialize)]
pub(crate) struct Deliveries {
    pub(crate) results: Vec<Value>,
}

#[derive(Deserialize)]
pub(crate) struct Object {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) object_type: String,
    /// Seconds from the start of the recording.
    pub(crate) first_time: f64,
    pub(crate) last_time: f64,
    /// Left, top, right, bottom in pixels.
    pub(crate) bbox: [i32; 4],
    pub(crate) score: f64,
    pub(crate) quality: f64,
    pub(crate) thumbnail: String,
    /// Identity, after the end of the job.
    pub(crate) cluster: Option<String>,
}

/// Response of `GET /` of the receiver.
#[derive(Deserialize)]
pub(crate) struct Received {
    pub(crate) posts: u64,
    pub(crate) duplicates: u64,
}

/// A response of any status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Parses the body.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("unexpected response: {}", String::from_utf8_lossy(&self.body)))
    }
}

pub(crate) struct Client {
    agent: Agent,
    /// URL of the server, without a slash at its end.
    pub(crate) base: String,
    pub(crate) token: String,
}

/// Reads the token that a server created in its data folder.
pub(crate) fn admin_token(data: &Path) -> Result<String> {
    let path = data.join("admin.token");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

impl Client {
    pub(crate) fn new(base: String, token: String) -> Self {
        Self::with_timeout(base, token, None)
    }

    /// With a timeout of every request until its response is complete.
    pub(crate) fn with_timeout(base: String, token: String, timeout: Option<Duration>) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().into();
        Self { agent, base, token }
    }

    /// A client of the same server with a connection pool of its own.
    pub(crate) fn with_own_connections(&self) -> Self {
        Self::new(self.base.clone(), self.token.clone())
    }

    fn authorization(&self) -> String {
        format!("Token {}", self.token)
    }

    /// Sends a request; the response, whatever its status, or an error if there is no complete one.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let bodiless = matches!(method, Method::GET | Method::DELETE);
        let request = Request::builder().method(method).uri(url).header("Authorization", self.authorization());
        let mut response =
            if bodiless { self.agent.run(request.body(())?)? } else { self.agent.run(request.body(body)?)? };
        Ok(Reply { status: response.status().as_u16(), body: response.body_mut().read_to_vec()? })
    }

    /// Text of the response to a GET. `path` may be an absolute URL, as in `next_page`.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        accepted(path, self.agent.get(url).header("Authorization", self.authorization()).call())
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = self.read(path)?;
        serde_json::from_str(&text).with_context(|| format!("unexpected response of {path}: {text}"))
    }

    /// Posts `body`, or nothing if it is null; text of the response.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<String> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("Authorization", self.authorization());
        accepted(
            path,
            if body.is_null() {
                request.send_empty()
            } else {
                request.content_type("application/json").send(body.to_string())
            },
        )
    }

    /// Creates a video with these fields; its id.
    pub(crate) fn create(&self, fields: &Value) -> Result<u64> {
        let text = self.post("/videos/", fields)?;
        let Video { id, .. } = serde_json::from_str(&text).with_context(|| format!("not a video: {text}"))?;
        Ok(id)
    }

    /// Puts a job of the video into the queue.
    pub(crate) fn process(&self, video: u64) -> Result<()> {
        self.post(&format!("/videos/{video}/process/"), &Value::Null).map(drop)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let request = self.agent.delete(format!("{}{path}", self.base)).header("Authorization", self.authorization());
        accepted(path, request.call()).map(drop)
    }

    /// Sends a file as the body, showing a progress bar.
    pub(crate) fn upload(&self, path: &str, file: &Path) -> Result<()> {
        let content = fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
        let length = content.metadata()?.len();
        let bar = ProgressBar::new(length)
            .with_style(ProgressStyle::with_template("   Uploading {bar:30} {bytes} of {total_bytes}")?);
        let mut reader = bar.wrap_read(content);
        let request = self.agent.put(format!("{}{path}", self.base)).header("Authorization", self.authorization());
        let response = request.header("Content-Length", length.to_string()).send(SendBody::from_reader(&mut reader));
        bar.finish_and_clear();
        accepted(path, response).map(drop)
    }
}

/// Text of a response with a success status; any other status is an error.
fn accepted(path: &str, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<String> {
    let mut response = response.with_context(|| format!("no response from {path}"))?;
    let text = response.body_mut().read_to_string().with_context(|| format!("the response of {path} was cut off"))?;
    if !response.status().is_success() {
        bail!("{path} answered {}: {text}", response.status());
    }
    Ok(text)
}
