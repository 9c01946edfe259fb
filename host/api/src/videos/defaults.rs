//! `GET /cameras/default_parameters/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::StreamSettings;

use crate::{
    Api,
    error::{ApiError, Unauthorized},
};

/// The settings of a new video that is created without any.
///
/// The vendor's, or those that the operator chose (`--defaults`).
#[utoipa::path(
    get, path = "/cameras/default_parameters/", tag = "videos", operation_id = "getDefaultParameters",
    responses((status = 200, description = "The settings, all keys.", body = ref("#/components/schemas/StreamSettings")), Unauthorized),
)]
pub(crate) async fn defaults(State(api): State<Arc<Api>>) -> Result<Json<StreamSettings>, ApiError> {
    Ok(Json(api.engine.settings_schema()?.complete(None)?))
}
