//! `GET /objects/{id}/thumbnail/` and `GET /objects/{id}/fullframe/`

use std::{io, sync::Arc};

use axum::{extract::State, response::Response};
use ocellus_core::{Error, ObjectId};
use ocellus_store::Picture;

use crate::{
    Api, blocking,
    error::{ApiError, NotFound, Unauthorized},
    openapi::Binary,
    path::{ObjectPath, no_object},
    picture::response,
};

/// The crop of an object's best shot.
#[utoipa::path(
    get, path = "/objects/{id}/thumbnail/", tag = "objects", operation_id = "objectThumbnail",
    params(("id" = String, Path, description = "Object ID.")),
    responses((status = 200, description = "JPEG.", body = inline(Binary), content_type = "image/jpeg"), Unauthorized, NotFound),
)]
pub(crate) async fn thumbnail(State(api): State<Arc<Api>>, ObjectPath(id): ObjectPath) -> Result<Response, ApiError> {
    picture(&api, id, Picture::Thumbnail).await
}

/// The frame that holds an object's best shot.
#[utoipa::path(
    get, path = "/objects/{id}/fullframe/", tag = "objects", operation_id = "objectFullframe",
    params(("id" = String, Path, description = "Object ID.")),
    responses((status = 200, description = "JPEG, or PNG where `fullframe_use_png` is on.", content((inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png"))), Unauthorized, NotFound),
)]
pub(crate) async fn fullframe(State(api): State<Arc<Api>>, ObjectPath(id): ObjectPath) -> Result<Response, ApiError> {
    picture(&api, id, Picture::Fullframe).await
}

async fn picture(api: &Api, id: ObjectId, which: Picture) -> Result<Response, ApiError> {
    let archive = api.engine.archive().clone();
    let (content_type, bytes) = blocking(move || {
        let file = archive.picture(&id, which).ok_or_else(no_object)?;
        let bytes = std::fs::read(&file.path).map_err(|e| match e.kind() {
            // The video was deleted or processed again between the two steps.
            io::ErrorKind::NotFound => no_object(),
            _ => Error::internal(e),
        })?;
        Ok((file.content_type, bytes))
    })
    .await?;
    Ok(response(content_type, bytes))
}
