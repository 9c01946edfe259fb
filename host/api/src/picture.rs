//! Pictures as responses.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

pub(crate) fn jpeg(bytes: Vec<u8>) -> Response {
    response("image/jpeg", bytes)
}

/// Private: only the token opens it. To be asked for again each time: it may be gone, or taken
/// anew.
pub(crate) fn response(content_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "private, no-cache")], bytes).into_response()
}
