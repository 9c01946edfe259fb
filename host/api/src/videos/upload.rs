//! `PUT /videos/{id}/upload/source_file/`
//!
//! A body of any size passes through a buffer of constant size. Until the last byte is on the disk
//! the video keeps the source that it has; a request that ends before leaves nothing, since the
//! store's `Upload` takes its file with it.

use std::{io::Write, sync::Arc};

use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use ocellus_core::{Error, ErrorKind, Result, VideoRecord};
use ocellus_store::Upload;

use crate::{
    Api, blocking,
    body::{BODY, announced, too_large},
    error::{ApiError, BadParam, Conflict, NotFound, TooLarge, Unauthorized, UnsupportedMedia},
    file_body::FileBody,
    openapi::Binary,
    path::VideoPath,
};

/// Bytes that are gathered before a thread writes them.
pub(crate) const BUFFER_BYTES: usize = 1 << 20;

/// Uploads the source file of a video: the bytes of the file as the body, whatever the
/// Content-Type, or a multipart form with one file.
///
/// Replaces the file that there was, at once and only when all bytes have come. Objects that were
/// found stay until the video is processed again.
#[utoipa::path(
    put, path = "/videos/{id}/upload/source_file/", tag = "videos", operation_id = "uploadVideoFile",
    params(VideoPath),
    request_body(content = inline(Binary), content_type = "application/octet-stream", description = "The file."),
    responses((status = 201, description = "The file is stored."), BadParam, Unauthorized, NotFound, Conflict, TooLarge, UnsupportedMedia),
)]
pub(crate) async fn upload(
    State(api): State<Arc<Api>>,
    VideoPath(id): VideoPath,
    request: Request,
) -> Result<StatusCode, ApiError> {
    // Refusals before the first byte: a client that waits for "100 Continue" is spared sending the
    // file.
    blocking({
        let engine = api.engine.clone();
        move || check_idle(&engine.settled(id)?)
    })
    .await?;
    let most = api.config.max_upload_bytes.unwrap_or(u64::MAX);
    let announced = announced(&request);
    let mut body = FileBody::open(request)?;
    match announced.filter(|_| body.is_plain()) {
        Some(0) => return Err(empty().into()),
        Some(n) if n > most => return Err(too_large(most).into()),
        Some(n) => api.engine.check_room(n)?,
        None => api.engine.check_room(0)?,
    }

    let archive = api.engine.archive().clone();
    let mut upload = blocking(move || Ok(archive.begin_upload(id)?)).await?;
    let (mut buffer, mut received) = (Vec::with_capacity(BUFFER_BYTES), 0_u64);
    while let Some(chunk) = body.next().await? {
        received += chunk.len() as u64;
        if received > most {
            return Err(too_large(most).into());
        }
        buffer.extend_from_slice(&chunk);
        if buffer.len() >= BUFFER_BYTES {
            (upload, buffer) = write(upload, buffer).await?;
        }
    }
    if received == 0 {
        return Err(empty().into());
    }
    let (upload, _) = write(upload, buffer).await?;
    blocking(move || {
        // Once more: the upload may have taken hours. A job's end that could not be written until
        // now does not count as a job.
        api.engine.settled(id)?;
        Ok(upload.commit_if(check_idle)?)
    })
    .await?;
    Ok(StatusCode::CREATED)
}

pub(crate) fn empty() -> Error {
    Error::bad_param(BODY, "The submitted file is empty.")
}

/// A job that is queued or runs reads the file.
pub(crate) fn check_idle(video: &VideoRecord) -> Result<()> {
    if video.status.is_enabled() {
        return Err(Error::new(
            ErrorKind::Conflict,
            "The video is queued or being processed: stop it before replacing its file.",
        ));
    }
    Ok(())
}

/// Writes the buffer and gives both back, so that no thread is held while the client is slow.
async fn write(mut upload: Upload, mut buffer: Vec<u8>) -> Result<(Upload, Vec<u8>)> {
    blocking(move || {
        upload.write_all(&buffer).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::new(ErrorKind::Unavailable, "There is no room for the file.").because(e)
            }
            _ => Error::internal(e),
        })?;
        buffer.clear();
        Ok((upload, buffer))
    })
    .await
}
