//! `/videos/{id}/uploads/`: uploads that go on where they broke off, by the protocol tus 1.0.0
//! (<https://tus.io/protocols/resumable-upload>) with its extensions creation, expiration and
//! termination.
//!
//! Owns the protocol's headers. What is uploaded becomes the video's source as a whole, with the
//! last byte. Left out of the OpenAPI document: clients are libraries of the protocol.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION},
        request::Parts,
    },
    response::{IntoResponse, Response},
    routing::{MethodRouter, head, post},
};
use ocellus_core::{Error, ErrorKind, Result, Timestamp};
use ocellus_store::{FoundUpload, ResumableUpload, UPLOAD_LIFE, UploadState};

use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    body::{announced, too_large},
    error::ApiError,
    file_body::FileBody,
    path::{VideoPath, parameter},
    videos::{
        receiving::{Sink, receive},
        upload::{check_idle, empty},
    },
};

const VERSION: HeaderValue = HeaderValue::from_static("1.0.0");
const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
/// What a page of another origin has to read of the answers.
pub(crate) const EXPOSED: [HeaderName; 5] = [LOCATION, RESUMABLE, OFFSET, LENGTH, EXPIRES];

/// Routes of `/videos/{id}/uploads/`.
pub(crate) fn uploads() -> MethodRouter<Arc<Api>> {
    post(begin).options(abilities)
}

/// Routes of `/videos/{id}/uploads/{upload}/`.
pub(crate) fn upload() -> MethodRouter<Arc<Api>> {
    head(state).patch(append).delete(remove).options(abilities)
}

/// `{upload}`; what is none is not found later.
struct UploadPath(String);

impl<S: Send + Sync> FromRequestParts<S> for UploadPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parameter(parts, "upload").await.unwrap_or_default()))
    }
}

async fn abilities(State(api): State<Arc<Api>>) -> Response {
    let headers = [
        (HeaderName::from_static("tus-version"), VERSION),
        (HeaderName::from_static("tus-extension"), HeaderValue::from_static("creation,expiration,termination")),
    ];
    let most = api.config.max_upload_bytes.map(|n| [(HeaderName::from_static("tus-max-size"), HeaderValue::from(n))]);
    answered(Ok((StatusCode::NO_CONTENT, headers, most.map(HeaderMap::from_iter).unwrap_or_default()).into_response()))
}

