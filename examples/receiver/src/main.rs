//! Example receiver of Ocellus' posts: stores objects with their pictures, and counts them.
//!
//! Shows how to parse the multipart request of the worker's protocol. For tests it can be slow,
//! fail or refuse.

mod journal;
mod post;

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use serde_json::{Value, json};

use crate::{journal::Journal, post::Post};

/// Receives the objects that Ocellus posts and stores them in a folder.
#[derive(Parser)]
#[command(name = "ocellus-receiver", version, max_term_width = 100)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
    /// Folder for the pictures and for posts.jsonl, one line for each post.
    #[arg(long, default_value = "received")]
    dir: PathBuf,
    /// Accept only posts with this token, as "Authorization: Token …".
    #[arg(long)]
    token: Option<String>,
    /// Do not print a line for each object.
    #[arg(long)]
    quiet: bool,
    /// Milliseconds to wait before each response, as a slow receiver.
    #[arg(long, alias = "delay-ms", value_name = "MS", default_value_t = 0)]
    slow: u64,
    /// Seconds after the start in which every connection is closed without a response, as a
    /// receiver that is down.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    down_for: u64,
    /// Respond to every Nth post with 500; 0 to none.
    #[arg(long, value_name = "N", default_value_t = 0)]
    fail_every: u64,
    /// Respond to this share of the posts, 0 to 1, with 503; the same ones in every run.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = share)]
    flaky: f64,
    /// Send Retry-After with the failures of --fail-every, --fail-first, --flaky and --status.
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Respond to the first N posts with 503, as a receiver that starts up.
    #[arg(long, default_value_t = 0)]
    fail_first: u64,
    /// Respond to every post with this status, and store it only if the status is a success.
    #[arg(long, default_value = "202", value_parser = status)]
    status: StatusCode,
}

fn status(code: &str) -> Result<StatusCode, String> {
    StatusCode::from_bytes(code.as_bytes()).map_err(|e| e.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "not a number from 0 to 1".into())
}

/// Pseudo-random number from 0 to below 1 of the post's number (SplitMix64's finalizer), the same
/// in every run.
fn pseudo_random(number: u64) -> f64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

struct Receiver {
    arguments: Arguments,
    /// Number of posts, including refused ones.
    arrived: AtomicU64,
    journal: Journal,
}

/// Reason why a post is not accepted.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    reason: String,
    /// An option caused the failure; the post may be valid.
    on_purpose: bool,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), on_purpose: false }
    }

    fn on_purpose(status: StatusCode, reason: &str) -> Self {
        Self { on_purpose: true, ..Self::new(status, reason) }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let journal =
        Journal::open(&arguments.dir).with_context(|| format!("cannot write to {}", arguments.dir.display()))?;
    let listen = arguments.listen;
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    if arguments.down_for > 0 {
        let down = async {
            loop {
                // Accepted and dropped, so that the sender's connection is closed.
                drop(listener.accept().await);
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(arguments.down_for), down).await;
    }
    let receiver = Arc::new(Receiver { arguments, arrived: AtomicU64::new(0), journal });
    let app = Router::new().route("/", get(summary).post(take)).route("/{*path}", post(take)).with_state(receiver);
    axum::serve(listener, app).with_graceful_shutdown(ended()).await?;
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn ended() {
    let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn summary(State(receiver): State<Arc<Receiver>>) -> Json<Value> {
    Json(receiver.journal.summary())
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> Response {
    let Arguments { slow, status, retry_after, .. } = &receiver.arguments;
    tokio::time::sleep(Duration::from_millis(*slow)).await;
    match receiver.keep(&headers, body).await {
        Ok(id) => (*status, Json(json!({"id": id}))).into_response(),
        Err(Refusal { status, reason, on_purpose }) => {
            let mut response = (status, Json(json!({"error": reason}))).into_response();
            if let (Some(seconds), true) = (retry_after, on_purpose) {
                response.headers_mut().insert(RETRY_AFTER, (*seconds).into());
            }
            response
        }
    }
}

impl Receiver {
    /// Reads and stores a post, and returns the name that it is stored under.
    async fn keep(&self, headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
        let Arguments { token, fail_first, fail_every, flaky, status, quiet, .. } = &self.arguments;
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        if number < *fail_first {
            return Err(Refusal::on_purpose(StatusCode::SERVICE_UNAVAILABLE, "--fail-first"));
        }
        if *fail_every > 0 && (number + 1).is_multiple_of(*fail_every) {
            return Err(Refusal::on_purpose(StatusCode::INTERNAL_SERVER_ERROR, "--fail-every"));
        }
        if pseudo_random(number) < *flaky {
            return Err(Refusal::on_purpose(StatusCode::SERVICE_UNAVAILABLE, "--flaky"));
        }
        if !status.is_success() {
            return Err(Refusal::on_purpose(*status, "--status"));
        }
        if let Some(token) = token
            && headers.get("authorization").and_then(|v| v.to_str().ok()) != Some(&format!("Token {token}"))
        {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong token"));
        }
        let post = Post::read(headers, body, number).await?;
        let id = post.id.clone();
        let line =
            self.journal.keep(post).map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
        // Standard output may be closed, which is no reason to refuse a post.
        if !quiet {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        Ok(id)
    }
}
