//! `/ui/`: the web page of the server, embedded in the program; and `/`, which redirects browsers
//! to it.
//!
//! Owns how the files of `host/ui/dist` are served, not the files. Guarantees: they need no token,
//! hold no data of the archive, and load nothing from other servers. Files in `assets/` have a
//! digest in their names: browsers cache them forever.

use axum::{
    extract::{Path, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
};
use include_dir::{Dir, include_dir};
use ocellus_core::Error;

use crate::{
    conditional::{Conditions, Representation},
    error::ApiError,
    media_type::media_type,
    path::unknown_path,
};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../ui/dist");

const PAGE: &str = "index.html";
/// The folder of files with a digest in their names.
const ASSETS: &str = "assets/";
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
/// Browsers revalidate each time, by the entity tag.
const REVALIDATE: &str = "no-cache";
const HEADERS: [(HeaderName, &str); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; style-src 'self'; script-src 'self'; \
         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];

/// The page.
pub(crate) async fn page(conditions: Conditions) -> Result<Response, ApiError> {
    answer(PAGE, &conditions)
}

/// A file of the page.
pub(crate) async fn file(Path(name): Path<String>, conditions: Conditions) -> Result<Response, ApiError> {
    answer(&name, &conditions)
}

fn answer(name: &str, conditions: &Conditions) -> Result<Response, ApiError> {
    let file = FILES.get_file(name).ok_or_else(|| Error::not_found("page"))?;
    let media_type = media_type(name).unwrap_or("application/octet-stream");
    let mut response = conditions.respond(Representation::of_file(media_type, file.contents()));
    let caching = if name.starts_with(ASSETS) { IMMUTABLE } else { REVALIDATE };
    let headers = HEADERS.into_iter().chain([(CACHE_CONTROL, caching)]);
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok(response)
}

/// Redirects browsers to the page, relatively, so that it works below any path of a proxy.
pub(crate) async fn root(request: Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads && wants_page(request.headers()) {
        return (StatusCode::SEE_OTHER, [(LOCATION, "ui/"), (VARY, ACCEPT.as_str())]).into_response();
    }
    unknown_path().await
}

/// Browsers name HTML when a person opens an address; programs do not.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|value| value.to_str().is_ok_and(|list| list.contains("text/html")))
}
