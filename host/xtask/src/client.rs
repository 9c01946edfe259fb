//! The server's API as a client sees it, as far as the commands of this program need it.

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
    /// Seconds; some recordings do not say.
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

/// All nought before the first job.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Statistic {
    pub(crate) frames_processed: u64,
    pub(crate) processing_fps: f64,
    /// Seconds of media.
    pub(crate) processed_duration: f64,
    /// By what for.
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
}

/// What `GET /` of the receiver says.
#[derive(Deserialize)]
pub(crate) struct Received {
    pub(crate) posts: u64,
    pub(crate) duplicates: u64,
}

/// An answer, whatever its status.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, where it is what is expected.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("unexpected answer: {}", String::from_utf8_lossy(&self.body)))
    }
}

pub(crate) struct Client {
    agent: Agent,
    /// Without a slash at its end.
    pub(crate) base: String,
    pub(crate) token: String,
}

impl Client {
    pub(crate) fn new(base: String, token: String) -> Self {
        Self::patient(base, token, None)
    }

    /// One that gives an answer up which is not complete after `patience`.
    pub(crate) fn patient(base: String, token: String, patience: Option<Duration>) -> Self {
        let agent = Agent::config_builder().http_status_as_error(false).timeout_global(patience).build().into();
        Self { agent, base, token }
    }

    /// The same, with connections of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.base.clone(), self.token.clone())
    }

    fn authorization(&self) -> String {
        format!("Token {}", self.token)
    }

    /// Whatever is answered, refusals too; an error where there is no complete answer.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &[u8]) -> Result<Reply, ureq::Error> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let bodiless = matches!(method, Method::GET | Method::DELETE);
        let request = Request::builder().method(method).uri(url).header("Authorization", self.authorization());
        let mut response =
            if bodiless { self.agent.run(request.body(())?)? } else { self.agent.run(request.body(body)?)? };
        Ok(Reply { status: response.status().as_u16(), body: response.body_mut().read_to_vec()? })
    }

    /// The text of the answer. `path` may be a whole URL, as pages name each other.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        accepted(path, self.agent.get(url).header("Authorization", self.authorization()).call())
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let text = self.read(path)?;
        serde_json::from_str(&text).with_context(|| format!("{path} answered something else than expected: {text}"))
    }

    /// The text of the answer.
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

    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let request = self.agent.delete(format!("{}{path}", self.base)).header("Authorization", self.authorization());
        accepted(path, request.call()).map(drop)
    }

    /// Sends a file as the body, with a progress bar.
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

/// The text of an answer, if it is one of success.
fn accepted(path: &str, response: Result<Response<ureq::Body>, ureq::Error>) -> Result<String> {
    let mut response = response.with_context(|| format!("no answer from {path}"))?;
    let text = response.body_mut().read_to_string().with_context(|| format!("the answer of {path} broke off"))?;
    if !response.status().is_success() {
        bail!("{path} answered {}: {text}", response.status());
    }
    Ok(text)
}
