//! What a list of videos can be asked for, and whether a video answers it.

use std::ops::Range;

use ocellus_core::{Timestamp, VideoId};

use crate::{index::Summary, page::Cursor};

/// The key of an ordering; the id decides between equal ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    Id,
    CreatedDate,
    /// Without regard to case, by code point; no name comes before all names.
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    pub key: OrderKey,
    pub descending: bool,
}

/// One bound of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    After(Timestamp),
    /// At or after.
    From(Timestamp),
    Before(Timestamp),
    /// At or before.
    To(Timestamp),
}

impl Condition {
    fn holds(self, date: Timestamp) -> bool {
        match self {
            Self::After(t) => date > t,
            Self::From(t) => date >= t,
            Self::Before(t) => date < t,
            Self::To(t) => date <= t,
        }
    }
}

/// All that is given has to match; `None` and empty lists of dates match everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoFilter {
    pub camera_groups: Option<Vec<i64>>,
    /// `None` in the list is "no case".
    pub case_in: Option<Vec<Option<i64>>>,
    pub id_in: Option<Vec<VideoId>>,
    /// A part of the name, without regard to case.
    pub name_contains: Option<String>,
    pub created: Vec<Condition>,
    /// Of which one has to hold the date.
    pub created_within: Vec<Range<Timestamp>>,
}

#[derive(Clone, Debug)]
pub struct ListQuery {
    pub filter: VideoFilter,
    pub order: Order,
    /// Items of a page, at least 1.
    pub limit: usize,
    /// `None` is the first page.
    pub cursor: Option<Cursor>,
}

/// Lower case, character by character: unlike `str::to_lowercase`, what is a part of a name stays one.
pub(crate) fn fold(name: &str) -> String {
    name.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// A filter made ready for many videos.
pub(crate) struct Matcher<'a> {
    filter: &'a VideoFilter,
    part: Option<String>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn new(filter: &'a VideoFilter) -> Self {
        // A name that is not there contains nothing, but an empty filter asks for nothing.
        let part = filter.name_contains.as_deref().filter(|part| !part.is_empty()).map(fold);
        Self { filter, part }
    }

    pub(crate) fn matches(&self, video: &Summary) -> bool {
        let VideoFilter { camera_groups, case_in, id_in, name_contains: _, created, created_within } = self.filter;
        let date = video.created();
        camera_groups.as_ref().is_none_or(|groups| groups.contains(&video.camera_group))
            && case_in.as_ref().is_none_or(|cases| cases.contains(&video.case))
            && id_in.as_ref().is_none_or(|ids| ids.contains(&video.id))
            && created.iter().all(|c| c.holds(date))
            && (created_within.is_empty() || created_within.iter().any(|range| range.contains(&date)))
            && self.part.as_ref().is_none_or(|part| video.folded_name.as_ref().is_some_and(|name| name.contains(part.as_str())))
    }
}

impl VideoFilter {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The microseconds between which a matching date lies, both included, a little too wide rather than too narrow.
    /// `None` where dates are not asked for.
    pub(crate) fn window(&self) -> Option<(i64, i64)> {
        if self.created.is_empty() && self.created_within.is_empty() {
            return None;
        }
        let floor = |t: Timestamp| t.as_microsecond().saturating_sub(1);
        let ceiling = |t: Timestamp| t.as_microsecond().saturating_add(1);
        let hull = (self.created_within.iter().map(|r| floor(r.start)).min(), self.created_within.iter().map(|r| ceiling(r.end)).max());
        let start = (hull.0.unwrap_or(i64::MIN), hull.1.unwrap_or(i64::MAX));
        Some(self.created.iter().fold(start, |(low, high), condition| match *condition {
            Condition::After(t) | Condition::From(t) => (low.max(floor(t)), high),
            Condition::Before(t) | Condition::To(t) => (low, high.min(ceiling(t))),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_part_of_a_name_is_one_in_any_case(before: String, part: String, after: String) {
            let name = format!("{before}{part}{after}");
            prop_assert!(fold(&name).contains(&fold(&part)));
            prop_assert!(fold(&name.to_uppercase()).contains(&fold(&part.to_uppercase())));
        }
    }

    #[test]
    fn case_is_folded_beyond_ascii() {
        assert_eq!(fold("ÀЖΣ"), fold("àжς"));
    }
}
