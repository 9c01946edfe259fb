//! `GET /videos/{id}/clusters/` and `GET /clusters/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Cluster, Error, ObjectType, Result};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    objects::shape::ObjectJson,
    path::{ClusterPath, VideoPath, no_cluster, no_video},
    query::Query,
};

/// Tracks of a video that are held to be of the same individual.
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

/// The list of a video's individuals, or of one individual's objects.
#[derive(Serialize, ToSchema)]
pub(crate) struct AllJson<T> {
    results: Vec<T>,
}

/// The individuals that the last processing of a video found.
///
/// Tracks that look alike are held to be one individual; two that were there at the same time never are. There are none
/// before the end of the processing.
#[utoipa::path(
    get, path = "/videos/{id}/clusters/", tag = "objects", operation_id = "listClusters",
    params(
        ("id" = u64, Path, description = "Video archive ID."),
        ("type" = Option<Vec<String>>, Query, description = "Object types, such as face; all without it."),
    ),
    responses((status = 200, description = "The individuals.", body = AllJson<ClusterJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
    base: BaseUrl,
) -> Result<Json<AllJson<ClusterJson>>, ApiError> {
    let types: Vec<ObjectType> =
        query.all("type").map(|text| text.parse().map_err(|e: String| Error::bad_param("type", e))).collect::<Result<_>>()?;
    let archive = api.engine.archive().clone();
    let found = blocking(move || {
        archive.video(video)?.ok_or_else(no_video)?;
        Ok(archive.stored_job(video)?.clusters()?)
    })
    .await?;
    let wanted = found.iter().filter(|c| types.is_empty() || types.contains(&c.id.object_type));
    Ok(Json(AllJson { results: wanted.map(|c| ClusterJson::new(c, &base)).collect() }))
}

/// All appearances of an individual in its video.
#[utoipa::path(
    get, path = "/clusters/{id}/objects/", tag = "objects", operation_id = "listClusterObjects",
    params(("id" = String, Path, description = "The cluster's id.")),
    responses((status = 200, description = "Its objects.", body = AllJson<ObjectJson>), Unauthorized, NotFound),
)]
pub(crate) async fn objects(
    State(api): State<Arc<Api>>,
    ClusterPath(id): ClusterPath,
    base: BaseUrl,
) -> Result<Json<AllJson<ObjectJson>>, ApiError> {
    let archive = api.engine.archive().clone();
    let cluster = id.clone();
    let found = blocking(move || {
        archive.video(id.job.video)?.ok_or_else(no_cluster)?;
        let stored = archive.stored_job(id.job.video)?;
        let cluster = stored.clusters()?.into_iter().find(|c| c.id == id).ok_or_else(no_cluster)?;
        let objects = stored.objects()?.into_iter().filter(|o| cluster.objects.binary_search(&o.id).is_ok());
        Ok(objects.collect::<Vec<_>>())
    })
    .await?;
    Ok(Json(AllJson { results: found.into_iter().map(|object| ObjectJson::new((object, Some(cluster.clone())), &base)).collect() }))
}
