//! `GET` and `PATCH /clusters/{id}/`, `POST /clusters/{id}/merge/`, `POST /clusters/{id}/take-out/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Error, ObjectId, Result};
use ocellus_store::{Archive, Identity};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::shape::ClusterJson;
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    blocking,
    body::JsonObject,
    error::{ApiError, BadParam, Conflict, NotFound, TooLarge, Unauthorized},
    path::{ClusterPath, no_cluster},
    videos::fields::{MAX_NAME_CHARS, text},
};

/// What is to change of an identity.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterPatch {
    /// null takes the name away.
    #[schema(min_length = 1, max_length = 256, examples("Anna"))]
    name: Option<String>,
}

/// Which identity is the same.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterMerge {
    /// Id of an identity of the same video and type.
    #[schema(examples("6-1-face-5-0"))]
    with: String,
}

/// Which object is of another identity.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClusterTakeOut {
    /// Id of an object of the identity, which has others, too.
    #[schema(examples("6-1-face-5-0"))]
    object: String,
}

/// One identity.
#[utoipa::path(
    get, path = "/clusters/{id}/", tag = "objects", operation_id = "readCluster",
    params(("id" = String, Path, description = "The cluster's id."), SignUrls),
    responses((status = 200, description = "The identity.", body = ClusterJson), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    base: BaseUrl,
) -> Result<Json<ClusterJson>, ApiError> {
    answer(&api, &base, move |archive| archive.cluster(&id)?.ok_or_else(no_cluster)).await
}

/// Names an identity.
///
/// As all corrections, the name is kept when the video is processed again, and given to the
/// identity of the object whose embedding is then nearest to that of this one's best object, if it
/// is as near as one identity is. It is one of `/videos/{id}/corrections/`, where it can be undone.
#[utoipa::path(
    patch, path = "/clusters/{id}/", tag = "objects", operation_id = "patchCluster", request_body = ClusterPatch,
    params(("id" = String, Path, description = "The cluster's id."), SignUrls),
    responses((status = 200, description = "The identity as it is now.", body = ClusterJson), BadParam, Unauthorized, NotFound, Conflict, TooLarge),
)]
pub(crate) async fn name(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<ClusterJson>, ApiError> {
    let Some(name) = text(&sent, "name", MAX_NAME_CHARS)? else {
        return read(State(api), ClusterPath(id), base).await;
    };
    answer(&api, &base, move |archive| Ok(archive.name_cluster(&id, name.as_deref().map(str::trim))?)).await
}

/// Makes one identity of two.
///
/// Their objects are those of one from now on; where both have a name, that of this one stays.
#[utoipa::path(
    post, path = "/clusters/{id}/merge/", tag = "objects", operation_id = "mergeClusters", request_body = ClusterMerge,
    params(("id" = String, Path, description = "The cluster's id."), SignUrls),
    responses((status = 200, description = "The identity that both are now.", body = ClusterJson), BadParam, Unauthorized, NotFound, Conflict, TooLarge),
)]
pub(crate) async fn merge(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<ClusterJson>, ApiError> {
    let with = object_id(&sent, "with")?;
    answer(&api, &base, move |archive| Ok(archive.merge_clusters(&id, &with)?)).await
}

/// Takes an object out of an identity.
///
/// It is an identity of its own from now on, without a name. Where it was the first object, the
/// identity that it was in has another id.
#[utoipa::path(
    post, path = "/clusters/{id}/take-out/", tag = "objects", operation_id = "takeOutOfCluster", request_body = ClusterTakeOut,
    params(("id" = String, Path, description = "The cluster's id."), SignUrls),
    responses((status = 200, description = "The identity that it was in, as it is now.", body = ClusterJson), BadParam, Unauthorized, NotFound, Conflict, TooLarge),
)]
pub(crate) async fn take_out(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    base: BaseUrl,
    JsonObject(sent): JsonObject,
) -> Result<Json<ClusterJson>, ApiError> {
    let object = object_id(&sent, "object")?;
    answer(&api, &base, move |archive| Ok(archive.take_out(&id, &object)?)).await
}

fn object_id(sent: &Map<String, Value>, name: &str) -> Result<ObjectId> {
    let value = sent.get(name).ok_or_else(|| Error::bad_param(name, "This field is required."))?;
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| Error::bad_param(name, "Give an id, such as 6-1-face-5-0."))
}

/// Answers with the identity that `work`, which may block, returns.
async fn answer(
    api: &Api,
    base: &BaseUrl,
    work: impl FnOnce(&Archive) -> Result<Identity> + Send + 'static,
) -> Result<Json<ClusterJson>, ApiError> {
    let archive = api.engine.archive().clone();
    let identity = blocking(move || work(&archive)).await?;
    let (identity, named_alike) = api.engine.named_alike(vec![identity]).await?.pop().ok_or_else(no_cluster)?;
    Ok(Json(ClusterJson::new((identity, named_alike, None), base)))
}
