//! Layers of tower-http around all routes: compression of text, and CORS for an operator's origins.

use std::time::Duration;

use axum::http::{
    HeaderName, HeaderValue, Method,
    header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, CONTENT_TYPE, ETAG},
};
use tower::{layer::util::Identity, util::Either};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer, Predicate,
        predicate::{And, SizeAbove},
    },
    cors::{AllowHeaders, AllowOrigin, CorsLayer},
};

use crate::videos::resumable;

/// Compression is not worth it for smaller bodies.
const MIN_COMPRESSED_BYTES: u16 = 1024;
/// Compression level of gzip and brotli, at which they are about as fast as JSON is serialized.
const LEVEL: i32 = 4;
/// How long browsers cache the answer to a preflight request.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// JSON, tables and pages; pictures and recordings are compressed already, and compression would
/// delay the events of a stream.
#[derive(Clone, Copy)]
pub(crate) struct IsText;

impl Predicate for IsText {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &axum::http::Response<B>) -> bool {
        let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ["application/json", "application/vnd.coco+json", "application/x-ndjson", "image/svg+xml", "text/"]
            .iter()
            .any(|text| media.starts_with(text))
            && !media.starts_with("text/event-stream")
    }
}

/// Compresses text for clients that say that they read gzip or brotli.
pub(crate) fn compression() -> CompressionLayer<And<SizeAbove, IsText>> {
    let predicate = SizeAbove::new(MIN_COMPRESSED_BYTES).and(IsText);
    CompressionLayer::new().quality(CompressionLevel::Precise(LEVEL)).compress_when(predicate)
}

/// Lets pages of these origins use the API. They have to send the token themselves: the cookie of a
/// session is for this server's own page.
pub(crate) fn cors(origins: &[String]) -> Either<CorsLayer, Identity> {
    let origin = match origins {
        [] => return Either::Right(Identity::new()),
        origins if origins.iter().any(|origin| origin == "*") => AllowOrigin::any(),
        origins => AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::try_from(origin).ok())),
    };
    let exposed = [ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_RANGE, ETAG, HeaderName::from_static("x-request-id")];
    let exposed = exposed.into_iter().chain(resumable::EXPOSED).collect::<Vec<_>>();
    Either::Left(
        CorsLayer::new()
            .allow_origin(origin)
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers(exposed)
            .max_age(MAX_AGE),
    )
}
