//! `GET /videos/{id}/clusters/`, `GET /clusters/faces/` and so on, `GET /clusters/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{ObjectType, Result};
use ocellus_store::{Identity, Page};

use super::{
    query::{ClusterQuery, ClustersQuery},
    shape::{ClusterJson, Shown},
};
use crate::{
    Api,
    base_url::SignUrls,
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    objects::{
        list::{ObjectTypes, object_query},
        shape::ObjectJson,
    },
    page::{ListRequest, PageJson, PageQuery},
    path::{ClusterPath, VideoPath, no_cluster},
    query::only,
};

/// The identities of a video.
///
/// Tracks that look alike count as one identity; two that were there at the same time never are,
/// but where a user merged them. There are none before the end of the processing.
///
/// Each page reads the identities of the whole processing: one file, with the ids of their objects;
/// and the corrections of the video, of which there are 10,000 at most. For identities without a
/// name it reads one embedding of each identity of the type that has one.
#[utoipa::path(
    get, path = "/videos/{id}/clusters/", tag = "objects", operation_id = "listClusters",
    params(VideoPath, ObjectTypes, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    only(&request.query, &["type"])?;
    let wanted = object_query(&request)?;
    let archive = api.engine.archive().clone();
    let page = blocking(move || Ok(archive.clusters(video, &wanted)?)).await?;
    let Page { items, next, prev } = page;
    let items = items.into_iter().map(|identity| (identity, None)).collect();
    respond(&api, &request, Page { items, next, prev }).await
}

/// The faces that count as one person each.
///
/// Of all videos without `video_archive`, in the order of videos. Identities of several videos are
/// not joined: which count as one does not divide them into groups (one may look like a second, and
/// that like a third, and the first not like the third), so that a page would cost as much as
/// comparing all with each other. `looks_like` with the best object of one finds those of all
/// videos that look like it, and `named_alike` names the one that was given a name.
///
/// A page reads the identities of the videos that are on it, and the records of the videos between
/// that have none; with `named` those of videos with names; with `looks_like` it costs a search
/// through all embeddings of the type. For identities without a name it reads one embedding of each
/// identity of the type that has one.
#[utoipa::path(
    get, path = "/clusters/faces/", tag = "objects", operation_id = "listFaceClusters",
    params(ClustersQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized),
)]
pub(crate) async fn faces(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    of_type(&api, ObjectType::face(), request).await
}

/// The bodies that count as one person each.
///
/// As `/clusters/faces/`.
#[utoipa::path(
    get, path = "/clusters/bodies/", tag = "objects", operation_id = "listBodyClusters",
    params(ClustersQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized),
)]
pub(crate) async fn bodies(
    api: State<Arc<Api>>,
    request: ListRequest,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    of_type(&api, ObjectType::body(), request).await
}

/// The cars that count as one vehicle each.
///
/// As `/clusters/faces/`.
#[utoipa::path(
    get, path = "/clusters/cars/", tag = "objects", operation_id = "listCarClusters",
    params(ClustersQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized),
)]
pub(crate) async fn cars(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    of_type(&api, ObjectType::car(), request).await
}

async fn of_type(
    api: &Api,
    object_type: ObjectType,
    request: ListRequest,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    let wanted = ClusterQuery::read(&request.query, object_type)?;
    let PageQuery { limit, cursor } = request.page()?;
    let page = wanted.find(api, limit, cursor).await?;
    respond(api, &request, page).await
}

/// Response with a page of identities, each with its similarity to what was asked for.
async fn respond(
    api: &Api,
    request: &ListRequest,
    page: Page<(Identity, Option<f32>)>,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    let Page { items, next, prev } = page;
    let (identities, similarities): (Vec<_>, Vec<_>) = items.into_iter().unzip();
    let named = api.engine.named_alike(identities).await?;
    let shown = |((identity, alike), similarity)| -> Shown { (identity, alike, similarity) };
    let items: Vec<Shown> = named.into_iter().zip(similarities).map(shown).collect();
    Ok(request.respond(Page { items, next, prev }, ClusterJson::new))
}

/// All appearances of an identity in its video.
///
/// Each page reads the identities of the whole processing, and the objects of the page.
#[utoipa::path(
    get, path = "/clusters/{id}/objects/", tag = "objects", operation_id = "listClusterObjects",
    params(("id" = String, Path, description = "The cluster's id."), PageQuery, SignUrls),
    responses((status = 200, description = "A page of its objects.", body = PageJson<ObjectJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn objects(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    request: ListRequest,
) -> Result<Json<PageJson<ObjectJson>>, ApiError> {
    only(&request.query, &[])?;
    let PageQuery { limit, cursor } = request.page()?;
    let archive = api.engine.archive().clone();
    let cluster = id.clone();
    let page = blocking(move || archive.cluster_objects(&id, cursor.as_ref(), limit)?.ok_or_else(no_cluster)).await?;
    Ok(request.respond(page, |object, base| ObjectJson::new((object, Some(cluster.clone())), base)))
}
