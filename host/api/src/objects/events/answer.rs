//! Responses to requests for events: objects with their videos.

use std::collections::{BTreeMap, btree_map::Entry};

use axum::Json;
use ocellus_core::{ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_store::{Archive, Page};

use super::{
    query::EventQuery,
    shape::{EventJson, EventSource, Found},
};
use crate::{
    Api,
    base_url::BaseUrl,
    blocking,
    error::ApiError,
    page::{ListRequest, PageJson, PageQuery},
    path::no_object,
    query::Query,
    videos::count::CountJson,
};

pub(super) async fn list(
    api: &Api,
    object_type: ObjectType,
    request: ListRequest,
) -> Result<Json<PageJson<EventJson>>, ApiError> {
    let PageQuery { limit, cursor } = request.page()?;
    let wanted = EventQuery::read(&request.query, object_type, api.clock.now())?;
    let alike = wanted.alike(&api.engine).await?;
    let archive = api.engine.archive().clone();
    let page = blocking(move || {
        let Page { items, next, prev } = wanted.find(&archive, alike, limit, cursor)?;
        Ok(Page { items: with_sources(&archive, items)?, next, prev })
    });
    Ok(request.respond(page.await?, EventJson::new))
}

pub(super) async fn count(api: &Api, object_type: ObjectType, query: Query) -> Result<Json<CountJson>, ApiError> {
    let wanted = EventQuery::read(&query, object_type, api.clock.now())?;
    let alike = wanted.alike(&api.engine).await?;
    let archive = api.engine.archive().clone();
    Ok(Json(CountJson::new(blocking(move || wanted.count(&archive, alike)).await?)))
}

pub(super) async fn read(
    api: &Api,
    object_type: ObjectType,
    id: ObjectId,
    base: &BaseUrl,
) -> Result<Json<EventJson>, ApiError> {
    let archive = api.engine.archive().clone();
    let found = blocking(move || {
        let object = archive.object(&id)?.filter(|object| object.id.object_type == object_type);
        with_sources(&archive, object.into_iter().map(|object| (object, None)).collect())?.pop().ok_or_else(no_object)
    });
    Ok(Json(EventJson::new(found.await?, base)))
}

/// Leaves out objects of videos that were deleted meanwhile. Blocks.
fn with_sources(archive: &Archive, objects: Vec<(ObjectRecord, Option<f32>)>) -> Result<Vec<Found>> {
    let mut sources: BTreeMap<VideoId, Option<EventSource>> = BTreeMap::new();
    let mut found = Vec::with_capacity(objects.len());
    for (object, similarity) in objects {
        let video = object.id.job.video;
        let source = match sources.entry(video) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                new.insert(archive.video(video)?.map(|record| EventSource::of(record, archive)).transpose()?)
            }
        };
        if let Some(source) = source {
            let cluster = archive.cluster_of(&object.id)?;
            found.push(Found { object, cluster, source: source.clone(), similarity });
        }
    }
    Ok(found)
}
