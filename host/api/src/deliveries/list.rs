//! `GET /videos/{id}/deliveries/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Error, Result};
use ocellus_store::{DeliveryQuery, DeliveryState};

use super::shape::DeliveryJson;
use crate::{
    Api,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::VideoPath,
    query::{Query, only},
};

/// The objects of a video on their way to its router.
///
/// In the order in which they were made. Empty where the video had no router when it was processed.
/// The states are counted in the video's `health_status.statistic.objects`: `failed` there is
/// `failed` here, `not_posted` is `pending` and `retrying`.
///
/// A list costs as much as its page. With `state` the index entries of the other deliveries between
/// these are read, too.
#[utoipa::path(
    get, path = "/videos/{id}/deliveries/", tag = "deliveries", operation_id = "listDeliveries",
    params(
        VideoPath,
        ("state" = Option<Vec<super::shape::State>>, Query, description = "All without it."),
        PageQuery,
    ),
    responses((status = 200, description = "A page of deliveries.", body = PageJson<DeliveryJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Json<PageJson<DeliveryJson>>, ApiError> {
    only(&request.query, &["state"])?;
    let PageQuery { limit, cursor } = request.page()?;
    let wanted = DeliveryQuery { limit, cursor, states: states(&request.query)? };
    let found = api.engine.deliveries(video, wanted).await?;
    Ok(request.respond(found, |delivery, _| DeliveryJson::from(delivery)))
}

fn states(query: &Query) -> Result<Vec<DeliveryState>> {
    let state = |text: &str| match text {
        "pending" => Ok(DeliveryState::Pending),
        "retrying" => Ok(DeliveryState::Retrying),
        "posted" => Ok(DeliveryState::Posted),
        "failed" => Ok(DeliveryState::Failed),
        other => Err(Error::bad_param("state", format!("{other:?} is no state: pending, retrying, posted, failed."))),
    };
    query.all("state").map(state).collect()
}
