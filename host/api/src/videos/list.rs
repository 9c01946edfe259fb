//! `GET /videos/`

use std::sync::Arc;

use axum::{Json, extract::State};
use ocellus_core::{Error, Result, VideoStatus};
use ocellus_store::{ListQuery, Order, OrderKey, Page};
use utoipa::{
    IntoParams,
    openapi::{
        ObjectBuilder, Schema,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{ArrayBuilder, KnownFormat, SchemaFormat, Type},
    },
};

use super::{filter::filter, shape::VideoJson};
use crate::{
    Api,
    base_url::SignUrls,
    blocking,
    error::{ApiError, BadParam, Unauthorized},
    page::{ListRequest, PageJson, PageQuery},
    query::Query,
};

/// The parameters that [`filter`] reads, for the OpenAPI document.
pub(super) enum Filters {}

impl IntoParams for Filters {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let of = |kind: Type| ObjectBuilder::new().schema_type(kind);
        let array = |items: ObjectBuilder| Schema::from(ArrayBuilder::new().items(items));
        let date = || of(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into();
        let weeks = || of(Type::Integer).minimum(Some(1)).maximum(Some(520)).into();
        let parameters: [(&str, &str, Schema); 13] = [
            (
                "camera_groups",
                "In one of these camera groups.",
                array(of(Type::Integer).minimum(Some(i64::MIN)).maximum(Some(i64::MAX))),
            ),
            (
                "case_in",
                "In one of these cases; `null` is none.",
                array(of(Type::String).pattern(Some("^(-?[0-9]{1,18}|null)$"))),
            ),
            ("created_date_gt", "Created after this.", date()),
            ("created_date_gte", "Created at or after this.", date()),
            (
                "created_date_last_n_days",
                "Created within the last N times 24 hours.",
                of(Type::Number).minimum(Some(0)).maximum(Some(36_525)).into(),
            ),
            ("created_date_lt", "Created before this.", date()),
            ("created_date_lte", "Created at or before this.", date()),
            (
                "created_date_nth_full_week",
                "Created within the last N weeks that are over, Monday to Sunday, UTC.",
                weeks(),
            ),
            ("created_date_nth_work_week", "The same, Monday to Friday only.", weeks()),
            ("has_router", "With a `router_url`; false: without one.", of(Type::Boolean).into()),
            ("id_in", "With one of these IDs.", array(of(Type::Integer).minimum(Some(0)).maximum(Some(i64::MAX)))),
            ("name_contains", "With this text in its name; case does not matter.", of(Type::String).into()),
            (
                "status",
                "With one of these as `health_status.status`.",
                array(of(Type::String).enum_values(Some(VideoStatus::ALL.map(|status| status.to_string())))),
            ),
        ];
        parameters.map(|(name, description, schema)| parameter(name, description, schema)).into()
    }
}

/// [`PageQuery`], with the parameter that [`order`] reads.
enum OrderedPage {}

impl IntoParams for OrderedPage {
    fn into_params(place: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(
            "^(-?id(,-?(id|created_date|name))*|(created_date|name)(,(id|created_date|name))*|-(created_date|name)(,-(id|created_date|name))*)?$",
        ));
        let description = "id, created_date or name; with - before it descending. id without it. Videos that are \
             equal by the first come by id, in the same direction: fields after it may name nothing else.";
        let mut parameters = PageQuery::into_params(place);
        parameters.push(parameter("ordering", description, schema.into()));
        parameters.sort_by(|a, b| a.name.cmp(&b.name));
        parameters
    }
}

fn parameter(name: &str, description: &str, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The videos of the archive, page by page.
///
/// A cursor stays right while videos are added and removed: each video that exists all the time is
/// listed exactly once.
///
/// Without filters a list costs as much as its page. With filters the index is read from one match
/// to the next: at most all of it, which is a short entry for each video. `id_in` reads the entries
/// of these videos only, and limits to `created_date` those between them, if that is the ordering.
#[utoipa::path(
    get, path = "/videos/", tag = "videos", operation_id = "listVideos",
    params(Filters, OrderedPage, SignUrls),
    responses((status = 200, description = "A page of videos.", body = PageJson<VideoJson>), BadParam, Unauthorized),
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    request: ListRequest,
) -> Result<Json<PageJson<VideoJson>>, ApiError> {
    let (filter, order) = (filter(&request.query, api.clock.now())?, order(&request.query)?);
    let PageQuery { limit, cursor } = request.page()?;
    let query = ListQuery { filter, order, limit, cursor };
    let engine = api.engine.clone();
    let page = blocking(move || {
        let Page { items, next, prev } = engine.archive().list(&query)?;
        let items = items.into_iter().map(|video| engine.live(video)).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    })
    .await?;
    Ok(request.respond(page, VideoJson::new))
}

const ORDERING: &str = "ordering";

/// The order of the first field. The index breaks ties by id, in the same direction. Ids are unique
/// and in the order of creation, so that further fields may only repeat that.
fn order(query: &Query) -> Result<Order> {
    let mut orders = query.all(ORDERING).map(one_order).collect::<Result<Vec<_>>>()?.into_iter();
    let first = orders.next().unwrap_or(Order { key: OrderKey::Id, descending: false });
    if first.key != OrderKey::Id && orders.any(|o| o.descending != first.descending) {
        let reason = "Videos that are equal by the first field are ordered by id in the same direction.";
        return Err(Error::bad_param(ORDERING, reason));
    }
    Ok(first)
}

fn one_order(text: &str) -> Result<Order> {
    let (field, descending) = text.strip_prefix('-').map_or((text, false), |field| (field, true));
    let key = match field {
        "id" => OrderKey::Id,
        "created_date" => OrderKey::CreatedDate,
        "name" => OrderKey::Name,
        _ => {
            let reason = "Select of id, created_date, name; with - before it for descending order.";
            return Err(Error::bad_param(ORDERING, reason));
        }
    };
    Ok(Order { key, descending })
}
