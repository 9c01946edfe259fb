//! `GET /videos/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Error, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_store::{Archive, ObjectQuery, Page};
use utoipa::IntoParams;

use super::shape::ObjectJson;
use crate::{
    Api, blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::{VideoPath, no_video},
    query::Query,
};

/// The objects that the last processing of a video found.
///
/// In the order in which their tracks ended. Grows while the video is processed.
///
/// A list costs as much as its page. With `type` the index entries of the other objects between
/// these are read, too.
#[utoipa::path(
    get, path = "/videos/{id}/objects/", tag = "objects", operation_id = "listObjects",
    params(VideoPath, ObjectTypes, PageQuery),
    responses((status = 200, description = "A page of objects.", body = PageJson<ObjectJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Json<PageJson<ObjectJson>>, ApiError> {
    let query = object_query(&request)?;
    let archive = api.engine.archive().clone();
    let page = blocking(move || {
        archive.video(video)?.ok_or_else(no_video)?;
        page_of(&archive, video, &query)
    })
    .await?;
    Ok(request.respond(page, ObjectJson::new))
}

/// A page of objects, each with the id of its cluster.
pub(crate) fn page_of(
    archive: &Archive,
    video: VideoId,
    query: &ObjectQuery,
) -> Result<Page<(ObjectRecord, Option<ObjectId>)>> {
    let Page { items, next, prev } = archive.objects(video, query)?;
    let with_cluster = |object: ObjectRecord| archive.cluster_of(&object.id).map(|cluster| (object, cluster));
    Ok(Page { items: items.into_iter().map(with_cluster).collect::<Result<_, _>>()?, next, prev })
}

/// The object types that a list is of.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ObjectTypes {
    /// Object types, such as face; all without it.
    #[param(rename = "type", value_type = Option<Vec<String>>)]
    types: Vec<ObjectType>,
}

impl ObjectTypes {
    fn read(query: &Query) -> Result<Self> {
        let types = query.all("type").map(|text| text.parse().map_err(|e: String| Error::bad_param("type", e)));
        Ok(Self { types: types.collect::<Result<_>>()? })
    }
}

/// Query of the archive for the parameters of [`PageQuery`] and [`ObjectTypes`].
pub(crate) fn object_query(request: &ListRequest) -> Result<ObjectQuery> {
    let PageQuery { limit, cursor } = request.page()?;
    Ok(ObjectQuery { limit, cursor, types: ObjectTypes::read(&request.query)?.types })
}
