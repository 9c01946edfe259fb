//! A receiver for what Ocellus posts: takes the objects, keeps their pictures, counts.
//!
//! Shows how to read the multipart request of the worker's protocol, and serves as a router to try things with: it can
//! be told to be slow or to refuse.

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    routing::{get, post},
};
use bytes::Bytes;
use clap::Parser;
use serde_json::{Value, json};

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
    /// Take posts with "Authorization: Token …" of this token only.
    #[arg(long)]
    token: Option<String>,
    /// Do not print a line for each object.
    #[arg(long)]
    quiet: bool,
    /// Wait this long before answering, as a slow receiver would.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Answer the first posts with 503, as a receiver that starts up would.
    #[arg(long, default_value_t = 0)]
    fail_first: u64,
}

/// The parts that every post has.
const REQUIRED: [&str; 5] = ["cam_id", "timestamp", "bbox", "detectorParams", "bs_type"];
/// The parts that are pictures.
const PICTURES: [&str; 4] = ["photo", "normalized", "first_frame", "last_frame"];
/// More than a post of four pictures needs.
const LARGEST: u64 = 256 << 20;

struct Receiver {
    arguments: Arguments,
    requests: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    posts: u64,
    duplicates: u64,
    by_type: HashMap<String, u64>,
    keys: HashSet<String>,
}

type Answer = (StatusCode, Json<Value>);

fn refuse(status: StatusCode, reason: impl Into<String>) -> Answer {
    (status, Json(json!({"error": reason.into()})))
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.dir).with_context(|| format!("cannot make {}", arguments.dir.display()))?;
    let listener =
        tokio::net::TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    let receiver = Arc::new(Receiver { arguments, requests: AtomicU64::new(0), log: Mutex::default() });
    let app = Router::new().route("/", get(summary)).route("/{*path}", post(take)).with_state(receiver);
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
    let log = receiver.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Json(json!({"posts": log.posts, "duplicates": log.duplicates, "by_type": log.by_type}))
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Body) -> Answer {
    let arguments = &receiver.arguments;
    if arguments.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(arguments.delay_ms)).await;
    }
    if receiver.requests.fetch_add(1, Ordering::Relaxed) < arguments.fail_first {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "not yet");
    }
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    if let Some(token) = &arguments.token
        && header("authorization") != Some(&format!("Token {token}"))
    {
        return refuse(StatusCode::UNAUTHORIZED, "wrong token");
    }
    let Some(Ok(boundary)) = header(CONTENT_TYPE.as_str()).map(multer::parse_boundary) else {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected multipart/form-data");
    };
    let parts = match parts(body, boundary).await {
        Ok(parts) => parts,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, error.to_string()),
    };
    if let Some(missing) = REQUIRED.iter().find(|name| !parts.contains_key(**name)) {
        return refuse(StatusCode::BAD_REQUEST, format!("the part {missing} is missing"));
    }
    let name = header("idempotency-key").unwrap_or("without-key").to_owned();
    // Keys become file names.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return refuse(StatusCode::BAD_REQUEST, "the Idempotency-Key is no name");
    }
    match receiver.keep(&name, &parts) {
        Ok(()) => (StatusCode::ACCEPTED, Json(json!({"id": name}))),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

async fn parts(body: Body, boundary: String) -> Result<HashMap<String, Bytes>> {
    let limits = multer::Constraints::new().size_limit(multer::SizeLimit::new().whole_stream(LARGEST));
    let mut form = multer::Multipart::with_constraints(body.into_data_stream(), boundary, limits);
    let mut parts = HashMap::new();
    while let Some(field) = form.next_field().await? {
        let name = field.name().context("a part has no name")?.to_owned();
        parts.insert(name, field.bytes().await?);
    }
    Ok(parts)
}

impl Receiver {
    fn keep(&self, name: &str, parts: &HashMap<String, Bytes>) -> Result<()> {
        for picture in PICTURES {
            if let Some(bytes) = parts.get(picture) {
                std::fs::write(self.arguments.dir.join(format!("{name}.{picture}.jpg")), bytes)?;
            }
        }
        let value = |part: &str| {
            parts.get(part).map_or(Value::Null, |b| serde_json::from_slice(b).unwrap_or_else(|_| String::from_utf8_lossy(b).into()))
        };
        let labels = value("labels");
        let object_type = labels["object_type"].as_str().unwrap_or("object").to_owned();
        let line = json!({
            "key": name,
            "cam_id": value("cam_id"),
            "timestamp": value("timestamp"),
            "bbox": value("bbox"),
            "bs_type": value("bs_type"),
            "detectorParams": value("detectorParams"),
            "labels": labels,
        });

        let mut log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = std::fs::File::options().create(true).append(true).open(self.arguments.dir.join("posts.jsonl"))?;
        writeln!(file, "{line}")?;
        log.posts += 1;
        *log.by_type.entry(object_type.clone()).or_default() += 1;
        if !log.keys.insert(name.to_owned()) {
            log.duplicates += 1;
        }
        if !self.arguments.quiet {
            writeln!(std::io::stdout(), "{object_type:<6} {} {} {name}", line["timestamp"], line["bbox"])?;
        }
        Ok(())
    }
}
