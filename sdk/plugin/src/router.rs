//! Routers: the trait, and its export as a component.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

pub use crate::bindings::router::exports::ocellus::plugin::routing::{
    Bbox, BestShotType, Body, Content, Header, Moment as PostMoment, Outcome, Part, Picture, PictureInfo, Post,
    Request, TrackPoint,
};
use crate::{
    Manifest, Stages,
    bindings::{router::exports::ocellus::plugin::routing, types},
};

/// A router. It has no state between calls: the same post gives the same request.
///
/// A complete router:
///
/// ```
/// use ocellus_plugin::{Body, Header, Manifest, Outcome, Post, Request, Router};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Settings {}
///
/// const JSON: &str = "application/json";
///
/// /// Posts type and time of each object as JSON, without pictures.
/// struct Json;
///
/// impl Router for Json {
///     type Settings = Settings;
///     const MANIFEST: Manifest =
///         Manifest { name: "json", version: "1.0.0", description: "Posts JSON.",
/// ..Manifest::DEFAULT };
///
///     fn open(_: Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn encode(&self, post: Post) -> Result<Request, String> {
///         let (kind, time) = (post.object_type, post.best.timestamp);
///         let body = serde_json::json!({"id": post.id, "type": kind, "time": time});
///         Ok(Request {
///             method: "POST".into(),
///             url: None,
///             headers: vec![Header { name: "content-type".into(), value: JSON.into() }],
///             body: Body::Bytes(body.to_string().into_bytes()),
///         })
///     }
/// }
///
/// ocellus_plugin::register!(Json: Router);
///
/// assert_eq!(Json.judge(201, vec![], vec![]), Outcome::Accepted);
/// ```
pub trait Router: Sized + 'static {
    /// Deserialized from JSON that fits the manifest's schema; give absent keys their defaults with
    /// `#[serde(default)]`.
    type Settings: DeserializeOwned;
    /// The description of the plugin, which the host reads before it opens a session.
    const MANIFEST: Manifest;

    /// Opens a session.
    ///
    /// # Errors
    /// The text is shown to the user and fails the job.
    fn open(settings: Self::Settings) -> Result<Self, String>;

    /// Encodes the request for an object, the same in every attempt.
    ///
    /// # Errors
    /// The text is the reason of a delivery that fails for good.
    fn encode(&self, post: Post) -> Result<Request, String>;

    /// Interprets a response. By default 2xx is delivered; 408, 425, 429 and 5xx are retried, after
    /// `retry-after` seconds where the response has that header; all others are refused.
    fn judge(&self, status: u16, headers: Vec<Header>, body: Vec<u8>) -> Outcome {
        let _ = body;
        match status {
            200..=299 => Outcome::Accepted,
            408 | 425 | 429 | 500..=599 => {
                let wait =
                    headers.iter().find(|h| h.name == "retry-after").and_then(|h| h.value.trim().parse::<u64>().ok());
                Outcome::Retry(wait.map(|seconds| seconds.saturating_mul(1000)))
            }
            _ => Outcome::Refused(format!("the receiver answered {status}")),
        }
    }
}

impl Part {
    /// A form field.
    pub fn text(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.into(), filename: None, content_type: None, content: Content::Text(text.into()) }
    }

    /// A file part with one of the post's pictures, of the picture's own type.
    pub fn picture(name: &str, filename: impl Into<String>, picture: Picture) -> Self {
        Self {
            name: name.into(),
            filename: Some(filename.into()),
            content_type: None,
            content: Content::Picture(picture),
        }
    }
}

#[doc(hidden)]
pub struct Exports<T>(PhantomData<T>);

#[doc(hidden)]
pub struct Session<T>(T);

impl<T: Router> routing::Guest for Exports<T> {
    type Session = Session<T>;

    fn describe() -> types::Manifest {
        T::MANIFEST.with_stages(Stages::empty())
    }
}

impl<T: Router> routing::GuestSession for Session<T> {
    fn open(settings: String) -> Result<routing::Session, String> {
        Ok(routing::Session::new(Self(T::open(crate::settings(&settings)?)?)))
    }

    fn encode(&self, post: Post) -> Result<Request, String> {
        self.0.encode(post)
    }

    fn judge(&self, status: u16, headers: Vec<Header>, body: Vec<u8>) -> Outcome {
        self.0.judge(status, headers, body)
    }
}
