//! Signed URLs: addresses of pictures and sources that need no token until they expire.
//!
//! An `<img>` of a page and a program that is told a URL cannot send a header. Owns the key and
//! which paths may be signed. A signature covers the path with its whole query, and holds for GET
//! and HEAD only; it ends with its time, or when the key is replaced.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Request, State},
    http::{Method, Uri},
};
use hmac::{Hmac, KeyInit, Mac};
use ocellus_core::{Error, ErrorKind, Result, Timestamp};
use serde::Serialize;
use sha2::Sha256;
use utoipa::ToSchema;

use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    error::{ApiError, BadParam, TooLarge, Unauthorized},
    query::whole_number,
};

/// A week.
const MAX_SECONDS: u64 = 604_800;
/// A URL is the same for so long, that browsers may keep what they fetched of it.
const STEP_SECONDS: i64 = 60;
const SIGNATURE: &str = "&signature=";
const EXPIRES: &str = "expires=";

/// Key of signatures. Never printed.
#[derive(Clone)]
pub struct UrlSigner(Hmac<Sha256>);

impl fmt::Debug for UrlSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlSigner(..)")
    }
}

impl UrlSigner {
    /// Signs with this key. URLs outlive a restart of the server where the key does.
    pub fn new(key: &[u8; 32]) -> Self {
        // A key for this purpose only, whatever else the bytes are used for.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key.iter().chain(b"ocellus signed url v1")) {
            *to = *from;
        }
        Self(<Hmac<Sha256> as KeyInit>::new(&block.into()))
    }

    /// `path`, maybe with a query, with what makes it valid until `valid` from now, or up to a
    /// minute longer.
    pub(crate) fn sign(&self, path: &str, now: Timestamp, valid: Duration) -> String {
        let end = now.as_second().saturating_add_unsigned(valid.as_secs());
        let end = end.saturating_add(STEP_SECONDS - 1) / STEP_SECONDS * STEP_SECONDS;
        let joint = if path.contains('?') { '&' } else { '?' };
        let signed = format!("{path}{joint}{EXPIRES}{end}");
        let mac = self.0.clone().chain_update(&signed).finalize().into_bytes();
        let digits: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{signed}{SIGNATURE}{digits}")
    }

    fn verify(&self, uri: &Uri, now: Timestamp) -> bool {
        let verified = || {
            let (signed, digits) = uri.path_and_query()?.as_str().rsplit_once(SIGNATURE)?;
            let (_, end) = signed.rsplit_once(EXPIRES)?;
            let mac: Option<Vec<u8>> = digits
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect();
            self.0.clone().chain_update(signed).verify_slice(&mac?).ok()?;
            (now.as_second() <= end.parse().ok()?).then_some(())
        };
        verified().is_some()
    }
}

/// Whether a request needs no token.
pub(crate) fn allows(api: &Api, request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && api.config.url_signer.as_ref().is_some_and(|signer| signer.verify(request.uri(), api.clock.now()))
}

/// The server's signer.
///
/// # Errors
/// `Unavailable` where it has none.
pub(crate) fn signer(api: &Api) -> Result<UrlSigner> {
    let none = || Error::new(ErrorKind::Unavailable, "This server signs no URLs.");
    api.config.url_signer.clone().ok_or_else(none)
}

/// Seconds for which a URL is to be valid, as a client asks for them.
pub(crate) fn validity(param: &str, seconds: u64) -> Result<Duration> {
    match seconds {
        1..=MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(Error::bad_param(param, format!("Give a number of seconds from 1 to {MAX_SECONDS}."))),
    }
}

/// Whether a text has the characters of a path with a query (RFC 3986), others by their codes.
fn is_uri(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&b);
    let mut parts = text.split('%');
    parts.next().is_some_and(|first| first.bytes().all(plain))
        && parts.all(|part| {
            let code = part.as_bytes().first_chunk::<2>();
            code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) && part.bytes().all(plain)
        })
}

