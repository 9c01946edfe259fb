//! HTTP client of the commands that need a server.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::trust;

/// The server that a command asks, and the token for it.
#[derive(Args, Debug)]
pub(crate) struct ServerArguments {
    /// The server.
    #[arg(long, env = "OCELLUS_SERVER", value_name = "URL", default_value = "http://127.0.0.1:8000")]
    server: String,

    /// A token. [default: the admin token in --data]
    #[arg(long, env = "OCELLUS_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// Data folder of a server on this machine, for its admin token.
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    data: Option<PathBuf>,

    /// Certificates (PEM) to trust beside those of the public authorities: of an authority of your
    /// own, or the server's own one, self-signed or not, whatever name it is for.
    #[arg(long, env = "OCELLUS_CA_CERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

/// A client of one server.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl ServerArguments {
    pub(super) fn client(&self) -> Result<Client> {
        let token = match (&self.token, &self.data) {
            (Some(token), _) => token.clone(),
            (None, Some(data)) => {
                let path = data.join("admin.token");
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?
            }
            (None, None) => bail!("--token TOKEN is missing; for a server on this machine, --data DIR does, too"),
        };
        let base = self.server.trim_end_matches('/').to_owned();
        let mut http = reqwest::Client::builder();
        if let Some(path) = &self.ca_cert {
            http = http.use_preconfigured_tls(trust::tls(path)?);
        }
        Ok(Client { http: http.build()?, base, token: token.trim().to_owned() })
    }
}

impl Client {
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    /// The JSON of a response; null where it has no body.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.send().await.with_context(|| format!("cannot reach the server at {}", self.base))?;
        let status = response.status();
        let text = response.text().await.context("the server's response broke off")?;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if status.is_success() {
            return Ok(json);
        }
        let desc = json.get("desc").and_then(Value::as_str).unwrap_or_else(|| status.canonical_reason().unwrap_or(""));
        match json.get("param").and_then(Value::as_str) {
            Some(param) => bail!("{param}: {desc}"),
            None if status == StatusCode::UNAUTHORIZED => bail!("the server does not take this token: {desc}"),
            None => bail!("{desc}"),
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }
}

/// Runs the requests of a command.
pub(super) fn block_on<R>(work: impl Future<Output = Result<R>>) -> Result<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    runtime.block_on(work)
}

/// A text from the server without control characters, which could control the terminal.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}
