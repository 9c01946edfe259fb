//! Waits between attempts.

use std::time::Duration;

use jiff::Timestamp;

/// Wait before the second attempt; doubled for each further one.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait after a response, also one that `Retry-After` asks for.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(3600);
/// The longest wait where there was no response: the destination may be back at any time.
pub(super) const MAX_OUTAGE_WAIT: Duration = Duration::from_secs(60);

/// Time from `now` until `then`; zero for the past.
pub(super) fn until(now: Timestamp, then: Timestamp) -> Duration {
    then.duration_since(now).try_into().unwrap_or_default()
}

/// When to try again after this number of failed attempts: the wait doubles each time, and random jitter
/// shortens it by up to half, so that deliveries that failed together are not retried together.
pub(super) fn backoff(now: Timestamp, attempts: u32, longest: Duration) -> Timestamp {
    let wait = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(longest);
    now.checked_add(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).unwrap_or(now)
}

/// The time after a wait, or the end of time.
pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}
