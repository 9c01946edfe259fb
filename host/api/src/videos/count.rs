//! `GET /videos/count/`

use std::sync::Arc;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{filter::filter, list::Filters};
use crate::{
    Api, blocking,
    error::{ApiError, BadParam, Unauthorized},
    query::Query,
};

/// Number of items.
#[derive(Serialize, ToSchema)]
#[schema(as = Count)]
pub(crate) struct CountJson {
    count: u64,
}

impl CountJson {
    pub(crate) fn new(count: u64) -> Self {
        Self { count }
    }
}

/// How many videos the list has under the same filters.
///
/// Reads the index entry of each video between the limits to `created_date`, or of each in `id_in`.
#[utoipa::path(
    get, path = "/videos/count/", tag = "videos", operation_id = "countVideos", params(Filters),
    responses((status = 200, description = "The number.", body = CountJson), BadParam, Unauthorized),
)]
pub(crate) async fn count(State(api): State<Arc<Api>>, query: Query) -> Result<Json<CountJson>, ApiError> {
    let (filter, archive) = (filter(&query, api.clock.now())?, api.engine.archive().clone());
    let count = blocking(move || Ok(archive.count(&filter)?)).await?;
    Ok(Json(CountJson::new(count)))
}