async fn begin(State(api): State<Arc<Api>>, VideoPath(id): VideoPath, base: BaseUrl, headers: HeaderMap) -> Response {
    let begin = async || -> Result<Response> {
        check_version(&headers)?;
        if headers.contains_key("upload-defer-length") {
            return Err(Error::bad_param("Upload-Defer-Length", "The length of the file has to be known."));
        }
        let length = number(&headers, &LENGTH)?;
        let most = api.config.max_upload_bytes.unwrap_or(u64::MAX);
        match length {
            0 => return Err(empty()),
            _ if length > most => return Err(too_large(most)),
            _ => api.engine.check_room(length)?,
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        let name = format!("{:016x}", u64::from_be_bytes(random));
        let location = base.join(&format!("/videos/{id}/uploads/{name}/"));
        let engine = api.engine.clone();
        blocking(move || {
            check_idle(&engine.settled(id)?)?;
            Ok(engine.archive().begin_resumable(id, &name, length)?)
        })
        .await?;
        let location = HeaderValue::try_from(location).map_err(Error::internal)?;
        Ok((StatusCode::CREATED, [(LOCATION, location)], expiry(api.clock.now())).into_response())
    };
    answered(begin().await)
}

async fn state(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    UploadPath(name): UploadPath,
    headers: HeaderMap,
) -> Response {
    let state = async || -> Result<Response> {
        check_version(&headers)?;
        let archive = api.engine.archive().clone();
        let state = blocking(move || Ok(archive.resumable(id, &name)?)).await?.ok_or_else(no_upload)?;
        let headers = [
            (OFFSET, HeaderValue::from(state.offset)),
            (LENGTH, HeaderValue::from(state.length)),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        Ok((headers, expiry(state.changed)).into_response())
    };
    answered(state().await)
}

async fn append(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    UploadPath(name): UploadPath,
    request: Request,
) -> Response {
    let append = async || -> Result<Response> {
        let headers = request.headers();
        check_version(headers)?;
        if headers.get(CONTENT_TYPE).is_none_or(|media| media != "application/offset+octet-stream") {
            let reason = "Parts of a file are sent as application/offset+octet-stream.";
            return Err(Error::new(ErrorKind::UnsupportedMedia, reason));
        }
        let offset = number(headers, &OFFSET)?;
        let upload = open(&api, id, name).await?;
        let UploadState { offset: there, length, .. } = upload.state();
        if offset != there {
            return Err(Error::new(ErrorKind::Conflict, format!("The upload is at byte {there}, not at {offset}.")));
        }
        if announced(&request).is_some_and(|n| n > length - there) {
            return Err(too_large(length - there));
        }
        let (upload, _) = receive(upload, FileBody::Plain(request.into_body()), length - there).await?;
        let offset = upload.state().offset;
        let headers = [(OFFSET, HeaderValue::from(offset))];
        if offset < length {
            return Ok((StatusCode::NO_CONTENT, headers, expiry(api.clock.now())).into_response());
        }
        blocking(move || {
            api.engine.settled(id)?;
            Ok(upload.commit_if(check_idle)?)
        })
        .await?;
        Ok((StatusCode::NO_CONTENT, headers).into_response())
    };
    answered(append().await)
}

async fn remove(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    UploadPath(name): UploadPath,
    headers: HeaderMap,
) -> Response {
    let remove = async || -> Result<Response> {
        check_version(&headers)?;
        let upload = open(&api, id, name).await?;
        blocking(move || Ok(upload.remove()?)).await?;
        Ok(StatusCode::NO_CONTENT.into_response())
    };
    answered(remove().await)
}

/// What came of a body that breaks off is kept.
impl Sink for ResumableUpload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(ResumableUpload::append(self, bytes)?)
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.sync()?)
    }
}

async fn open(api: &Api, id: ocellus_core::VideoId, name: String) -> Result<ResumableUpload> {
    let archive = api.engine.archive().clone();
    match blocking(move || Ok(archive.open_resumable(id, &name)?)).await? {
        FoundUpload::Free(upload) => Ok(upload),
        FoundUpload::Busy => Err(Error::new(ErrorKind::Conflict, "Another request sends this file.")),
        FoundUpload::None => Err(no_upload()),
    }
}

fn no_upload() -> Error {
    Error::not_found("Upload")
}

fn check_version(headers: &HeaderMap) -> Result<()> {
    match headers.get(RESUMABLE) {
        Some(version) if version == VERSION => Ok(()),
        _ => Err(Error::new(ErrorKind::PreconditionFailed, "This is for clients of tus: send Tus-Resumable: 1.0.0.")),
    }
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<u64> {
    let text = headers.get(name).and_then(|value| value.to_str().ok());
    let number = text.filter(|text| text.bytes().all(|b| b.is_ascii_digit())).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::bad_param(name.as_str(), "A whole number of bytes is required."))
}

/// When an upload ends to which nothing is appended any more.
fn expiry(changed: Timestamp) -> [(HeaderName, HeaderValue); 1] {
    let at = std::time::SystemTime::from(changed) + UPLOAD_LIFE;
    let text = httpdate::fmt_http_date(at);
    [(EXPIRES, HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")))]
}

/// Every answer names the version.
fn answered(result: Result<Response>) -> Response {
    let refused = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::PreconditionFailed);
    let mut response = result.map_err(ApiError::from).into_response();
    response.headers_mut().insert(RESUMABLE, VERSION);
    if refused {
        response.headers_mut().insert("tus-version", VERSION);
    }
    response
}
