//! `GET /videos/{id}/source_file/` and `GET /videos/{id}/file/`
//!
//! The file streams from the disk; ranges, `If-Modified-Since` and HEAD are tower-http's.

use std::{io::Read, path::Path, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE},
    },
    response::{IntoResponse, Response},
};
use ocellus_core::{Error, Result, VideoId, VideoRecord};
use tower::ServiceExt;
use tower_http::services::ServeFile;

use crate::{
    Api, blocking,
    error::{ApiError, NotFound, Unauthorized},
    openapi::Binary,
    path::{VideoPath, no_video},
};

static NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// The source file of a video, as it was uploaded.
///
/// Takes `Range`, so that a player can seek in it and a download can be resumed, and
/// `If-None-Match`.
#[utoipa::path(
    get, path = "/videos/{id}/source_file/", tag = "videos", operation_id = "downloadVideoSource",
    params(VideoPath),
    responses(
        (status = 200, description = "The file.", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 206, description = "A part of it.", body = inline(Binary), content_type = "application/octet-stream"),
        Unauthorized, NotFound,
    ),
)]
pub(crate) async fn source_file(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    request: Request,
) -> Result<Response, ApiError> {
    serve(&api, id, request).await
}

/// The source file of a video, by its other name.
#[utoipa::path(
    get, path = "/videos/{id}/file/", tag = "videos", operation_id = "downloadVideoFile",
    params(VideoPath),
    responses(
        (status = 200, description = "The file.", body = inline(Binary), content_type = "application/octet-stream"),
        (status = 206, description = "A part of it.", body = inline(Binary), content_type = "application/octet-stream"),
        Unauthorized, NotFound,
    ),
)]
pub(crate) async fn file(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    request: Request,
) -> Result<Response, ApiError> {
    serve(&api, id, request).await
}

async fn serve(api: &Api, id: VideoId, mut request: Request) -> Result<Response, ApiError> {
    let archive = api.engine.archive().clone();
    let (video, path, media_type) = blocking(move || {
        let video = archive.video(id)?.ok_or_else(no_video)?;
        let path = archive.source_path(id);
        let media_type = video.file_size.and_then(|_| media_type(&path)).ok_or_else(|| Error::not_found("File"))?;
        Ok((video, path, media_type))
    })
    .await?;

    let tag = video.source_sha256.as_ref().and_then(|digest| HeaderValue::try_from(format!("\"{digest}\"")).ok());
    let headers = request.headers_mut();
    if let (Some(tag), Some(known)) = (&tag, headers.get(IF_NONE_MATCH))
        && known == tag
    {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, tag.clone())]).into_response());
    }
    // The client would append a range of the new file to the part of the old one that it has.
    if headers.remove(IF_RANGE).is_some_and(|known| tag.as_ref() != Some(&known)) {
        headers.remove(RANGE);
    }
    let Ok(served) = ServeFile::new(path).oneshot(request).await;
    let mut response = served.map(Body::new);
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Error::not_found("File").into());
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(NOSNIFF.0.clone(), NOSNIFF.1.clone());
    headers.extend(tag.map(|tag| (ETAG, tag)));
    headers.extend(disposition(&video, media_type).map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

/// Media type by the first bytes, never one that a browser would execute. `None` where there is no
/// file.
fn media_type(path: &Path) -> Option<&'static str> {
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(64).read_to_end(&mut head).ok()?;
    let has = |text: &[u8]| head.windows(text.len()).any(|w| w == text);
    Some(match head.as_slice() {
        [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', ..] => "video/quicktime",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "video/mp4",
        [0x1a, 0x45, 0xdf, 0xa3, ..] if has(b"webm") => "video/webm",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "video/x-matroska",
        [b'R', b'I', b'F', b'F', ..] if has(b"AVI ") => "video/x-msvideo",
        [0x47, ..] => "video/mp2t",
        _ => "application/octet-stream",
    })
}

/// `inline`, so that a browser plays it; the name is for when it is saved.
fn disposition(video: &VideoRecord, media_type: &str) -> Option<HeaderValue> {
    let extension = match media_type {
        "video/quicktime" => ".mov",
        "video/mp4" => ".mp4",
        "video/webm" => ".webm",
        "video/x-matroska" => ".mkv",
        "video/x-msvideo" => ".avi",
        "video/mp2t" => ".ts",
        _ => "",
    };
    let name = video.name.clone().unwrap_or_else(|| format!("video-{}", video.id));
    let name = if name.to_lowercase().ends_with(extension) { name } else { format!("{name}{extension}") };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_graphic() && !"\"\\%;/".contains(c) { c } else { '_' }).collect();
    // RFC 5987: every byte that is not a letter or a digit is escaped.
    let escape = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") };
    let escaped: String = name.bytes().map(escape).collect();
    HeaderValue::try_from(format!("inline; filename=\"{plain}\"; filename*=UTF-8''{escaped}")).ok()
}
