//! `GET /videos/{id}/deliveries/`

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use ocellus_core::{Error, Result};
use ocellus_store::{DeliveryQuery, DeliveryState};

use super::shape::DeliveryJson;
use crate::{
    Api,
    base_url::BaseUrl,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{self, PageJson},
    path::VideoPath,
    query::Query,
};

/// The objects of a video on their way to its router.
///
/// In the order in which they were made. Empty where the video had no router when it was processed.
/// The states are counted in the video's `health_status.statistic.objects`: `failed` there is
/// `failed` here, `not_posted` is `pending` and `retrying`.
#[utoipa::path(
    get, path = "/videos/{id}/deliveries/", tag = "deliveries", operation_id = "listDeliveries",
    params(
        ("id" = u64, Path, description = "Video archive ID."),
        ("state" = Option<Vec<String>>, Query, description = "pending, retrying, posted, failed; all without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Items for each page, 10 without it."),
        ("page" = Option<String>, Query, description = "Where the page begins: taken from next_page or prev_page."),
    ),
    responses((status = 200, description = "A page of deliveries.", body = PageJson<DeliveryJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
    base: BaseUrl,
    uri: Uri,
) -> Result<Json<PageJson<DeliveryJson>>, ApiError> {
    let wanted = DeliveryQuery { limit: page::limit(&query)?, cursor: page::cursor(&query)?, states: states(&query)? };
    let found = api.engine.deliveries(video, wanted).await?;
    Ok(Json(PageJson::new(found, &base, &uri, &query, DeliveryJson::from)))
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
