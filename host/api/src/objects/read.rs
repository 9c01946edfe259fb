//! `GET /objects/{id}/`

use std::sync::Arc;

use axum::{Json, extract::State};

use super::shape::ObjectJson;
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    path::{ObjectPath, no_object},
};

/// An object, as the list of its video's objects shows it.
///
/// Ids begin with that of the video. An object is there until its video is deleted or processed
/// again.
#[utoipa::path(
    get, path = "/objects/{id}/", tag = "objects", operation_id = "readObject",
    params(("id" = String, Path, description = "Object ID."), SignUrls),
    responses((status = 200, description = "The object.", body = ObjectJson), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    ObjectPath(id): ObjectPath,
    base: BaseUrl,
) -> Result<Json<ObjectJson>, ApiError> {
    let archive = api.engine.archive().clone();
    let object = blocking(move || {
        let object = archive.object(&id)?.ok_or_else(no_object)?;
        Ok((object, archive.cluster_of(&id)?))
    });
    Ok(Json(ObjectJson::new(object.await?, &base)))
}
