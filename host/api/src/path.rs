//! Path parameters, and responses to paths and methods without a route.

use axum::{
    extract::{FromRequestParts, RawPathParams, Request},
    http::{HeaderValue, Method, StatusCode, header::LOCATION, request::Parts},
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, ErrorKind, ObjectId, VideoId};
use utoipa::IntoParams;

use crate::{
    base_url::BaseUrl,
    error::{ApiError, method_not_allowed},
};

/// A parameter of the route's path.
pub(crate) async fn parameter(parts: &mut Parts, name: &str) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    params.iter().find(|(of, _)| *of == name).map(|(_, value)| value.to_owned())
}

async fn id_parameter(parts: &mut Parts) -> Option<String> {
    parameter(parts, "id").await
}

/// `{id}` of a video; 404 where it is not a number.
#[derive(IntoParams)]
#[into_params(names("id"), parameter_in = Path)]
pub(crate) struct VideoPath(
    /// Video archive ID.
    #[param(value_type = u64)]
    pub(crate) VideoId,
);

impl<S: Send + Sync> FromRequestParts<S> for VideoPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let digits = id_parameter(parts).await.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok());
        number.map(|n| Self(VideoId(n))).ok_or_else(|| no_video().into())
    }
}

/// A numeric `{id}` that is no video's; `None` where it is not a number.
pub(crate) struct NumberPath(pub(crate) Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for NumberPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(id_parameter(parts).await.and_then(|text| text.parse().ok())))
    }
}

/// `{id}` of an object.
pub(crate) struct ObjectPath(pub(crate) ObjectId);

impl<S: Send + Sync> FromRequestParts<S> for ObjectPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let id = id_parameter(parts).await.and_then(|text| text.parse().ok());
        id.map(Self).ok_or_else(|| no_object().into())
    }
}

/// `{id}` of a cluster.
pub(crate) struct ClusterPath(pub(crate) ObjectId);

impl<S: Send + Sync> FromRequestParts<S> for ClusterPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let id = id_parameter(parts).await.and_then(|text| text.parse().ok());
        id.map(Self).ok_or_else(|| no_cluster().into())
    }
}

pub(crate) fn no_video() -> Error {
    Error::not_found("VideoArchive")
}

pub(crate) fn no_cluster() -> Error {
    Error::not_found("Cluster")
}

pub(crate) fn no_object() -> Error {
    Error::not_found("Object")
}

pub(crate) async fn unknown_path() -> Response {
    ApiError::from(Error::new(ErrorKind::NotFound, "There is no such path.")).into_response()
}

/// Response to a method that the path has no handler for; the router adds the header `Allow`.
/// OPTIONS asks for that header only, so it gets no error.
pub(crate) async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS { StatusCode::NO_CONTENT.into_response() } else { method_not_allowed(&method) }
}

/// Redirects to the path with a trailing slash. 308 keeps method and body, so that a missing slash
/// costs a round trip and nothing else.
pub(crate) async fn add_slash(base: BaseUrl, request: Request) -> Response {
    let path = request.uri().path();
    let target = match request.uri().query() {
        Some(query) => format!("{path}/?{query}"),
        None => format!("{path}/"),
    };
    match HeaderValue::try_from(base.location(&target)) {
        Ok(location) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, location)]).into_response(),
        Err(_) => unknown_path().await,
    }
}
