//! Detections of pictures that clients sent, kept in memory so that objects can be compared with
//! them.
//!
//! Guarantees: a detection is found for an hour, or until [`MOST`] newer ones were added; ids are
//! never reused, also not after a restart, which drops them all.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use ocellus_core::Timestamp;
use parking_lot::Mutex;

use crate::search::Reference;

/// Greatest number of detections: some 2 kB each, with an embedding of 512 numbers.
const MOST: usize = 10_000;
const KEPT: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(crate) struct KeptDetections(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    by_id: HashMap<String, Reference>,
    /// Expiry times with the ids, the oldest first.
    ids: VecDeque<(Timestamp, String)>,
}

impl Kept {
    fn forget(&mut self, now: Timestamp) {
        while self.ids.front().is_some_and(|(until, _)| *until <= now || self.ids.len() > MOST) {
            if let Some((_, id)) = self.ids.pop_front() {
                self.by_id.remove(&id);
            }
        }
    }
}

impl KeptDetections {
    /// Stores a detection; returns its id.
    pub(crate) fn add(&self, detection: Reference, now: Timestamp) -> String {
        let id = format!("{:032x}", fastrand::u128(..));
        let mut kept = self.0.lock();
        kept.ids.push_back((now.checked_add(KEPT).unwrap_or(Timestamp::MAX), id.clone()));
        kept.by_id.insert(id.clone(), detection);
        kept.forget(now);
        id
    }

    /// The detection with this id, while it is kept.
    pub(crate) fn get(&self, id: &str, now: Timestamp) -> Option<Reference> {
        let mut kept = self.0.lock();
        kept.forget(now);
        kept.by_id.get(id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::ObjectType;

    use super::*;

    fn face(n: usize) -> Reference {
        Reference { object_type: ObjectType::face(), embedder: "e".into(), vector: Some(vec![n as f32]) }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_detection_is_kept_for_an_hour() {
        let kept = KeptDetections::default();
        let (first, second) = (kept.add(face(1), at(0)), kept.add(face(2), at(10)));
        assert_ne!(first, second);
        assert_eq!((kept.get(&first, at(3599)), kept.get("x", at(0))), (Some(face(1)), None));
        assert_eq!((kept.get(&first, at(3600)), kept.get(&second, at(3600))), (None, Some(face(2))));
    }

    #[test]
    fn the_oldest_are_dropped_where_there_are_too_many() {
        let kept = KeptDetections::default();
        let ids: Vec<_> = (0..MOST + 5).map(|n| kept.add(face(n), at(0))).collect();
        assert!(ids[..5].iter().all(|id| kept.get(id, at(1)).is_none()));
        assert!((5..MOST + 5).all(|n| kept.get(&ids[n], at(1)) == Some(face(n))));
    }
}
