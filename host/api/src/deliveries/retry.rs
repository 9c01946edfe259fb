//! `POST /deliveries/{id}/retry/` and `POST /videos/{id}/deliveries/retry/`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::shape::DeliveryJson;
use crate::{
    Api,
    error::{ApiError, Conflict, NotFound, Unauthorized},
    path::{ObjectPath, VideoPath},
};

/// Number of deliveries that are tried again.
#[derive(Serialize, ToSchema)]
pub(crate) struct Retried {
    retried: u64,
}

/// Tries a delivery now.
///
/// It goes to the `router_url` that its video has now. One that waits for its next try is due at
/// once, and one that failed is tried again; one that was accepted is a 409. A router that did not
/// answer gets nothing for up to a minute, also now: `next_try` says until when.
#[utoipa::path(
    post, path = "/deliveries/{id}/retry/", tag = "deliveries", operation_id = "retryDelivery",
    params(("id" = String, Path, description = "Object ID.")),
    responses((status = 200, description = "The delivery.", body = DeliveryJson), Unauthorized, NotFound, Conflict),
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    ObjectPath(object): ObjectPath,
) -> Result<Json<DeliveryJson>, ApiError> {
    Ok(Json(api.engine.retry_delivery(object).await?.into()))
}

/// Tries all deliveries of a video that failed.
///
/// They go to the `router_url` that the video has now.
#[utoipa::path(
    post, path = "/videos/{id}/deliveries/retry/", tag = "deliveries", operation_id = "retryDeliveries",
    params(VideoPath),
    responses((status = 200, description = "How many there are.", body = Retried), Unauthorized, NotFound),
)]
pub(crate) async fn all(State(api): State<Arc<Api>>, VideoPath(video): VideoPath) -> Result<Json<Retried>, ApiError> {
    Ok(Json(Retried { retried: api.engine.retry_deliveries(video).await? }))
}
