//! Filters of the list of videos, as query parameters. A video has to match all that are given.

use std::ops::Range;

use jiff::{civil::DateTime, tz::TimeZone};
use ocellus_core::{Error, Result, Timestamp, VideoId, VideoStatus};
use ocellus_store::{Condition, VideoFilter};

use super::weeks;
use crate::query::{Query, integer};

/// Ten years.
const MAX_WEEKS: u16 = 520;
/// A hundred years.
const MAX_DAYS: f64 = 36_525.0;

/// The filter of a query. `now` is the time of the server's clock.
pub(super) fn filter(query: &Query, now: Timestamp) -> Result<VideoFilter> {
    Ok(VideoFilter {
        camera_groups: camera_groups(query)?,
        case_in: cases(query)?,
        id_in: list(query, "id_in", |name, text| integer(name, text).map(VideoId))?,
        status_in: list(query, "status", status)?,
        has_router: query.flag("has_router")?,
        name_contains: query.last("name_contains").map(str::to_owned),
        created: created_conditions(query, now)?,
        created_within: created_ranges(query, now)?,
    })
}

pub(crate) fn camera_groups(query: &Query) -> Result<Option<Vec<i64>>> {
    list(query, "camera_groups", integer)
}

pub(crate) fn cases(query: &Query) -> Result<Option<Vec<Option<i64>>>> {
    let case = |name: &str, text: &str| if text == "null" { Ok(None) } else { integer(name, text).map(Some) };
    list(query, "case_in", case)
}

fn status(name: &str, text: &str) -> Result<VideoStatus> {
    let status = VideoStatus::ALL.into_iter().find(|status| status.to_string() == text);
    status.ok_or_else(|| {
        let all: Vec<_> = VideoStatus::ALL.iter().map(ToString::to_string).collect();
        Error::bad_param(name, format!("Select of {}.", all.join(", ")))
    })
}

/// Conditions on a creation date, of a video or of an event.
pub(crate) fn created_conditions(query: &Query, now: Timestamp) -> Result<Vec<Condition>> {
    let mut created = Vec::new();
    for (name, condition) in [
        ("created_date_gt", Condition::After as fn(Timestamp) -> Condition),
        ("created_date_gte", Condition::From),
        ("created_date_lt", Condition::Before),
        ("created_date_lte", Condition::To),
    ] {
        if let Some(text) = query.last(name) {
            created.push(condition(date_time(name, text)?));
        }
    }
    if let Some(since) = last_days(query, now)? {
        created.push(Condition::From(since));
    }
    Ok(created)
}

fn list<T>(query: &Query, name: &str, item: impl Fn(&str, &str) -> Result<T>) -> Result<Option<Vec<T>>> {
    let items = query.all(name).map(|text| item(name, text)).collect::<Result<Vec<_>>>()?;
    Ok((!items.is_empty()).then_some(items))
}

/// RFC 3339; UTC where it has no offset, midnight where it has no time.
fn date_time(name: &str, text: &str) -> Result<Timestamp> {
    // A plus sign that was not escaped arrives as a space.
    let text = text.replace(' ', "+");
    let spaced = text.replacen('+', " ", 1);
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| spaced.parse().ok())
        .or_else(|| {
            [&text, &spaced]
                .into_iter()
                .find_map(|t| t.parse::<DateTime>().ok())?
                .to_zoned(TimeZone::UTC)
                .ok()
                .map(|z| z.timestamp())
        })
        .ok_or_else(|| Error::bad_param(name, "Enter a valid date/time."))
}

/// Start of the last N times 24 hours; N may be a fraction.
fn last_days(query: &Query, now: Timestamp) -> Result<Option<Timestamp>> {
    const NAME: &str = "created_date_last_n_days";
    let Some(text) = query.last(NAME) else { return Ok(None) };
    let days = text.parse::<f64>().ok().filter(|n| (0.0..=MAX_DAYS).contains(n));
    let days = days.ok_or_else(|| Error::bad_param(NAME, format!("Enter a number from 0 to {MAX_DAYS}.")))?;
    let back = std::time::Duration::from_secs_f64(days * 86_400.0);
    Ok(Some(now.checked_sub(back).unwrap_or(Timestamp::MIN)))
}

/// Ranges of which one has to contain the date; empty where no such filter is given.
pub(crate) fn created_ranges(query: &Query, now: Timestamp) -> Result<Vec<Range<Timestamp>>> {
    let ranges = |name: &str, make: fn(Timestamp, u16) -> Option<Vec<Range<Timestamp>>>| {
        let n = query.integer_within(name, 1, MAX_WEEKS)?;
        n.map(|n| make(now, n).ok_or_else(|| Error::bad_param(name, "There are not so many weeks."))).transpose()
    };
    Ok(
        match (
            ranges("created_date_nth_full_week", weeks::full)?,
            ranges("created_date_nth_work_week", weeks::working)?,
        ) {
            // Never empty, which would be no filter: both contain the last full week's Monday to
            // Friday.
            (Some(a), Some(b)) => weeks::common(&a, &b),
            (a, b) => a.or(b).unwrap_or_default(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2025-03-28T12:00:00Z".parse().unwrap()
    }

    fn refused(query: &str) -> String {
        filter(&Query::parse(query), now()).unwrap_err().param().unwrap().to_owned()
    }

    #[test]
    fn dates_may_lack_offset_and_time_and_have_unescaped_signs() {
        let parse = |text: &str| date_time("d", text).map(|t| t.to_string()).map_err(|e| e.public().to_owned());
        for text in [
            "2025-03-28T11:00:00Z",
            "2025-03-28T14:00:00+03:00",
            "2025-03-28T14:00:00 03:00",
            "2025-03-28T11:00:00",
            "2025-03-28 11:00:00",
        ] {
            assert_eq!(parse(text), Ok("2025-03-28T11:00:00Z".into()), "{text}");
        }
        assert_eq!(parse("2025-03-28"), Ok("2025-03-28T00:00:00Z".into()));
        for bad in ["", "yesterday", "2025-13-01", "1711620000"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refusals_name_the_parameter() {
        for (query, param) in [
            ("id_in=1,x", "id_in"),
            ("camera_groups=1.5", "camera_groups"),
            ("case_in=none", "case_in"),
            ("status=DONE", "status"),
            ("has_router=perhaps", "has_router"),
            ("created_date_gt=soon", "created_date_gt"),
            ("created_date_last_n_days=-1", "created_date_last_n_days"),
            ("created_date_last_n_days=NaN", "created_date_last_n_days"),
            ("created_date_nth_full_week=0", "created_date_nth_full_week"),
            ("created_date_nth_work_week=1.5", "created_date_nth_work_week"),
        ] {
            assert_eq!(refused(query), param);
        }
    }

    #[test]
    fn days_may_be_fractions() {
        let since = last_days(&Query::parse("created_date_last_n_days=0.5"), now()).unwrap();
        assert_eq!(since, Some("2025-03-28T00:00:00Z".parse().unwrap()));
    }
}
