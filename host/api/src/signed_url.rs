//! `POST /signed-urls/`: signs the paths of pictures and source files.

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::Error;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    base_url::BaseUrl,
    body::JsonObject,
    error::{ApiError, BadParam, TooLarge, Unauthorized},
    query::whole_number,
    url_signer::validity,
};

/// Whether a text has only the characters of a path with a query (RFC 3986), and all others
/// percent-encoded.
fn is_uri(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&b);
    let mut parts = text.split('%');
    parts.next().is_some_and(|first| first.bytes().all(plain))
        && parts.all(|part| {
            let code = part.as_bytes().first_chunk::<2>();
            code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit)) && part.bytes().all(plain)
        })
}

/// Whether a path is that of a picture or a source: shown by pages, and read-only.
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
    Ok(Json(SignedUrl { url: base.join(&api.url_signer()?.sign(path, api.clock.now(), seconds)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