/// Pictures and sources: what a page shows, and what changes nothing.
fn may_be_signed(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "objects", id, "thumbnail" | "fullframe", ""] => {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        }
        ["", "videos", id, "screenshot" | "frame" | "source_file" | "file", ""] => {
            !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

/// A path that is to be signed.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignUrl {
    /// From the first slash on, with its query: that of a thumbnail, full frame, screenshot, frame
    /// or source file.
    #[schema(
        examples("/videos/6/source_file/"),
        pattern = "^/(objects/[0-9a-z_-]+/(thumbnail|fullframe)|videos/[0-9]+/(screenshot|frame|source_file|file))/([?]([A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?$",
        max_length = 2048
    )]
    path: String,
    /// For how long the URL is valid.
    #[schema(minimum = 1, maximum = 604800)]
    seconds: u64,
}

/// A URL that needs no token.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignedUrl {
    #[schema(format = "uri")]
    url: String,
}

/// Makes a URL that needs no token.
///
/// For an `<img>` or a `<video>`, and for a program that cannot send a header. Lists sign the URLs
/// of their pictures with `sign_urls`.
#[utoipa::path(
    post, path = "/signed-urls/", tag = "server", operation_id = "signUrl", request_body = SignUrl,
    responses((status = 200, description = "The URL.", body = SignedUrl), BadParam, Unauthorized, TooLarge),
)]
pub(crate) async fn sign(
    State(api): State<Arc<Api>>,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<SignedUrl>, ApiError> {
    let missing = |name: &str| Error::bad_param(name, "This field is required.");
    let path = sent.get("path").ok_or_else(|| missing("path"))?;
    let seconds = sent.get("seconds").ok_or_else(|| missing("seconds"))?;
    let path = path.as_str().filter(|path| path.len() <= 2048 && is_uri(path) && may_be_signed(path));
    let path = path.ok_or_else(|| {
        Error::bad_param("path", "Only the paths of pictures and source files can be signed, from the slash on.")
    })?;
    let seconds = validity("seconds", whole_number(seconds).and_then(|n| n.try_into().ok()).unwrap_or(0))?;
    Ok(Json(SignedUrl { url: base.join(&signer(&api)?.sign(path, api.clock.now(), seconds)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_signature_holds_for_its_path_its_query_and_its_time() {
        let signer = UrlSigner::new(&[7; 32]);
        for path in ["/objects/6-1-face-3-0/thumbnail/", "/videos/6/frame/?time=1.5&width=320"] {
            let url = signer.sign(path, at(1_000_000_000), HOUR);
            let valid = |url: &str, second: i64| signer.verify(&url.parse().unwrap(), at(second));
            assert!(valid(&url, 1_000_000_000) && valid(&url, 1_000_003_600), "{url}");
            assert!(!valid(&url, 1_000_003_661), "{url}");
            assert!(!valid(&url.replace("expires=1", "expires=2"), 1_000_000_000));
            assert!(!valid(&url.replace("/6", "/7"), 1_000_000_000));
            assert!(!valid(path, 1_000_000_000) && !valid(url.get(..url.len() - 2).unwrap(), 1_000_000_000));
            assert!(!UrlSigner::new(&[8; 32]).verify(&url.parse().unwrap(), at(1_000_000_000)));
        }
    }

    #[test]
    fn a_url_stays_the_same_for_a_minute() {
        let signer = UrlSigner::new(&[7; 32]);
        let url = |second| signer.sign("/objects/a/thumbnail/", at(second), HOUR);
        assert_eq!(url(1_000_000_021), url(1_000_000_079));
        assert_ne!(url(1_000_000_021), url(1_000_000_081));
    }

    #[test]
    fn a_path_is_part_of_a_url() {
        assert!(is_uri("/videos/6/frame/?time=1.5&width=%7B&a=b+c"));
        for bad in ["/a b", "/ä", "/?a={", "/?%7", "/?%zz", "/#a", "/?a[]=1", "/?\"", "/?%"] {
            assert!(!is_uri(bad), "{bad}");
        }
    }

    #[test]
    fn only_pictures_and_sources_can_be_signed() {
        for good in ["/objects/6-1-face-3-0/fullframe/", "/videos/6/source_file/", "/videos/6/frame/?time=1"] {
            assert!(may_be_signed(good), "{good}");
        }
        for bad in ["/videos/6/", "/videos/", "/plugins/a/", "/objects//thumbnail/", "/videos/x/file/", "file/", ""] {
            assert!(!may_be_signed(bad), "{bad}");
        }
    }
}
