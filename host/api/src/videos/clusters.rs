//! `GET /videos/{id}/clusters/` and `GET /clusters/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Cluster, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    objects::{
        list::{ObjectTypes, object_query},
        shape::ObjectJson,
    },
    page::{ListRequest, PageJson, PageQuery},
    path::{ClusterPath, VideoPath, no_cluster},
};

/// Tracks of a video that count as the same identity.
#[derive(Serialize, ToSchema)]
#[schema(as = Cluster)]
pub(crate) struct ClusterJson {
    /// The id of its first object.
    #[schema(examples("6-1-face-3-0"))]
    id: String,
    #[schema(examples("face"))]
    r#type: String,
    /// How many objects, that is tracks.
    size: usize,
    /// Seconds from the start of the source.
    first_time: f64,
    /// Seconds from the start of the source.
    last_time: f64,
    /// The object with the best picture.
    best: String,
    /// URL of that picture, JPEG.
    #[schema(format = "uri")]
    thumbnail: String,
    /// URL of all of its objects.
    #[schema(format = "uri")]
    objects: String,
}

impl ClusterJson {
    fn new(cluster: &Cluster, base: &BaseUrl) -> Self {
        let Cluster { id, best, objects, first_time, last_time } = cluster;
        Self {
            id: id.to_string(),
            r#type: id.object_type.to_string(),
            size: objects.len(),
            first_time: *first_time,
            last_time: *last_time,
            best: best.to_string(),
            thumbnail: base.join(&format!("/objects/{best}/thumbnail/")),
            objects: base.join(&format!("/clusters/{id}/objects/")),
        }
    }
}

/// The identities that the last processing of a video found.
///
/// Tracks that look alike count as one identity; two that were there at the same time never
/// are. There are none before the end of the processing.
///
/// Each page reads the identities of the whole processing: one file, with the ids of their objects.
#[utoipa::path(
    get, path = "/videos/{id}/clusters/", tag = "objects", operation_id = "listClusters",
    params(VideoPath, ObjectTypes, PageQuery),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    let wanted = object_query(&request)?;
    let archive = api.engine.archive().clone();
    let page = blocking(move || Ok(archive.clusters(video, &wanted)?)).await?;
    Ok(request.respond(page, |cluster, base| ClusterJson::new(&cluster, base)))
}

/// All appearances of an identity in its video.
///
/// Each page reads the identities of the whole processing, and the objects of the page.
#[utoipa::path(
    get, path = "/clusters/{id}/objects/", tag = "objects", operation_id = "listClusterObjects",
    params(("id" = String, Path, description = "The cluster's id."), PageQuery),
    responses((status = 200, description = "A page of its objects.", body = PageJson<ObjectJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn objects(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    request: ListRequest,
) -> Result<Json<PageJson<ObjectJson>>, ApiError> {
    let PageQuery { limit, cursor } = request.page()?;
    let archive = api.engine.archive().clone();
    let cluster = id.clone();
    let page = blocking(move || archive.cluster_objects(&id, cursor.as_ref(), limit)?.ok_or_else(no_cluster)).await?;
    Ok(request.respond(page, |object, base| ObjectJson::new((object, Some(cluster.clone())), base)))
}
