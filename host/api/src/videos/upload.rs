//! `PUT /videos/{id}/upload/source_file/`
//!
//! Until the last byte is on the disk the video keeps its old source. A request that ends before
//! leaves nothing: the store's `Upload` deletes its file when it is dropped.

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
    videos::receiving::{Sink, receive},
};

/// Uploads the source file of a video: the bytes of the file as the body, whatever the
/// Content-Type, or a multipart form with one file.
///
/// Replaces the old file atomically, once all bytes have arrived. Objects that were found stay
/// until the video is processed again.
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
    let body = FileBody::open(request)?;
    match announced.filter(|_| body.is_plain()) {
        Some(0) => return Err(empty().into()),
        Some(n) if n > most => return Err(too_large(most).into()),
        Some(n) => api.engine.check_room(n)?,
        None => api.engine.check_room(0)?,
    }

    let archive = api.engine.archive().clone();
    let upload = blocking(move || Ok(archive.begin_upload(id)?)).await?;
    let (upload, received) = receive(upload, body, most).await?;
    if received == 0 {
        return Err(empty().into());
    }
    blocking(move || {
        // Checked again, since the upload may have taken hours. `settled` writes the final state of
        // a job that could not be written before, so that it does not count as running.
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

impl Sink for Upload {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::new(ErrorKind::Unavailable, "There is no room for the file.").because(e)
            }
            _ => Error::internal(e),
        })
    }

    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}
