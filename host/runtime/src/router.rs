//! Router sessions: calls of a router plugin, and validation of its answers.
//!
//! Guarantees: a request goes to the origin of the post's URL, and none of its fields can inject
//! into the HTTP message. Ends with its first fault.

use std::sync::Arc;

use ocellus_core::{BestShotType, ObjectRecord, ShotSummary, Size, TrackPoint};
use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::{
    Digest, Fault, Meters, PluginError,
    bindings::{router as wit, router::exports::ocellus::plugin::routing, types},
    convert,
    imports::PostPictures,
    plugin::{Plugin, World},
    sandbox::Sandbox,
};

/// Limit of a response's body that a router gets, in bytes.
const JUDGED_BODY: usize = 4096;

/// Headers that the host sets.
const HOST_HEADERS: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// The pictures that a post may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Picture {
    /// The frame of the best shot.
    Photo,
    /// The object cut out of it.
    Normalized,
    /// The frame in which the track began.
    FirstFrame,
    /// The frame in which the track was last seen.
    LastFrame,
}

/// A picture that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureInfo {
    /// Kind of picture.
    pub picture: Picture,
    /// `image/jpeg` or `image/png`.
    pub content_type: String,
    /// In pixels.
    pub size: Size,
    /// The part of the frame that it shows: `[left, top, right, bottom]` in pixels.
    pub region: [i32; 4],
}

/// An object to deliver to a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The object as recorded by the job.
    pub object: &'a ObjectRecord,
    /// The video's `router_url`.
    pub url: &'a str,
    /// The video's camera, where it names one.
    pub camera: Option<i64>,
    /// The video's group of cameras, where it names one.
    pub camera_group: Option<i64>,
    /// Available pictures.
    pub pictures: &'a [PictureInfo],
}

/// The content of one part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Text in UTF-8.
    Text(String),
    /// Bytes from the plugin.
    Bytes(Vec<u8>),
    /// One of the pictures of the post.
    Picture(Picture),
}

/// A part of `multipart/form-data` (RFC 7578). Names and types have 1 to 256 bytes and hold no
/// control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The field's name.
    pub name: String,
    /// File name of a file part; `None` for a field.
    pub filename: Option<String>,
    /// Media type; where absent, that of the picture for a picture, none for others.
    pub content_type: Option<String>,
    /// The content.
    pub content: Content,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// `multipart/form-data`, at most 64 parts.
    Multipart(Vec<Part>),
    /// Bytes of the media type in the request's headers.
    Bytes(Vec<u8>),
}

/// A request to send. The sender adds `host`, `content-length` and, for multipart, `content-type`;
/// and
/// `idempotency-key` with the object's id where `headers` has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    /// URL with the scheme, host and port of the post's URL.
    pub url: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Body,
}

/// Interpretation of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered.
    Accepted,
    /// To be retried.
    Retry {
        /// Delay in milliseconds; where absent, chosen by the sender.
        after_ms: Option<u64>,
    },
    /// Failed for good.
    Refused {
        /// Reason for the user, at most 1024 bytes.
        reason: String,
    },
}

/// Session of a router. Unusable after a fault; the next delivery opens a new one.
pub struct Router {
    sandbox: Sandbox,
    bindings: wit::Router,
    session: ResourceAny,
}

impl Router {
    pub(crate) fn open(plugin: &Plugin, settings: &Value) -> Result<Option<Self>, PluginError> {
        let World::Router(pre) = &plugin.world else { return Ok(None) };
        let settings = plugin.settings(settings)?;
        let mut sandbox = plugin.sandbox();
        let (bindings, session) = sandbox.call("open", |store| {
            let bindings = pre.instantiate(&mut *store)?;
            let session = bindings.ocellus_plugin_routing().session().call_open(store, &settings)?;
            Ok((bindings, session))
        })?;
        let session = sandbox.accepted("open", session)?;
        Ok(Some(Self { sandbox, bindings, session }))
    }

    /// Encodes the request for an object: deterministic, apart from the times in URLs of
    /// `pictures`, which the plugin may read during this call.
    ///
    /// # Errors
    /// [`Fault::Reported`] where the router refuses to encode this object: the delivery fails for
    /// good, and the session stays usable. Any other error ends the session.
    pub fn encode(&mut self, post: &Post<'_>, pictures: Option<Arc<dyn PostPictures>>) -> Result<Request, PluginError> {
        const CALL: &str = "encode";
        let given = encode_post(post);
        let (bindings, session) = (&self.bindings, self.session);
        self.sandbox.set_pictures(pictures);
        let answer = self
            .sandbox
            .call(CALL, |store| bindings.ocellus_plugin_routing().session().call_encode(store, session, &given));
        self.sandbox.set_pictures(None);
        let answer = answer?;
        let answer = answer.map_err(|reason| self.sandbox.error(CALL, Fault::Reported(reason)))?;
        self.sandbox.checked(CALL, request(answer, post))
    }

