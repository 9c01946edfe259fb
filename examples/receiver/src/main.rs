//! A receiver for what Ocellus posts: takes the objects, keeps their pictures, counts.
//!
//! Shows how to read the multipart request of the worker's protocol, and serves as a router to try things with: it can
//! be told to be slow or to refuse.

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
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use clap::Parser;
use serde_json::{Value, json};

use crate::{journal::Journal, post::Post};

/// Takes what Ocellus posts and keeps it in a folder.
#[derive(Parser)]
#[command(name = "ocellus-receiver", version, max_term_width = 100)]
struct Arguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8100")]
    listen: SocketAddr,
    /// Folder for the pictures and for posts.jsonl, one line for each post.
    #[arg(long, default_value = "received")]
    dir: PathBuf,
    /// Take only posts with "Authorization: Token …" of this token.
    #[arg(long)]
    token: Option<String>,
    /// Do not print a line for each object.
    #[arg(long)]
    quiet: bool,
    /// Wait this long before answering, as a slow receiver would.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Answer this many posts with 503 before taking any, as a receiver that starts up would.
    #[arg(long, default_value_t = 0)]
    fail_first: u64,
    /// Answer every post with this status, and keep it only if the status is a success.
    #[arg(long, default_value = "202", value_parser = status)]
    status: StatusCode,
}

fn status(code: &str) -> Result<StatusCode, String> {
    StatusCode::from_bytes(code.as_bytes()).map_err(|e| e.to_string())
}

struct Receiver {
    arguments: Arguments,
    /// Posts that came in, whatever became of them.
    arrived: AtomicU64,
    journal: Journal,
}

/// Why a post is not taken.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    reason: String,
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let journal = Journal::open(&arguments.dir).with_context(|| format!("cannot write to {}", arguments.dir.display()))?;
    let listen = arguments.listen;
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let receiver = Arc::new(Receiver { arguments, arrived: AtomicU64::new(0), journal });
    let app = Router::new().route("/", get(summary).post(take)).route("/{*path}", post(take)).with_state(receiver);
    axum::serve(listener, app).with_graceful_shutdown(ended()).await?;
    Ok(())
}

/// Ctrl-C or SIGTERM.
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

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> (StatusCode, Json<Value>) {
    tokio::time::sleep(Duration::from_millis(receiver.arguments.delay_ms)).await;
    match receiver.keep(&headers, body).await {
        Ok(id) => (receiver.arguments.status, Json(json!({"id": id}))),
        Err(Refusal { status, reason }) => (status, Json(json!({"error": reason}))),
    }
}

impl Receiver {
    /// Reads and keeps a post; the name that it is kept under.
    async fn keep(&self, headers: &HeaderMap, body: Body) -> Result<String, Refusal> {
        let Arguments { token, fail_first, status, quiet, .. } = &self.arguments;
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        if number < *fail_first {
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "told to fail at first"));
        }
        if !status.is_success() {
            return Err(Refusal::new(*status, "told to answer so"));
        }
        if let Some(token) = token
            && headers.get("authorization").and_then(|v| v.to_str().ok()) != Some(&format!("Token {token}"))
        {
            return Err(Refusal::new(StatusCode::UNAUTHORIZED, "wrong token"));
        }
        let post = Post::read(headers, body, number).await?;
        let id = post.id.clone();
        let line = self.journal.keep(post).map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, e.to_string()))?;
        // Nobody may be reading; that is no reason to refuse a post.
        if !quiet {
            let _ = writeln!(std::io::stdout(), "{line}");
        }
        Ok(id)
    }
}
