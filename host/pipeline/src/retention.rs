//! Retention of sources: which recordings are removed to keep within the operator's limits.
//!
//! Only source files are removed: videos, objects and pictures stay. Never removed are the sources
//! of videos that are marked to be kept, queued or running. Processed sources are removed before
//! unprocessed ones, and older ones first. No I/O: the engine lists and removes.

use std::time::Duration;

use ocellus_core::{Timestamp, VideoId, VideoRecord};

/// Limits of the operator; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Age of a video after which its source is removed.
    pub max_age: Option<Duration>,
    /// Greatest size of all sources together, in bytes.
    pub max_bytes: Option<u64>,
    /// Least free space on the disk, in bytes. Uploads that would use it are refused.
    pub min_free: Option<u64>,
}

impl Retention {
    pub(crate) fn is_limited(&self) -> bool {
        *self != Self::default()
    }
}

/// A source in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldSource {
    pub id: VideoId,
    pub bytes: u64,
    pub created: Timestamp,
    /// Whether a job has finished processing it.
    pub processed: bool,
    /// Whether it may be removed.
    pub removable: bool,
}

impl HeldSource {
    /// `None` for a video without a file.
    pub(crate) fn of(video: &VideoRecord) -> Option<Self> {
        Some(Self {
            id: video.id,
            bytes: video.file_size?,
            created: video.created_date,
            processed: video.finished,
            removable: !video.keep && !video.status.is_enabled(),
        })
    }
}

/// The sources to remove, in this order, each with the option whose limit it exceeds. `free`: free
/// bytes on the disk, if known.
pub(crate) fn overdue(
    sources: Vec<HeldSource>,
    free: Option<u64>,
    retention: &Retention,
    now: Timestamp,
) -> Vec<(VideoId, &'static str)> {
    let mut held: u64 = sources.iter().map(|source| source.bytes).sum();
    let mut free = free.unwrap_or(u64::MAX);
    let oldest = retention.max_age.and_then(|age| now.checked_sub(age).ok());
    let mut candidates: Vec<_> = sources.into_iter().filter(|source| source.removable).collect();
    candidates.sort_by_key(|source| (!source.processed, source.created, source.id));
    let mut overdue = Vec::new();
    // By age first: these removals free space in any case.
    let (old, rest): (Vec<_>, Vec<_>) =
        candidates.into_iter().partition(|source| oldest.is_some_and(|oldest| source.created <= oldest));
    for (source, is_old) in old.into_iter().map(|source| (source, true)).chain(rest.into_iter().map(|s| (s, false))) {
        let limit = if is_old {
            "--keep-days"
        } else if retention.max_bytes.is_some_and(|most| held > most) {
            "--keep-bytes"
        } else if retention.min_free.is_some_and(|least| free < least) {
            "--min-free-bytes"
        } else {
            break;
        };
        held -= source.bytes;
        free = free.saturating_add(source.bytes);
        overdue.push((source.id, limit));
    }
    overdue
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn source(id: u64, bytes: u64, day: i64) -> HeldSource {
        let created = Timestamp::from_second(day * 24 * 3600).unwrap();
        HeldSource { id: VideoId(id), bytes, created, processed: true, removable: true }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(100 * 24 * 3600).unwrap()
    }

    fn ids(sources: Vec<HeldSource>, free: Option<u64>, retention: Retention) -> Vec<u64> {
        overdue(sources, free, &retention, now()).into_iter().map(|(id, _)| id.0).collect()
    }

    #[test]
    fn without_limits_nothing_is_removed() {
        assert!(ids(vec![source(1, 1 << 40, 0)], Some(0), Retention::default()).is_empty());
    }

    #[test]
    fn age_is_counted_from_the_creation() {
        let retention = Retention { max_age: Some(DAY * 30), ..Retention::default() };
        assert_eq!(ids(vec![source(1, 9, 71), source(2, 9, 70), source(3, 9, 10)], None, retention), [3, 2]);
    }

    #[test]
    fn processed_and_older_sources_are_removed_first() {
        let retention = Retention { max_bytes: Some(15), ..Retention::default() };
        let unprocessed = HeldSource { processed: false, ..source(1, 10, 1) };
        let kept = HeldSource { removable: false, ..source(2, 10, 2) };
        let all = || vec![unprocessed.clone(), kept.clone(), source(3, 10, 4), source(4, 10, 3)];
        assert_eq!(ids(all(), None, retention), [4, 3, 1]);
        let retention = Retention { max_bytes: Some(30), ..Retention::default() };
        assert_eq!(ids(all(), None, retention), [4]);
    }

    #[test]
    fn the_disk_is_kept_free_where_its_free_space_is_known() {
        let retention = Retention { min_free: Some(25), ..Retention::default() };
        let all = || vec![source(1, 10, 1), source(2, 10, 2), source(3, 10, 3)];
        assert_eq!(ids(all(), Some(10), retention), [1, 2]);
        assert_eq!(ids(all(), Some(25), retention), [0_u64; 0]);
        assert_eq!(ids(all(), None, retention), [0_u64; 0]);
    }

    proptest! {
        #[test]
        fn limits_are_kept_with_no_more_removals_than_needed(
            sizes in prop::collection::vec((0_u64..100, 0_i64..100, any::<bool>()), 0..20), most in 0_u64..1000
        ) {
            let sources: Vec<_> = sizes
                .iter()
                .enumerate()
                .map(|(id, (bytes, day, removable))| HeldSource { removable: *removable, ..source(id as u64, *bytes, *day) })
                .collect();
            let gone = ids(sources.clone(), None, Retention { max_bytes: Some(most), ..Retention::default() });
            let held = |gone: &[u64]| sources.iter().filter(|s| !gone.contains(&s.id.0)).map(|s| s.bytes).sum::<u64>();
            prop_assert!(sources.iter().all(|s| s.removable || !gone.contains(&s.id.0)));
            let left = sources.iter().any(|s| s.removable && !gone.contains(&s.id.0));
            prop_assert!(held(&gone) <= most || !left);
            if let Some((_, before)) = gone.split_last() {
                prop_assert!(held(before) > most);
            }
        }
    }
}
