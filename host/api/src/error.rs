//! Error mapping: kinds of [`ocellus_core::Error`] to HTTP, in one place.
//!
//! The other crates convert their errors to that type: `StoreError`, `MediaError`, `DetectError`
//! and `PluginError` each by a `From` beside their definition. Errors in a request itself are found
//! in this crate: in `body`, `query`, `path` and beside the routes. The error body is the vendor's:
//! one flat object, for the first thing that is wrong. `traceback` is there for clients that read
//! it, and always empty.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{
        HeaderValue, Method, StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind};
use serde::Serialize;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{ContentBuilder, RefOr, ResponseBuilder, response::Response as DocumentedResponse},
};

/// Body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// Always empty; absent from 401.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'static str>,
    /// Code for programs.
    #[schema(examples("BAD_PARAM"))]
    code: &'static str,
    /// Sentence for people.
    #[schema(examples("This field is required."))]
    desc: String,
    /// With BAD_PARAM: the dotted path of the field or the query parameter that is wrong; `body`
    /// for the body as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("stream_settings.detectors.face.roi"))]
    param: Option<String>,
}

/// An error as a response. The conversion logs the cause, which the response leaves out.
#[derive(Debug)]
pub(crate) struct ApiError(Error);

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The one mapping of error kinds to HTTP: status and `code`.
fn status_and_code(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::BadParam => (StatusCode::BAD_REQUEST, "BAD_PARAM"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        ErrorKind::Conflict => (StatusCode::CONFLICT, "CONFLICT"),
        ErrorKind::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE"),
        ErrorKind::UnsupportedMedia => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN_ERROR"),
    }
}

/// 405, which has no [`ErrorKind`].
pub(crate) fn method_not_allowed(method: &Method) -> Response {
    let desc = format!("Method \"{method}\" not allowed.");
    let body = ErrorBody { traceback: Some(""), code: "METHOD_NOT_ALLOWED", desc, param: None };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// 429, for an address that guesses tokens.
pub(crate) fn too_many_requests(seconds: u64) -> Response {
    let desc = format!("Too many wrong tokens came from this address. Try again in {seconds} seconds.");
    let body = ErrorBody { traceback: Some(""), code: "TOO_MANY_REQUESTS", desc, param: None };
    (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, HeaderValue::from(seconds))], Json(body)).into_response()
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, code) = status_and_code(error.kind());
        // The request's span carries its id.
        match error.kind() {
            ErrorKind::Internal => tracing::error!("request failed: {error}"),
            ErrorKind::Unavailable => tracing::warn!("request refused: {error}"),
            _ => tracing::debug!("request refused: {error}"),
        }
        let traceback = (status != StatusCode::UNAUTHORIZED).then_some("");
        let body =
            ErrorBody { traceback, code, desc: error.public().to_owned(), param: error.param().map(str::to_owned) };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Token"));
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn documented(status: StatusCode, description: &str) -> BTreeMap<String, RefOr<DocumentedResponse>> {
    let content = ContentBuilder::new().schema(Some(utoipa::openapi::Ref::from_schema_name(ErrorBody::name()))).build();
    let response = ResponseBuilder::new().description(description).content("application/json", content).build();
    BTreeMap::from([(status.as_str().to_owned(), response.into())])
}

/// The refusals that routes share, for the OpenAPI document.
macro_rules! documented_refusals {
    ($($name:ident: $status:ident, $description:literal;)*) => {$(
        pub(crate) enum $name {}
        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<DocumentedResponse>> {
                documented(StatusCode::$status, $description)
            }
        }
    )*};
}
documented_refusals! {
    BadParam: BAD_REQUEST, "A wrong value; `param` names it.";
    Unauthorized: UNAUTHORIZED, "No token, or a wrong one.";
    Forbidden: FORBIDDEN, "The token's scope does not include this.";
    NotFound: NOT_FOUND, "It does not exist.";
    Conflict: CONFLICT, "Not in this state.";
    PreconditionFailed: PRECONDITION_FAILED, "`If-Match` names another version.";
    TooLarge: PAYLOAD_TOO_LARGE, "The body is too large.";
    TooManyRequests: TOO_MANY_REQUESTS, "Too many wrong tokens came from this address.";
    UnsupportedMedia: UNSUPPORTED_MEDIA_TYPE, "The encoding of the body is not supported.";
}

/// The schema behind the references that [`documented`] makes.
pub(crate) fn schema() -> RefOr<utoipa::openapi::Schema> {
    ErrorBody::schema()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn body(error: Error) -> (StatusCode, String) {
        let response = ApiError::from(error).into_response();
        let status = response.status();
        (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn bodies_are_the_vendors() {
        assert_eq!(
            body(Error::bad_param("name", "This field is required.")).await,
            (
                StatusCode::BAD_REQUEST,
                r#"{"traceback":"","code":"BAD_PARAM","desc":"This field is required.","param":"name"}"#.into()
            )
        );
        assert_eq!(
            body(Error::not_found("VideoArchive")).await,
            (
                StatusCode::NOT_FOUND,
                r#"{"traceback":"","code":"NOT_FOUND","desc":"No VideoArchive matches the given query."}"#.into()
            )
        );
        assert_eq!(
            body(Error::new(ErrorKind::Unauthorized, "Invalid token.")).await,
            (StatusCode::UNAUTHORIZED, r#"{"code":"UNAUTHORIZED","desc":"Invalid token."}"#.into())
        );
    }

    #[tokio::test]
    async fn internal_causes_are_not_in_the_body() {
        let (status, text) = body(Error::internal("open /var/lib/secret: denied")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text, r#"{"traceback":"","code":"UNKNOWN_ERROR","desc":"Internal server error."}"#);
    }
}
