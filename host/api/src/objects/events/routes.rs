//! Routes of events: list, count and single event, for each type.

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::ObjectType;

use super::{answer, query::EventsQuery, shape::EventJson};
use crate::{
    Api,
    base_url::{BaseUrl, SignUrls},
    error::{ApiError, BadParam, NotFound, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    path::ObjectPath,
    query::Query,
    videos::count::CountJson,
};

/// Faces as events.
///
/// Objects in the shape of the vendor's events, for clients that know those; of all videos without
/// `video_archive`. Videos and types are found in the index; with other filters the records of the
/// objects between the matches are read, too.
#[utoipa::path(
    get, path = "/events/faces/", tag = "objects", operation_id = "listFaceEvents",
    params(EventsQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn faces(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    answer::list(&api, ObjectType::face(), request).await
}

/// How many faces the list of events has under the same filters.
#[utoipa::path(
    get, path = "/events/faces/count/", tag = "objects", operation_id = "countFaceEvents",
    params(EventsQuery),
    responses((status = 200, description = "The number.", body = CountJson), BadParam, Unauthorized),
)]
pub(crate) async fn count_faces(api: State<Arc<Api>>, query: Query) -> Result<Json<CountJson>, ApiError> {
    answer::count(&api, ObjectType::face(), query).await
}

/// One face as an event.
#[utoipa::path(
    get, path = "/events/faces/{id}/", tag = "objects", operation_id = "readFaceEvent",
    params(("id" = String, Path, description = "Event ID: that of the object."), SignUrls),
    responses((status = 200, description = "The event.", body = EventJson), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn face(
    api: State<Arc<Api>>,
    ObjectPath(id): ObjectPath,
    base: BaseUrl,
) -> Result<Json<EventJson>, ApiError> {
    answer::read(&api, ObjectType::face(), id, &base).await
}

/// Bodies as events.
///
/// Objects in the shape of the vendor's events, for clients that know those; of all videos without
/// `video_archive`. Videos and types are found in the index; with other filters the records of the
/// objects between the matches are read, too.
#[utoipa::path(
    get, path = "/events/bodies/", tag = "objects", operation_id = "listBodyEvents",
    params(EventsQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn bodies(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    answer::list(&api, ObjectType::body(), request).await
}

/// How many bodies the list of events has under the same filters.
#[utoipa::path(
    get, path = "/events/bodies/count/", tag = "objects", operation_id = "countBodyEvents",
    params(EventsQuery),
    responses((status = 200, description = "The number.", body = CountJson), BadParam, Unauthorized),
)]
pub(crate) async fn count_bodies(api: State<Arc<Api>>, query: Query) -> Result<Json<CountJson>, ApiError> {
    answer::count(&api, ObjectType::body(), query).await
}

/// One body as an event.
#[utoipa::path(
    get, path = "/events/bodies/{id}/", tag = "objects", operation_id = "readBodyEvent",
    params(("id" = String, Path, description = "Event ID: that of the object."), SignUrls),
    responses((status = 200, description = "The event.", body = EventJson), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn body(
    api: State<Arc<Api>>,
    ObjectPath(id): ObjectPath,
    base: BaseUrl,
) -> Result<Json<EventJson>, ApiError> {
    answer::read(&api, ObjectType::body(), id, &base).await
}

/// Cars as events.
///
/// Objects in the shape of the vendor's events, for clients that know those; of all videos without
/// `video_archive`. Videos and types are found in the index; with other filters the records of the
/// objects between the matches are read, too.
#[utoipa::path(
    get, path = "/events/cars/", tag = "objects", operation_id = "listCarEvents",
    params(EventsQuery, PageQuery, SignUrls),
    responses((status = 200, description = "A page of events.", body = PageJson<EventJson>), BadParam, Unauthorized),
)]
pub(crate) async fn cars(api: State<Arc<Api>>, request: ListRequest) -> Result<Json<PageJson<EventJson>>, ApiError> {
    answer::list(&api, ObjectType::car(), request).await
}

/// How many cars the list of events has under the same filters.
#[utoipa::path(
    get, path = "/events/cars/count/", tag = "objects", operation_id = "countCarEvents",
    params(EventsQuery),
    responses((status = 200, description = "The number.", body = CountJson), BadParam, Unauthorized),
)]
pub(crate) async fn count_cars(api: State<Arc<Api>>, query: Query) -> Result<Json<CountJson>, ApiError> {
    answer::count(&api, ObjectType::car(), query).await
}

/// One car as an event.
#[utoipa::path(
    get, path = "/events/cars/{id}/", tag = "objects", operation_id = "readCarEvent",
    params(("id" = String, Path, description = "Event ID: that of the object."), SignUrls),
    responses((status = 200, description = "The event.", body = EventJson), BadParam, Unauthorized, NotFound),
)]
pub(crate) async fn car(
    api: State<Arc<Api>>,
    ObjectPath(id): ObjectPath,
    base: BaseUrl,
) -> Result<Json<EventJson>, ApiError> {
    answer::read(&api, ObjectType::car(), id, &base).await
}