    /// Interprets a response. `headers` with names in lower case; the first 4096 bytes of `body`
    /// suffice.
    ///
    /// # Errors
    /// Any fault, which ends the session.
    pub fn judge(&mut self, status: u16, headers: &[(String, String)], body: &[u8]) -> Result<Outcome, PluginError> {
        const CALL: &str = "judge";
        let header = |(name, value): &(String, String)| routing::Header { name: name.clone(), value: value.clone() };
        let headers: Vec<_> = headers.iter().map(header).collect();
        let body = body.get(..JUDGED_BODY).unwrap_or(body);
        let (bindings, session) = (&self.bindings, self.session);
        let answer = self.sandbox.call(CALL, |store| {
            bindings.ocellus_plugin_routing().session().call_judge(store, session, status, &headers, body)
        })?;
        let outcome = match answer {
            routing::Outcome::Accepted => Ok(Outcome::Accepted),
            routing::Outcome::Retry(after_ms) => Ok(Outcome::Retry { after_ms }),
            routing::Outcome::Refused(reason) if reason.len() <= 1024 => Ok(Outcome::Refused { reason }),
            routing::Outcome::Refused(_) => Err("a reason of more than 1024 bytes".to_owned()),
        };
        self.sandbox.checked(CALL, outcome)
    }

    /// Digest of the component.
    pub fn digest(&self) -> Digest {
        self.sandbox.digest()
    }

    /// What the session has used so far.
    pub fn meters(&self) -> Meters {
        self.sandbox.meters()
    }
}

fn encode_post(post: &Post<'_>) -> routing::Post {
    let Post { object, url, camera, camera_group, pictures } = *post;
    let id = &object.id;
    routing::Post {
        id: id.to_string(),
        url: url.to_owned(),
        video: id.job.video.0,
        job: id.job.to_string(),
        camera,
        camera_group,
        object_type: id.object_type.to_string(),
        best_shot_type: match object.bs_type {
            BestShotType::Overall => routing::BestShotType::Overall,
            BestShotType::Realtime => routing::BestShotType::Realtime,
        },
        end_of_track: object.end_of_track,
        track: format!("{}-{}-{}", id.job, id.object_type, id.track),
        first: moment(&object.first),
        last: moment(&object.last),
        best: moment(&object.best),
        landmarks: object.landmarks.map(convert::landmarks),
        detections: object.detections,
        interpolated: object.interpolated,
        history: object.history.iter().map(track_point).collect(),
        attributes: attributes(object),
        pictures: pictures
            .iter()
            .map(|p| routing::PictureInfo {
                picture: match p.picture {
                    Picture::Photo => routing::Picture::Photo,
                    Picture::Normalized => routing::Picture::Normalized,
                    Picture::FirstFrame => routing::Picture::FirstFrame,
                    Picture::LastFrame => routing::Picture::LastFrame,
                },
                content_type: p.content_type.clone(),
                size: convert::size(p.size),
                region: bbox(p.region),
            })
            .collect(),
    }
}

/// Attributes of filters, and features of networks: each label, followed by its confidence. A
/// feature with the name of an attribute is left out, as keys are unique.
fn attributes(object: &ObjectRecord) -> Vec<types::Attribute> {
    let attribute = |key: &str, value: &str| types::Attribute { key: key.to_owned(), value: value.to_owned() };
    let is_free = |name: &str| object.attributes.iter().all(|(key, _)| key != name);
    let features = object.features.iter().filter(|feature| is_free(&feature.name)).flat_map(|feature| {
        let confidence = attribute(&format!("{}.confidence", feature.name), &feature.confidence.to_string());
        [attribute(&feature.name, &feature.label), confidence]
    });
    object.attributes.iter().map(|(key, value)| attribute(key, value)).chain(features).collect()
}

fn bbox([left, top, right, bottom]: [i32; 4]) -> routing::Bbox {
    routing::Bbox { left, top, right, bottom }
}

fn moment(shot: &ShotSummary) -> routing::Moment {
    routing::Moment {
        frame: shot.frame,
        time: shot.time,
        timestamp: shot.timestamp.as_microsecond(),
        bbox: bbox(shot.bbox),
        score: shot.score,
        quality: shot.quality,
    }
}

fn track_point(point: &TrackPoint) -> routing::TrackPoint {
    routing::TrackPoint {
        frame: point.frame,
        time: point.time,
        timestamp: point.timestamp.as_microsecond(),
        bbox: bbox(point.bbox),
        interpolated: point.interpolated,
    }
}

