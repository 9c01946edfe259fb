//! Differences between two runs over one log: a job, and a replay of it.

use std::collections::HashMap;

use ocellus_core::{BestShotType, ObjectId, ObjectRecord, ObjectType};
use serde::Serialize;

use crate::analysis::Decision;

/// Differences from the objects that the job reported to those that a replay reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Number of objects that are equal except for their ids.
    pub same: u64,
    /// Reported by both, with different fields.
    pub changed: Vec<Change>,
    /// Reported by the replay only.
    pub gained: Vec<UnmatchedObject>,
    /// Reported by the job only.
    pub lost: Vec<UnmatchedObject>,
}

impl Diff {
    /// Whether both report the same objects.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gained.is_empty() && self.lost.is_empty()
    }
}

/// An object that both runs report, with different fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its id in the job.
    #[serde(serialize_with = "as_text")]
    pub before: ObjectId,
    /// Its id in the replay.
    #[serde(serialize_with = "as_text")]
    pub after: ObjectId,
    /// Names of the fields that differ.
    pub fields: Vec<&'static str>,
}

/// An object that only one run reports.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnmatchedObject {
    /// Its id in the run that reports it.
    #[serde(serialize_with = "as_text")]
    pub id: ObjectId,
    /// Index of the frame of its best shot.
    pub frame: u64,
    /// Stream time of that frame in seconds.
    pub time: f64,
    /// Box of the best shot: `[left, top, right, bottom]` in pixels.
    pub bbox: [i32; 4],
    /// Quality of the best shot, 0..=1.
    pub quality: f32,
    /// The last decision of the other run about its best shot; `None` where that belongs to another
    /// track there.
    pub reason: Option<Decision>,
}

fn as_text<S: serde::Serializer>(id: &ObjectId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Object type, whether it is a realtime shot, frame and box.
type Key = (ObjectType, bool, (u64, [i32; 4]));

/// Pairs objects by their best shots, and the rest by the first detections of their tracks.
pub(super) fn diff(before: &[ObjectRecord], after: &[ObjectRecord]) -> Diff {
    let realtime = |o: &ObjectRecord| o.bs_type == BestShotType::Realtime;
    let by_best = |o: &ObjectRecord| -> Key { (o.id.object_type.clone(), realtime(o), o.best.place()) };
    let by_first = |o: &ObjectRecord| -> Key { (o.id.object_type.clone(), realtime(o), o.first.place()) };
    let mut diff = Diff::default();
    let (lost, gained) = pair(before.iter().collect(), after.iter().collect(), by_best, &mut diff);
    let (lost, gained) = pair(lost, gained, by_first, &mut diff);
    let unmatched = |o: &ObjectRecord| UnmatchedObject {
        id: o.id.clone(),
        frame: o.best.frame,
        time: o.best.time,
        bbox: o.best.bbox,
        quality: o.best.quality,
        reason: None,
    };
    diff.lost = lost.into_iter().map(unmatched).collect();
    diff.gained = gained.into_iter().map(unmatched).collect();
    diff
}

/// Pairs objects with equal keys, records each pair in `diff`, and returns the rest.
fn pair<'a>(
    before: Vec<&'a ObjectRecord>,
    after: Vec<&'a ObjectRecord>,
    key: impl Fn(&ObjectRecord) -> Key,
    diff: &mut Diff,
) -> (Vec<&'a ObjectRecord>, Vec<&'a ObjectRecord>) {
    let mut unpaired: HashMap<Key, Vec<(usize, &ObjectRecord)>> = HashMap::new();
    for (index, object) in after.iter().enumerate().rev() {
        unpaired.entry(key(object)).or_default().push((index, object));
    }
    let mut lost = Vec::new();
    for old in before {
        match unpaired.get_mut(&key(old)).and_then(Vec::pop) {
            Some((_, new)) => {
                let fields = fields(old, new);
                if fields.is_empty() {
                    diff.same += 1;
                } else {
                    diff.changed.push(Change { before: old.id.clone(), after: new.id.clone(), fields });
                }
            }
            None => lost.push(old),
        }
    }
    let mut gained: Vec<_> = unpaired.into_values().flatten().collect();
    gained.sort_by_key(|(index, _)| *index);
    (lost, gained.into_iter().map(|(_, object)| object).collect())
}

/// Names of the fields that differ. Ids are not compared: tracks may be numbered differently.
fn fields(a: &ObjectRecord, b: &ObjectRecord) -> Vec<&'static str> {
    let differ = [
        ("end_of_track", a.end_of_track != b.end_of_track),
        ("best", a.best != b.best),
        ("first", a.first != b.first),
        ("last", a.last != b.last),
        ("detections", a.detections != b.detections),
        ("interpolated", a.interpolated != b.interpolated),
        ("history", a.history != b.history),
        ("landmarks", a.landmarks != b.landmarks),
        ("attributes", a.attributes != b.attributes),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Sets a decision of the other run as the reason of the items whose best shot it is about.
pub(super) fn explain(items: &mut [UnmatchedObject], decision: &Decision) {
    let is_about = |item: &&mut UnmatchedObject| {
        item.id.object_type == decision.object_type && item.frame == decision.frame && item.bbox == decision.bbox
    };
    for item in items.iter_mut().filter(is_about) {
        item.reason = Some(decision.clone());
    }
}
