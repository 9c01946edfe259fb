//! `json`: a router that posts each object as one JSON document, in the form that Standard Webhooks
//! recommends: `type`, `timestamp` and `data`.
//!
//! Its pictures are signed URLs, or base64 in the document, or left out. Boxes are in pixels of the
//! frame. 2xx is delivered; 408, 425, 429 and 5xx are retried.

mod document;

use ocellus_plugin::{
    Body, Capability, Header, Limits, Manifest, Picture, PictureUnavailable, Post, Request, Router, picture,
    picture_url,
};
use serde::Deserialize;
use serde_json::Value;

/// The settings of `MANIFEST.settings_schema`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Sent as `Authorization: Bearer <token>`; empty sends no such header.
    pub token: String,
    /// Form of pictures in the document.
    pub pictures: Pictures,
    /// Validity of the pictures' URLs, in seconds.
    pub url_seconds: u32,
}

/// Form of pictures in the document.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Pictures {
    /// URLs that need no token.
    #[default]
    Urls,
    /// The files in base64.
    Base64,
    /// No content.
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self { token: String::new(), pictures: Pictures::default(), url_seconds: 86_400 }
    }
}

/// A session.
#[derive(Debug)]
pub struct Json(Settings);

impl Router for Json {
    type Settings = Settings;
    const MANIFEST: Manifest = Manifest {
        name: "json",
        version: env!("CARGO_PKG_VERSION"),
        description: "Posts each object as one JSON document, as Standard Webhooks recommends.",
        settings_schema: r#"{
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "token": {"type": "string", "pattern": "^[!-~]*$", "maxLength": 1024, "default": "",
                    "description": "Sent as \"Authorization: Bearer <token>\"; empty sends no such header."},
                "pictures": {"enum": ["urls", "base64", "none"], "default": "urls",
                    "description": "URLs that need no token, the files in base64, or nothing."},
                "url_seconds": {"type": "integer", "minimum": 1, "maximum": 604800, "default": 86400,
                    "description": "For how long the URLs of pictures are valid."}
            }
        }"#,
        capabilities: &[Capability::Pictures],
        limits: Limits::DEFAULT,
        on_fault: None,
    };

    fn open(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn encode(&self, post: Post) -> Result<Request, String> {
        let mut headers = vec![
            Header { name: "content-type".into(), value: "application/json".into() },
            Header { name: "idempotency-key".into(), value: post.id.clone() },
        ];
        if !self.0.token.is_empty() {
            headers.push(Header { name: "authorization".into(), value: format!("Bearer {}", self.0.token) });
        }
        let document = document::of(&post, |index| self.content(&post, index))?;
        Ok(Request { method: "POST".into(), url: None, headers, body: Body::Bytes(document.to_string().into_bytes()) })
    }
}

impl Json {
    /// The content of a picture in the document: a key with its value.
    fn content(&self, post: &Post, index: usize) -> Result<Option<(&'static str, Value)>, String> {
        let unavailable = |error: PictureUnavailable| format!("a picture of {} is not available: {error:?}", post.id);
        match self.0.pictures {
            Pictures::None => Ok(None),
            Pictures::Base64 => Ok(Some(("base64", document::base64(&picture(index).map_err(unavailable)?)))),
            Pictures::Urls => match picture_url(index, self.0.url_seconds) {
                Ok(url) => Ok(Some(("url", url.into()))),
                // The first and the last frame of a track have no URL.
                Err(PictureUnavailable::NoUrl) if !is_of_best_shot(post, index) => Ok(None),
                Err(PictureUnavailable::NoUrl) => {
                    Err("pictures have no URLs while the server has no --public-url and listens on all addresses"
                        .into())
                }
                Err(error) => Err(unavailable(error)),
            },
        }
    }
}

fn is_of_best_shot(post: &Post, index: usize) -> bool {
    post.pictures.get(index).is_some_and(|info| matches!(info.picture, Picture::Photo | Picture::Normalized))
}

ocellus_plugin::register!(Json: Router);

#[cfg(test)]
mod tests {
    use ocellus_plugin::{Attribute, Bbox, BestShotType, PictureInfo, PostMoment, Size, TrackPoint};
    use serde_json::json;

    use super::*;

