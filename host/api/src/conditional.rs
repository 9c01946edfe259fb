//! Conditional requests: the entity tag of an answer, `If-Match` and `If-None-Match`.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use ocellus_core::{Error, ErrorKind, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Preconditions of a request.
pub(crate) struct Conditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = |name| joined(&parts.headers, name);
        Ok(Self { if_match: header(IF_MATCH), if_none_match: header(IF_NONE_MATCH) })
    }
}

fn joined(headers: &HeaderMap, name: axum::http::HeaderName) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    (!values.is_empty()).then(|| values.join(","))
}

impl Conditions {
    /// Whether there is an `If-Match`.
    pub(crate) fn want_match(&self) -> bool {
        self.if_match.is_some()
    }

    /// Refuses a change where `If-Match` names another version than the current one.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub(crate) fn check(&self, current: &Representation) -> Result<()> {
        if self.if_match.as_ref().is_none_or(|list| lists(list, &current.tag)) { Ok(()) } else { Err(changed()) }
    }

    /// Response to a GET: 304 without a body where `If-None-Match` names the current version.
    pub(crate) fn respond(&self, current: Representation) -> Response {
        let known = self.if_none_match.as_ref().is_some_and(|list| lists(list, &current.tag));
        if known { (StatusCode::NOT_MODIFIED, current.headers()).into_response() } else { current.into_response() }
    }
}

pub(crate) fn changed() -> Error {
    Error::new(ErrorKind::PreconditionFailed, "It was changed since: If-Match names another version.")
}

/// Whether a list of tags names this one. A prefix `W/` is ignored: the server's tags are strong,
/// and a proxy that weakens one because it compresses does not change which version it names.
fn lists(list: &str, tag: &str) -> bool {
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// A body with its entity tag, which is a digest of it.
pub(crate) struct Representation {
    media_type: &'static str,
    body: Bytes,
    tag: String,
}

impl Representation {
    /// As JSON.
    pub(crate) fn of(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(Self::new("application/json", body.into()))
    }

    /// A file that is part of the program.
    pub(crate) fn of_file(media_type: &'static str, bytes: &'static [u8]) -> Self {
        Self::new(media_type, Bytes::from_static(bytes))
    }

    fn new(media_type: &'static str, body: Bytes) -> Self {
        let digits: String = Sha256::digest(&body).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self { media_type, body, tag: format!("\"{digits}\"") }
    }

    fn headers(&self) -> HeaderMap {
        HeaderValue::try_from(&self.tag).map(|tag| HeaderMap::from_iter([(ETAG, tag)])).unwrap_or_default()
    }
}

impl IntoResponse for Representation {
    fn into_response(self) -> Response {
        (self.headers(), [(CONTENT_TYPE, self.media_type)], self.body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_in_lists() {
        for (list, is_in) in [
            ("\"a\"", true),
            ("\"b\", \"a\"", true),
            ("W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
            ("", false),
        ] {
            assert_eq!(lists(list, "\"a\""), is_in, "{list}");
        }
    }

    #[test]
    fn equal_values_have_equal_tags() {
        let tag = |text: &str| Representation::of(&text).unwrap().tag;
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
        assert_eq!(tag("a").len(), 34);
    }
}
