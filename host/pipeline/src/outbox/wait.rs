//! Waits between attempts.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Wait before the second attempt; doubled for each further one.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Greatest wait after a response, also one that `Retry-After` requests.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(3600);
/// Greatest wait without a response: the destination may be back at any time.
pub(super) const MAX_OUTAGE_WAIT: Duration = Duration::from_secs(60);

/// Time from `now` until `then`; zero for the past.
pub(super) fn until(now: Timestamp, then: Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or_default()
}

/// Time of the next attempt after this number of failed ones: the wait doubles each time, and
/// random jitter shortens it by up to half, so that deliveries that failed together are not retried
/// together.
pub(super) fn backoff(now: Timestamp, attempts: u32, longest: Duration) -> Timestamp {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
    now.checked_add(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).unwrap_or(now)
}

/// The time after a wait, or the greatest timestamp.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// `Retry-After` in seconds or as a date, RFC 9110 section 10.2.3.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(until(now, then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let header = |text: &str| HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&header("7"), at(0)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&header("Thu, 01 Jan 1970 00:02:00 GMT"), at(30)), Some(Duration::from_secs(90)));
        assert_eq!(retry_after(&header("Thu, 01 Jan 1970 00:02:00 GMT"), at(300)), Some(Duration::ZERO));
        assert_eq!(retry_after(&header("soon"), at(0)), None);
    }
}
