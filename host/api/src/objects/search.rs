//! `POST /search/` and `POST /videos/{id}/search/`

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
};
use ocellus_core::{Error, ObjectType, Result, VideoId};
use ocellus_pipeline::{Search, SearchQuery, Similar};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::shape::ObjectJson;
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    body, documented,
    error::{ApiError, BadParam, NotFound, TooLarge, Unauthorized},
    openapi::Binary,
    page,
    path::VideoPath,
    query::Query,
    rounding::rounded,
};

/// Limit of a picture, which is in memory as a whole.
pub(super) const MOST_BYTES: usize = 32 << 20;

/// The detection that was searched for, and the objects similar to it.
#[derive(Serialize, ToSchema)]
#[schema(as = SearchResult)]
pub(crate) struct SearchJson {
    looked_for: LookedForJson,
    /// The most similar first.
    results: Vec<SimilarJson>,
}

/// The detection in the picture that was searched for.
#[derive(Serialize, ToSchema)]
#[schema(as = LookedFor)]
pub(crate) struct LookedForJson {
    #[schema(examples("face"))]
    r#type: String,
    /// Left, top, right, bottom in the picture, in pixels.
    bbox: [i32; 4],
    /// The detector's confidence, 0..1.
    score: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SimilarObject)]
pub(crate) struct SimilarJson {
    /// 0..1; above 0.5 the two count as the same identity.
    similarity: f64,
    object: ObjectJson,
}

impl SearchJson {
    fn new(search: Search, base: &BaseUrl) -> Self {
        let Search { object_type, bbox, score, found } = search;
        let similar = |Similar { object, cluster, similarity }| SimilarJson {
            similarity: rounded(similarity),
            object: ObjectJson::new((object, cluster), base),
        };
        Self {
            looked_for: LookedForJson { r#type: object_type.to_string(), bbox, score: rounded(score) },
            results: found.into_iter().map(similar).collect(),
        }
    }
}

/// Search all videos by a picture.
///
/// Searches for the best face in the picture, or the best body or car where there is no face, and
/// returns the objects most similar to it. Objects are found as soon as they are listed. Where no
/// embedder is installed for a type, the colours of its objects are compared.
#[utoipa::path(
    post, path = "/search/", tag = "objects", operation_id = "search",
    params(SearchParams, SignUrls),
    request_body(content((inline(Binary) = "application/octet-stream"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png")), description = "JPEG, PNG or another picture, of at most 32 MiB and 100 million pixels."),
    responses((status = 200, description = "The objects.", body = SearchJson), BadParam, Unauthorized, TooLarge),
)]
pub(crate) async fn everywhere(
    State(api): State<Arc<Api>>,
    query: Query,
    base: BaseUrl,
    request: Request,
) -> Result<Json<SearchJson>, ApiError> {
    search(&api, None, &query, &base, request).await
}

/// Search a video by a picture.
#[utoipa::path(
    post, path = "/videos/{id}/search/", tag = "objects", operation_id = "searchVideo",
    params(VideoPath, SearchParams, SignUrls),
    request_body(content((inline(Binary) = "application/octet-stream"), (inline(Binary) = "image/jpeg"), (inline(Binary) = "image/png")), description = "JPEG, PNG or another picture, of at most 32 MiB and 100 million pixels."),
    responses((status = 200, description = "The objects.", body = SearchJson), BadParam, Unauthorized, NotFound, TooLarge),
)]
pub(crate) async fn in_video(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
    base: BaseUrl,
    request: Request,
) -> Result<Json<SearchJson>, ApiError> {
    search(&api, Some(video), &query, &base, request).await
}

/// Parameters of a search.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// The type to search for in the picture, such as face.
    #[param(rename = "type", inline, value_type = Option<documented::ObjectTypeName>)]
    object_type: Option<ObjectType>,
    /// Most objects to return, 10 without it; more than 1000 are 1000.
    #[param(value_type = Option<u64>, minimum = 1)]
    limit: usize,
    /// The least similarity, 0 without it; from 0.5 on objects count as the same identity.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 1)]
    threshold: f32,
}

impl SearchParams {
    fn read(query: &Query) -> Result<Self> {
        let object_type = |text: &str| text.parse().map_err(|e: String| Error::bad_param("type", e));
        Ok(Self {
            object_type: query.last("type").map(object_type).transpose()?,
            limit: page::limit(query)?,
            threshold: query.share("threshold")?.unwrap_or(0.0),
        })
    }
}

async fn search(
    api: &Api,
    video: Option<VideoId>,
    query: &Query,
    base: &BaseUrl,
    request: Request,
) -> Result<Json<SearchJson>, ApiError> {
    let SearchParams { object_type, limit, threshold } = SearchParams::read(query)?;
    let picture = body::whole(request, MOST_BYTES).await?;
    let found = api.engine.search(picture, SearchQuery { object_type, video, limit, threshold }).await?;
    Ok(Json(SearchJson::new(found, base)))
}
