//! `GET /videos/{id}/clusters/`, `GET /clusters/faces/` and so on, `GET /clusters/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Cluster, Error, ObjectType, Result, VideoId};
use ocellus_store::ObjectQuery;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    list::{ObjectTypes, object_query},
    shape::ObjectJson,
};
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::{ClusterPath, VideoPath, no_cluster},
    query::only,
    rounding::rounded,
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
            first_time: rounded(*first_time),
            last_time: rounded(*last_time),
            best: best.to_string(),
            thumbnail: base.picture(&format!("/objects/{best}/thumbnail/")),
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
    Ok(request.respond(page, |cluster, base| ClusterJson::new(&cluster, base)))
}

/// The video whose identities are wanted.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
struct OfVideo {
    /// Video archive ID.
    video_archive: u64,
}

/// The faces of a video that count as one person each.
///
/// `/videos/{id}/clusters/?type=face` under the vendor's path.
#[utoipa::path(
    get, path = "/clusters/faces/", tag = "objects", operation_id = "listFaceClusters",
    params(OfVideo, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized),
)]
pub(crate) async fn faces(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    of_type(&api, ObjectType::face(), request).await
}

/// The bodies of a video that count as one person each.
#[utoipa::path(
    get, path = "/clusters/bodies/", tag = "objects", operation_id = "listBodyClusters",
    params(OfVideo, PageQuery, SignUrls),
    responses((status = 200, description = "A page of identities.", body = PageJson<ClusterJson>), BadParam, Unauthorized),
)]
pub(crate) async fn bodies(
    api: State<Arc<Api>>,
    request: ListRequest,
) -> Result<Json<PageJson<ClusterJson>>, ApiError> {
    of_type(&api, ObjectType::body(), request).await
}

/// The cars of a video that count as one vehicle each.
#[utoipa::path(
    get, path = "/clusters/cars/", tag = "objects", operation_id = "listCarClusters",
    params(OfVideo, PageQuery, SignUrls),
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
    const VIDEO: &str = "video_archive";
    only(&request.query, &[VIDEO])?;
    let required = || Error::bad_param(VIDEO, "This parameter is required.");
    let video = VideoId(request.query.integer(VIDEO)?.ok_or_else(required)?);
    let PageQuery { limit, cursor } = request.page()?;
    let wanted = ObjectQuery { types: vec![object_type], limit, cursor };
    let archive = api.engine.archive().clone();
    let page = blocking(move || {
        let unknown = || Error::bad_param(VIDEO, format!("Invalid pk \"{video}\" - object does not exist."));
        archive.video(video)?.ok_or_else(unknown)?;
        Ok(archive.clusters(video, &wanted)?)
    });
    Ok(request.respond(page.await?, |cluster, base| ClusterJson::new(&cluster, base)))
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
