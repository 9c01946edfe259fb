//! `GET /videos/{id}/objects/`

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use ocellus_core::Result;
use ocellus_store::{ObjectQuery, ObjectSearch};
use utoipa::IntoParams;

use super::{
    export,
    filter::{ObjectFilter, RecordFilters, descending, types},
    matching::page_of,
    shape::ObjectJson,
};
use crate::{
    Api,
    base_url::SignUrls,
    blocking, documented,
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::{VideoPath, no_video},
    query::only,
};

/// The parameters of the list.
const KNOWN: [&str; 8] =
    ["type", "bs_type", "time_gte", "time_lte", "quality_gte", "quality_lte", "ordering", export::FORMAT];

/// The objects that the last processing of a video found.
///
/// In the order in which their tracks ended. Grows while the video is processed.
///
/// A list costs as much as its page. With `type` the index entries of the other objects between
/// these are read, too, and with another filter their records. With `format` it is a file of all
/// objects that match, whatever `limit` is; its media type is not in this document, since generated
/// clients would take every page for a text then.
#[utoipa::path(
    get, path = "/videos/{id}/objects/", tag = "objects", operation_id = "listObjects",
    params(VideoPath, ObjectTypes, RecordFilters, export::FormatParam, PageQuery, SignUrls),
    responses((status = 200, description = "A page of objects. With `format`: a file of text.", body = PageJson<ObjectJson>), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    VideoPath(video): VideoPath,
    request: ListRequest,
) -> Result<Response, ApiError> {
    only(&request.query, &KNOWN)?;
    let (filter, descending) = (ObjectFilter::of_objects(&request.query)?, descending(&request.query)?);
    let ObjectQuery { types, limit, cursor } = object_query(&request)?;
    let search = ObjectSearch { videos: Some(BTreeSet::from([video])), types, descending, limit, cursor };
    let archive = api.engine.archive().clone();
    if let Some(format) = export::Format::read(&request.query)? {
        return Ok(export::respond(archive, video, search, filter, format, request.base()).await?);
    }
    let page = blocking(move || {
        archive.video(video)?.ok_or_else(no_video)?;
        page_of(&archive, video, search, &filter)
    })
    .await?;
    Ok(request.respond(page, ObjectJson::new).into_response())
}

/// The object types that a list is of.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct ObjectTypes {
    /// Object types, such as face; all without it.
    #[param(inline)]
    r#type: Option<Vec<documented::ObjectTypeName>>,
}

/// Query of the archive for the parameters of [`PageQuery`] and [`ObjectTypes`].
pub(crate) fn object_query(request: &ListRequest) -> Result<ObjectQuery> {
    let PageQuery { limit, cursor } = request.page()?;
    Ok(ObjectQuery { limit, cursor, types: types(&request.query)? })
}
