//! Filters of lists of objects, read from query parameters.

use std::{collections::BTreeSet, ops::Range};

use ocellus_core::{BestShotType, Error, ObjectId, ObjectRecord, ObjectType, Result, Timestamp};
use ocellus_store::Condition;
use utoipa::IntoParams;

use crate::{
    documented,
    query::Query,
    videos::filter::{created_conditions, created_ranges},
};

/// Conditions on an object. Types are not among them: the index filters by type.
#[derive(Debug, Default)]
pub(super) struct ObjectFilter {
    bs_types: Vec<BestShotType>,
    ids: Option<BTreeSet<ObjectId>>,
    created: Vec<Condition>,
    created_within: Vec<Range<Timestamp>>,
    time: Bounds,
    quality: Bounds,
}

/// A closed interval.
#[derive(Debug, Default)]
struct Bounds {
    least: Option<f64>,
    most: Option<f64>,
}

impl Bounds {
    fn read(query: &Query, name: &str) -> Result<Self> {
        let number = |name: String| {
            let parse = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
            let refuse = || Error::bad_param(&*name, "A valid number is required.");
            query.last(&name).map(|text| parse(text).ok_or_else(refuse)).transpose()
        };
        Ok(Self { least: number(format!("{name}_gte"))?, most: number(format!("{name}_lte"))? })
    }

    fn is_none(&self) -> bool {
        self.least.is_none() && self.most.is_none()
    }

    fn hold(&self, value: f64) -> bool {
        self.least.is_none_or(|n| value >= n) && self.most.is_none_or(|n| value <= n)
    }
}

/// Filters of the objects of a video, beside `type`.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(crate) struct RecordFilters {
    /// overall, realtime; both without it.
    #[param(inline)]
    bs_type: Option<Vec<documented::BestShotTypeName>>,
    /// Best shot at or after this, in seconds from the start of the source.
    time_gte: Option<f64>,
    /// Best shot at or before this.
    time_lte: Option<f64>,
    /// Best shot of at least this quality, 0..1.
    quality_gte: Option<f64>,
    /// Best shot of at most this quality.
    quality_lte: Option<f64>,
    /// id is the order in which tracks ended, -id the reverse.
    #[param(pattern = "^(-?id)?$")]
    ordering: Option<String>,
}

impl ObjectFilter {
    /// The filters of `/videos/{id}/objects/`.
    pub(super) fn of_objects(query: &Query) -> Result<Self> {
        Ok(Self {
            bs_types: bs_types(query)?,
            time: Bounds::read(query, "time")?,
            quality: Bounds::read(query, "quality")?,
            ..Self::default()
        })
    }

    /// The filters of `/events/`.
    pub(super) fn of_events(query: &Query, now: Timestamp) -> Result<Self> {
        let id = |text: &str| text.parse().map_err(|_| Error::bad_param("id_in", "A valid event ID is required."));
        let ids = query.all("id_in").map(id).collect::<Result<BTreeSet<_>>>()?;
        Ok(Self {
            bs_types: bs_types(query)?,
            ids: (!ids.is_empty()).then_some(ids),
            created: created_conditions(query, now)?,
            created_within: created_ranges(query, now)?,
            ..Self::default()
        })
    }

    /// Whether every object passes.
    pub(super) fn is_none(&self) -> bool {
        let Self { bs_types, ids, created, created_within, time, quality } = self;
        bs_types.is_empty()
            && ids.is_none()
            && created.is_empty()
            && created_within.is_empty()
            && time.is_none()
            && quality.is_none()
    }

    pub(super) fn ids(&self) -> Option<&BTreeSet<ObjectId>> {
        self.ids.as_ref()
    }

    pub(super) fn holds(&self, object: &ObjectRecord) -> bool {
        let created = object.best.timestamp;
        (self.bs_types.is_empty() || self.bs_types.contains(&object.bs_type))
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&object.id))
            && self.created.iter().all(|c| c.holds(created))
            && (self.created_within.is_empty() || self.created_within.iter().any(|r| r.contains(&created)))
            && self.time.hold(object.best.time)
            && self.quality.hold(object.best.quality.into())
    }
}

fn bs_types(query: &Query) -> Result<Vec<BestShotType>> {
    let one = |text: &str| match text {
        "overall" => Ok(BestShotType::Overall),
        "realtime" => Ok(BestShotType::Realtime),
        _ => Err(Error::bad_param("bs_type", "Select of overall, realtime.")),
    };
    query.all("bs_type").map(one).collect()
}

/// Whether the order is descending: `ordering` is `id` or `-id`.
pub(super) fn descending(query: &Query) -> Result<bool> {
    match query.last("ordering") {
        None | Some("id") => Ok(false),
        Some("-id") => Ok(true),
        Some(_) => Err(Error::bad_param("ordering", "Select of id, -id.")),
    }
}

/// Object types to list; empty for all.
pub(super) fn types(query: &Query) -> Result<Vec<ObjectType>> {
    query.all("type").map(|text| text.parse().map_err(|e: String| Error::bad_param("type", e))).collect()
}
