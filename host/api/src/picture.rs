//! Pictures as responses.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

pub(crate) fn jpeg(bytes: Vec<u8>) -> Response {
    response("image/jpeg", bytes)
}

/// `private`, since it is behind the token; `no-cache`, since it may be deleted or retaken.
pub(crate) fn response(content_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "private, no-cache")], bytes).into_response()
}
