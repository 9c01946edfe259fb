//! `{name}`: a router that posts objects as JSON.
//!
//! Start here: `encode` makes a request of an object, `judge` interprets the response. The server
//! sends, retries and records; requests only go to the host that the user configured.

use ocellus_plugin::{Body, Header, Manifest, Outcome, Post, Request, Router};
use serde::Deserialize;
use serde_json::json;

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Settings {}

pub struct {type};

impl Router for {type} {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "{name}",
        version: env!("CARGO_PKG_VERSION"),
        description: "Posts objects as JSON.",
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
        ..Manifest::DEFAULT
    };

    fn open(_: Settings) -> Result<Self, String> {
        Ok(Self)
    }

    fn encode(&self, post: Post) -> Result<Request, String> {
        let b = post.best.bbox;
        let body = json!({
            "id": post.id, "type": post.object_type, "video": post.video, "track": post.track,
            "time": post.best.time, "bbox": [b.left, b.top, b.right, b.bottom], "quality": post.best.quality,
        });
        let headers = vec![Header { name: "content-type".into(), value: "application/json".into() }];
        Ok(Request { method: "POST".into(), url: None, headers, body: Body::Bytes(body.to_string().into_bytes()) })
    }

    fn judge(&self, status: u16, _: Vec<Header>, _: Vec<u8>) -> Outcome {
        match status {
            200..=299 => Outcome::Accepted,
            408 | 425 | 429 | 500..=599 => Outcome::Retry(None),
            other => Outcome::Refused(format!("the receiver answered {other}")),
        }
    }
}

ocellus_plugin::register!({type}: Router);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_to_a_busy_receiver_is_retried() {
        assert!(matches!({type}.judge(503, vec![], vec![]), Outcome::Retry(None)));
        assert!(matches!({type}.judge(400, vec![], vec![]), Outcome::Refused(_)));
    }
}
