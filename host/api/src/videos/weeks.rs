//! "The last N weeks", as half-open ranges of time.
//!
//! Weeks are ISO weeks, Monday to Sunday, in UTC. The current week is not full and does
//! not count: N = 1 is the one before it.

use std::ops::Range;

use jiff::{ToSpan, civil::Date, tz::TimeZone};
use ocellus_core::Timestamp;

/// Monday to Sunday of the last `n` full weeks: one range.
pub(super) fn full(now: Timestamp, n: u16) -> Option<Vec<Range<Timestamp>>> {
    let monday = monday(now)?;
    Some(vec![midnight(monday.checked_sub(i32::from(n).weeks()).ok()?)?..midnight(monday)?])
}

/// Monday to Friday of each of the last `n` full weeks, the earliest first.
pub(super) fn working(now: Timestamp, n: u16) -> Option<Vec<Range<Timestamp>>> {
    let monday = monday(now)?;
    (1..=n)
        .rev()
        .map(|back| {
            let from = monday.checked_sub(i32::from(back).weeks()).ok()?;
            Some(midnight(from)?..midnight(from.checked_add(5.days()).ok()?)?)
        })
        .collect()
}

/// Intersections of the ranges of two lists.
pub(super) fn common(a: &[Range<Timestamp>], b: &[Range<Timestamp>]) -> Vec<Range<Timestamp>> {
    a.iter()
        .flat_map(|a| b.iter().map(move |b| a.start.max(b.start)..a.end.min(b.end)))
        .filter(|r| !r.is_empty())
        .collect()
}

/// The Monday of the current week.
fn monday(now: Timestamp) -> Option<Date> {
    let today = now.to_zoned(TimeZone::UTC).date();
    today.checked_sub(i32::from(today.weekday().to_monday_zero_offset()).days()).ok()
}

fn midnight(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_current_week_does_not_count() {
        // 2025-03-28 is a Friday.
        let expected = at("2025-03-17T00:00:00Z")..at("2025-03-24T00:00:00Z");
        for now in ["2025-03-24T00:00:00Z", "2025-03-28T12:00:00Z", "2025-03-30T23:59:59.999999Z"] {
            assert_eq!(full(at(now), 1).unwrap(), slice::from_ref(&expected), "{now}");
        }
        let next = at("2025-03-24T00:00:00Z")..at("2025-03-31T00:00:00Z");
        assert_eq!(full(at("2025-03-31T00:00:00Z"), 1).unwrap(), slice::from_ref(&next));
    }

    #[test]
    fn working_weeks_leave_the_weekends_out() {
        let expected = vec![
            at("2025-03-10T00:00:00Z")..at("2025-03-15T00:00:00Z"),
            at("2025-03-17T00:00:00Z")..at("2025-03-22T00:00:00Z"),
        ];
        assert_eq!(working(at("2025-03-28T12:00:00Z"), 2).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn working_weeks_lie_in_full_ones(seconds in 0i64..4_000_000_000, n in 1u16..60) {
            let now = Timestamp::from_second(seconds).unwrap();
            let (full, working) = (full(now, n).unwrap(), working(now, n).unwrap());
            prop_assert_eq!(working.len(), usize::from(n));
            prop_assert_eq!(common(&full, &working), working);
            prop_assert!(full[0].end <= now);
        }
    }
}
