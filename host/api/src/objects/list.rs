//! `GET /videos/{id}/objects/`

use std::sync::Arc;

use axum::{Json, extract::State, http::Uri};
use ocellus_core::{Error, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_store::{Archive, ObjectQuery, Page};

use super::shape::ObjectJson;
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{self, PageJson},
    path::{VideoPath, no_video},
    query::Query,
};

/// The objects that the last processing of a video found.
///
/// In the order in which their tracks ended. Grows while the video is processed.
#[utoipa::path(
    get, path = "/videos/{id}/objects/", tag = "objects", operation_id = "listObjects",
    params(
        ("id" = u64, Path, description = "Video archive ID."),
        ("type" = Option<Vec<String>>, Query, description = "Object types, such as face; all without it."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Items for each page, 10 without it."),
        ("page" = Option<String>, Query, description = "Where the page begins: taken from next_page or prev_page."),
    ),
    responses((status = 200, description = "A page of objects.", body = PageJson<ObjectJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    query: Query,
    base: BaseUrl,
    uri: Uri,
) -> Result<Json<PageJson<ObjectJson>>, ApiError> {
    let wanted = ObjectQuery { limit: page::limit(&query)?, cursor: page::cursor(&query)?, types: types(&query)? };
    let archive = api.engine.archive().clone();
    let found = blocking(move || {
        archive.video(video)?.ok_or_else(no_video)?;
        page_of(&archive, video, &wanted)
    })
    .await?;
    Ok(Json(PageJson::new(found, &base, &uri, &query, |object| ObjectJson::new(object, &base))))
}

/// Objects with the identities that they are held to be.
pub(crate) fn page_of(
    archive: &Archive,
    video: VideoId,
    wanted: &ObjectQuery,
) -> Result<Page<(ObjectRecord, Option<ObjectId>)>> {
    let Page { items, next, prev } = archive.objects(video, wanted)?;
    let with_cluster = |object: ObjectRecord| archive.cluster_of(&object.id).map(|cluster| (object, cluster));
    Ok(Page { items: items.into_iter().map(with_cluster).collect::<Result<_, _>>()?, next, prev })
}

pub(crate) fn types(query: &Query) -> Result<Vec<ObjectType>> {
    query.all("type").map(|text| text.parse().map_err(|e: String| Error::bad_param("type", e))).collect()
}
