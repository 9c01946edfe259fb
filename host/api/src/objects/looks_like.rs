//! What objects are to look like: the parameters `looks_like` and `threshold`.

use ocellus_core::{Error, Result};
use ocellus_pipeline::LooksLike;

use crate::query::Query;

pub(super) const LOOKS_LIKE: &str = "looks_like";
pub(super) const THRESHOLD: &str = "threshold";
/// Where the same identity ends.
const SAME: f32 = 0.5;

/// `None` where similarity is not asked for.
pub(super) fn looks_like(query: &Query) -> Result<Option<LooksLike>> {
    let Some(text) = query.last(LOOKS_LIKE) else { return Ok(None) };
    let object = |id: &str| id.parse().ok().map(LooksLike::Object);
    let reference = match text.split_once(':') {
        Some(("detection", id)) => Some(LooksLike::Detection(id.to_owned())),
        Some(("faceevent" | "bodyevent" | "carevent", id)) => object(id),
        Some(_) => None,
        None => object(text),
    };
    let refuse =
        || Error::bad_param(LOOKS_LIKE, "Give detection:<id>, with an id of POST /detect/, or the ID of an event.");
    reference.ok_or_else(refuse).map(Some)
}

/// The least similarity, 0..=1.
pub(super) fn threshold(query: &Query) -> Result<f32> {
    Ok(query.share(THRESHOLD)?.unwrap_or(SAME))
}