/// Validates an answer of `encode`: no field can inject into the HTTP message, and the request goes
/// to the origin that the user configured.
fn request(answer: routing::Request, post: &Post<'_>) -> Result<Request, String> {
    if !["POST", "PUT", "PATCH"].contains(&answer.method.as_str()) {
        return Err(format!("the method {:?}", answer.method));
    }
    let url = answer.url.unwrap_or_else(|| post.url.to_owned());
    if origin(&url).is_none() || origin(&url) != origin(post.url) {
        return Err(format!("the URL {url:?} is not of the same scheme, host and port as the post's"));
    }
    let multipart = matches!(answer.body, routing::Body::Multipart(_));
    let headers = answer.headers.into_iter().map(|h| header(h, multipart)).collect::<Result<_, _>>()?;
    let body = match answer.body {
        routing::Body::Bytes(bytes) => Body::Bytes(bytes),
        routing::Body::Multipart(parts) if parts.len() > 64 => {
            return Err(format!("{} parts, more than 64", parts.len()));
        }
        routing::Body::Multipart(parts) => {
            Body::Multipart(parts.into_iter().map(|p| part(p, post)).collect::<Result<_, _>>()?)
        }
    };
    Ok(Request { method: answer.method, url, headers, body })
}

fn header(header: routing::Header, multipart: bool) -> Result<(String, String), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let visible = |b: u8| b == b'\t' || (b' '..=b'~').contains(&b);
    let name = header.name.to_ascii_lowercase();
    if name.is_empty() || !name.bytes().all(token) || !header.value.bytes().all(visible) {
        return Err(format!("the header {:?} is none", header.name));
    }
    if HOST_HEADERS.contains(&name.as_str()) || (multipart && name == "content-type") {
        return Err(format!("the header {name:?}, which the host sets"));
    }
    Ok((name, header.value))
}

fn part(part: routing::Part, post: &Post<'_>) -> Result<Part, String> {
    let routing::Part { name, filename, content_type, content } = part;
    for text in [Some(&name), filename.as_ref(), content_type.as_ref()].into_iter().flatten() {
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            return Err(format!("the name or type of a part: {text:?}"));
        }
    }
    let content = match content {
        routing::Content::Text(text) => Content::Text(text),
        routing::Content::Bytes(bytes) => Content::Bytes(bytes),
        routing::Content::Picture(picture) => {
            let picture = match picture {
                routing::Picture::Photo => Picture::Photo,
                routing::Picture::Normalized => Picture::Normalized,
                routing::Picture::FirstFrame => Picture::FirstFrame,
                routing::Picture::LastFrame => Picture::LastFrame,
            };
            if !post.pictures.iter().any(|p| p.picture == picture) {
                return Err(format!("a picture that the post does not have: {picture:?}"));
            }
            Content::Picture(picture)
        }
    };
    Ok(Part { name, filename, content_type, content })
}

/// The origin of a URL, such as `https://example.org:8443`, in lower case. Strict: URLs that
/// parsers could read differently have none.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let scheme = scheme.to_ascii_lowercase();
    let plain = |b: u8| (b'!'..=b'~').contains(&b) && !b"@\\".contains(&b);
    let sound = (scheme == "http" || scheme == "https")
        && !authority.is_empty()
        && authority.bytes().all(plain)
        && !url.contains(char::is_control);
    sound.then(|| format!("{scheme}://{}", authority.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_stays_at_the_origin_of_the_posts_url() {
        let user = origin("http://Example.org:80/v0/frame").unwrap();
        assert_eq!(origin("http://example.org:80/other?x=1"), Some(user.clone()));
        for elsewhere in
            ["http://example.org/", "https://example.org:80/", "http://evil.org:80/", "http://example.org:80.evil.org/"]
        {
            assert_ne!(origin(elsewhere), Some(user.clone()), "{elsewhere}");
        }
        for none in
            ["", "/v0", "file:///etc/passwd", "http://", "http://a@b/", "http://a\\b/", "http://a b/", "http://a/\n"]
        {
            assert_eq!(origin(none), None, "{none:?}");
        }
    }

    #[test]
    fn headers_cannot_be_injected() {
        let check = |name: &str, value: &str| header(routing::Header { name: name.into(), value: value.into() }, true);
        assert_eq!(check("X-Id", "7"), Ok(("x-id".into(), "7".into())));
        for (name, value) in
            [("a b", ""), ("", ""), ("a", "x\r\nb: c"), ("Host", "x"), ("Content-Type", "x"), ("a:", "x")]
        {
            assert!(check(name, value).is_err(), "{name:?} {value:?}");
        }
    }
}