    fn moment(frame: u64) -> PostMoment {
        let timestamp = 1_625_125_934_822_000 + frame as i64 * 40_000;
        let bbox = Bbox { left: 620, top: 380, right: 1383, bottom: 1143 };
        PostMoment { frame, time: frame as f64 / 25.0, timestamp, bbox, score: 0.9, quality: 0.799_950_4 }
    }

    fn post() -> Post {
        let size = Size { width: 1920, height: 1080 };
        let region = Bbox { left: 0, top: 0, right: 1920, bottom: 1080 };
        let note = |key: &str, value: &str| Attribute { key: key.into(), value: value.into() };
        Post {
            id: "7-1-car-44-0".into(),
            url: "https://receiver.example/objects".into(),
            video: 7,
            job: "7-1".into(),
            camera: None,
            camera_group: Some(1),
            object_type: "car".into(),
            best_shot_type: BestShotType::Overall,
            end_of_track: true,
            track: "7-1-car-44".into(),
            first: moment(0),
            last: moment(105),
            best: moment(50),
            landmarks: None,
            detections: 100,
            interpolated: 6,
            history: vec![],
            attributes: vec![note("color", "red"), note("color.confidence", "0.75"), note("gate", "3")],
            pictures: [Picture::Photo, Picture::LastFrame]
                .map(|picture| PictureInfo { picture, content_type: "image/jpeg".into(), size, region })
                .into(),
        }
    }

    fn document(settings: Settings, post: Post) -> Value {
        let Body::Bytes(bytes) = Json(settings).encode(post).unwrap().body else { panic!("a form") };
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn an_object_is_a_document_of_standard_webhooks() {
        let document = document(Settings { pictures: Pictures::None, ..Settings::default() }, post());
        let best = json!({"frame": 50, "time": 2.0, "timestamp": "2021-07-01T07:52:16.822Z",
            "bbox": [620, 380, 1383, 1143], "score": 0.9, "quality": 0.79995});
        let picture = json!({"content_type": "image/jpeg", "width": 1920, "height": 1080,
            "region": [0, 0, 1920, 1080]});
        assert_eq!((&document["type"], &document["timestamp"]), (&json!("object.overall"), &best["timestamp"]));
        let data = &document["data"];
        assert_eq!(data["best"], best);
        assert_eq!(data["pictures"], json!({"photo": picture, "last_frame": picture}));
        assert_eq!(data["features"], json!({"color": {"name": "red", "confidence": 0.75}}));
        assert_eq!(data["attributes"], json!({"gate": "3"}));
        assert_eq!(
            (&data["id"], &data["video"], &data["camera_group"]),
            (&json!("7-1-car-44-0"), &json!(7), &json!(1))
        );
        assert_eq!((&data["camera"], &data["landmarks"]), (&Value::Null, &Value::Null));
        assert_eq!(data.get("history"), None);
    }

    #[test]
    fn the_history_is_in_the_document_if_present() {
        let PostMoment { frame, time, timestamp, bbox, .. } = moment(1);
        let point = TrackPoint { frame, time, timestamp, bbox, interpolated: true };
        let settings = Settings { pictures: Pictures::None, ..Settings::default() };
        let document = document(settings, Post { history: vec![point], ..post() });
        let expected = json!([{"frame": 1, "time": 0.04, "timestamp": "2021-07-01T07:52:14.862Z",
            "bbox": [620, 380, 1383, 1143], "interpolated": true}]);
        assert_eq!(document["data"]["history"], expected);
    }

    #[test]
    fn a_picture_that_cannot_be_read_fails_the_delivery() {
        // Outside of a server there are no pictures.
        let error = Json(Settings { pictures: Pictures::Base64, ..Settings::default() }).encode(post()).unwrap_err();
        assert!(error.contains("7-1-car-44-0"), "{error}");
    }

    #[test]
    fn the_token_is_sent_if_set() {
        let names = |token: &str| -> Vec<String> {
            let settings = Settings { token: token.into(), pictures: Pictures::None, ..Settings::default() };
            let headers = Json(settings).encode(post()).unwrap().headers;
            headers.into_iter().map(|h| format!("{}: {}", h.name, h.value)).collect()
        };
        let always = ["content-type: application/json", "idempotency-key: 7-1-car-44-0"];
        assert_eq!(names(""), always);
        assert_eq!(names("abc"), [always.as_slice(), &["authorization: Bearer abc"]].concat());
    }
}
