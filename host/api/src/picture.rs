//! Pictures as responses.

use axum::{
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};

/// Private: only the token opens it. To be asked for again each time: it may be gone, or taken anew.
pub(crate) fn jpeg(bytes: Vec<u8>) -> Response {
    picture("image/jpeg", bytes)
}

pub(crate) fn png(bytes: Vec<u8>) -> Response {
    picture("image/png", bytes)
}

fn picture(content_type: &'static str, bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "private, no-cache")], bytes).into_response()
}
