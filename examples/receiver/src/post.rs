//! Parser of the multipart request that carries one object.

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
};
use bytes::Bytes;
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::Value;

use crate::Refusal;

/// Parts that every post has.
const REQUIRED: [&str; 5] = ["cam_id", "timestamp", "bbox", "detectorParams", "bs_type"];
/// Text parts that are JSON; others are stored as strings.
const JSON: [&str; 3] = ["bbox", "detectorParams", "labels"];
/// Parts that are files.
const PICTURES: [&str; 4] = ["photo", "normalized", "first_frame", "last_frame"];
/// Bytes; larger than a frame as PNG.
const LARGEST_PART: u64 = 64 << 20;
/// Bytes; a post is held in memory while it is read.
const LARGEST_POST: u64 = 128 << 20;

#[derive(Debug)]
pub(crate) struct Post {
    /// The Idempotency-Key, which a sender repeats when it retries a post without a response. A
    /// post without one gets a unique name.
    pub(crate) id: String,
    pub(crate) has_key: bool,
    /// Text parts by name.
    pub(crate) fields: serde_json::Map<String, Value>,
    pub(crate) pictures: Vec<Picture>,
}

#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) part: &'static str,
    pub(crate) extension: &'static str,
    pub(crate) content: Bytes,
}

impl Post {
    /// Reads a request. `number` is the name of a post without a key.
    pub(crate) async fn read(headers: &HeaderMap, body: Body, number: u64) -> Result<Self, Refusal> {
        let bad = |reason: String| Refusal::new(StatusCode::BAD_REQUEST, reason);
        let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or_default());
        let boundary = text(CONTENT_TYPE.as_str()).map(multer::parse_boundary);
        let Some(Ok(boundary)) = boundary else {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected multipart/form-data"));
        };
        let key = text("idempotency-key");
        // Keys become file names.
        if key.is_some_and(|k| {
            k.is_empty() || k.len() > 128 || !k.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        }) {
            return Err(bad("the Idempotency-Key may hold letters, digits, - and _ only".into()));
        }
        let id = key.map_or_else(|| format!("post-{number}"), str::to_owned);
        let mut post = Self { id, has_key: key.is_some(), fields: serde_json::Map::new(), pictures: Vec::new() };

        let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(LARGEST_POST).per_field(LARGEST_PART));
        let mut form = Multipart::with_constraints(body.into_data_stream(), boundary, limits);
        while let Some(field) = form.next_field().await.map_err(|e| bad(e.to_string()))? {
            let name = field.name().ok_or_else(|| bad("a part has no name".into()))?.to_owned();
            let png = field.content_type().is_some_and(|t| t.subtype() == "png");
            let content = field.bytes().await.map_err(|e| bad(format!("the part {name}: {e}")))?;
            if let Some(part) = PICTURES.into_iter().find(|p| *p == name) {
                post.pictures.push(Picture { part, extension: if png { "png" } else { "jpg" }, content });
            } else if JSON.contains(&name.as_str()) {
                let value =
                    serde_json::from_slice(&content).map_err(|e| bad(format!("the part {name} is not JSON: {e}")))?;
                post.fields.insert(name, value);
            } else {
                let value = String::from_utf8_lossy(&content).into_owned().into();
                post.fields.insert(name, value);
            }
        }
        match REQUIRED.iter().find(|name| !post.fields.contains_key(**name)) {
            Some(missing) => Err(bad(format!("the part {missing} is missing"))),
            None => Ok(post),
        }
    }

    /// The object type (`face`, `body`, `car`…), from the labels or else from the track.
    pub(crate) fn object_type(&self) -> &str {
        let label = self.fields.get("labels").and_then(|l| l.get("object_type"));
        let track = || self.fields.get("detectorParams").and_then(|p| p.get("track_objects")?.get(0));
        label.or_else(track).and_then(Value::as_str).unwrap_or("object")
    }

    /// The line to print: type, time, box, id.
    pub(crate) fn line(&self) -> String {
        let field = |name: &str| self.fields.get(name).unwrap_or(&Value::Null);
        let timestamp = field("timestamp").as_str().unwrap_or_default();
        format!("{:<6} {timestamp} {} {}", self.object_type(), field("bbox"), self.id)
    }
}
