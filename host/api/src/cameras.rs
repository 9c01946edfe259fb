//! `/camera-groups/` and `/cameras/`: read-only lists of the values that the operator configured,
//! for clients that offer them as a choice.

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Error, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::NumberPath,
};

/// A value that `camera_group` of a video may have.
#[derive(Serialize, ToSchema)]
#[schema(as = CameraGroup)]
pub(crate) struct CameraGroupJson {
    id: i64,
    name: String,
}

/// A value that `camera` of a video may have.
#[derive(Serialize, ToSchema)]
#[schema(as = Camera)]
pub(crate) struct CameraJson {
    id: i64,
    name: String,
}

impl CameraGroupJson {
    fn new(id: i64) -> Self {
        let name = match id {
            // The names in the vendor's default installation.
            -1 => "Video archive default Camera Group".to_owned(),
            1 => "Default Camera Group".to_owned(),
            _ => format!("Camera group {id}"),
        };
        Self { id, name }
    }
}

impl CameraJson {
    fn new(id: i64) -> Self {
        Self { id, name: format!("Camera {id}") }
    }
}

/// The camera groups that videos may be in (`--camera-groups`), all on one page.
#[utoipa::path(
    get, path = "/camera-groups/", tag = "videos", operation_id = "listCameraGroups",
    params(PageQuery),
    responses((status = 200, description = "The groups.", body = PageJson<CameraGroupJson>), BadParam, Unauthorized),
)]
pub(crate) async fn groups(
    State(api): State<Arc<Api>>,
    request: ListRequest,
) -> Result<Json<PageJson<CameraGroupJson>>, ApiError> {
    request.page()?;
    Ok(Json(PageJson::whole(api.config.camera_groups.iter().map(|id| CameraGroupJson::new(*id)).collect())))
}

/// A camera group.
#[utoipa::path(
    get, path = "/camera-groups/{id}/", tag = "videos", operation_id = "readCameraGroup",
    params(("id" = i64, Path, description = "Camera group ID.")),
    responses((status = 200, description = "The group.", body = CameraGroupJson), Unauthorized, NotFound),
)]
pub(crate) async fn group(
    State(api): State<Arc<Api>>,
    NumberPath(id): NumberPath,
) -> Result<Json<CameraGroupJson>, ApiError> {
    let id = id.filter(|id| api.config.camera_groups.contains(id)).ok_or_else(|| Error::not_found("CameraGroup"))?;
    Ok(Json(CameraGroupJson::new(id)))
}

/// The cameras that videos may be of (`--cameras`), all on one page.
#[utoipa::path(
    get, path = "/cameras/", tag = "videos", operation_id = "listCameras",
    params(PageQuery),
    responses((status = 200, description = "The cameras.", body = PageJson<CameraJson>), BadParam, Unauthorized),
)]
pub(crate) async fn cameras(
    State(api): State<Arc<Api>>,
    request: ListRequest,
) -> Result<Json<PageJson<CameraJson>>, ApiError> {
    request.page()?;
    Ok(Json(PageJson::whole(api.config.cameras.iter().map(|id| CameraJson::new(*id)).collect())))
}

/// A camera.
#[utoipa::path(
    get, path = "/cameras/{id}/", tag = "videos", operation_id = "readCamera",
    params(("id" = i64, Path, description = "Camera ID.")),
    responses((status = 200, description = "The camera.", body = CameraJson), Unauthorized, NotFound),
)]
pub(crate) async fn camera(
    State(api): State<Arc<Api>>,
    NumberPath(id): NumberPath,
) -> Result<Json<CameraJson>, ApiError> {
    let id = id.filter(|id| api.config.cameras.contains(id)).ok_or_else(|| Error::not_found("Camera"))?;
    Ok(Json(CameraJson::new(id)))
}
