//! Trees of deliveries: the state of each, those that are not final, and counts by video.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `deliveries` | video id, number in `objects.log` | [`Delivery`], JSON |
//! | `pending` | the same, where the state is not final | object id |
//! | `tallies` | video id | [`Counts`] by object type, JSON |

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
};

use ocellus_core::{Counts, ObjectId, ObjectType, VideoId};

use super::{
    keys::{object_key, objects_between},
    tree::{Entries, Forest, Tree},
};
use crate::{
    delivery::{Delivery, DeliveryState},
    error::{Result, unreadable_entry},
};

pub(crate) struct DeliveryTrees {
    deliveries: Tree,
    pending: Tree,
    tallies: Tree,
}

impl DeliveryTrees {
    pub(super) fn open(forest: &Forest) -> Result<Self> {
        Ok(Self {
            deliveries: forest.tree("deliveries")?,
            pending: forest.tree("pending")?,
            tallies: forest.tree("tallies")?,
        })
    }

    pub(super) fn trees(&self) -> [&Tree; 3] {
        [&self.deliveries, &self.pending, &self.tallies]
    }

    /// Replaces the state of an object's delivery; `number`: of the object among those of its job.
    /// Not atomic: callers have one thread at a time put the same delivery.
    pub(crate) fn put(&self, number: u32, delivery: &Delivery) -> Result<()> {
        let key = object_key(delivery.object.job.video, number);
        let value = serde_json::to_vec(delivery).map_err(|_| unreadable_entry())?;
        let before = self.deliveries.insert(&key, &value)?.map(|v| read(&v)).transpose()?.map(|d| d.state);
        if delivery.state.is_final() {
            self.pending.remove(key)?;
        } else {
            self.pending.insert(key, delivery.object.to_string().as_bytes())?;
        }
        let video = delivery.object.job.video.0.to_be_bytes();
        self.tallies.update(video, |old| {
            let mut tally = old.and_then(|v| read_tally(v).ok()).unwrap_or_default();
            let counts = tally.entry(delivery.object.object_type.clone()).or_default();
            if let Some(before) = before {
                counters(counts, before).into_iter().flatten().for_each(|counter| *counter = counter.saturating_sub(1));
            }
            counters(counts, delivery.state).into_iter().flatten().for_each(|counter| *counter += 1);
            serde_json::to_vec(&tally).ok()
        })?;
        Ok(())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Delivery>> {
        self.deliveries.get(key)?.map(|v| read(&v)).transpose()
    }

    /// Deliveries of a video with their keys, between two keys, both exclusive.
    pub(crate) fn walk(
        &self,
        video: VideoId,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Delivery)>> + use<> {
        let range = objects_between(video, from, to)
            .map_or(Entries::None, |(low, high)| self.deliveries.range(Included(low), Excluded(high)));
        range.map(|item| {
            let (key, value) = item?;
            Ok((key, read(&value)?))
        })
    }

    /// Keys and objects of the deliveries without a final state, of one video or of all, in the
    /// order of video and number.
    pub(crate) fn pending(&self, video: Option<VideoId>) -> impl Iterator<Item = Result<(Vec<u8>, ObjectId)>> + use<> {
        let prefix = video.map(|id| id.0.to_be_bytes());
        self.pending.with_prefix(prefix.as_ref().map_or(&[], <[u8; 8]>::as_slice)).map(|item| {
            let (key, value) = item?;
            let id =
                std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable_entry)?;
            Ok((key, id))
        })
    }

    /// Counts of a video's deliveries by object type and state; `None` where there are none.
    pub(crate) fn tally(&self, video: VideoId) -> Result<Option<BTreeMap<ObjectType, Counts>>> {
        self.tallies.get(video.0.to_be_bytes())?.map(|v| read_tally(&v)).transpose()
    }

    pub(super) fn clear(&self, video: VideoId) -> Result<()> {
        let prefix = video.0.to_be_bytes();
        for tree in [&self.deliveries, &self.pending] {
            for key in tree.with_prefix(&prefix).keys() {
                tree.remove(key?)?;
            }
        }
        self.tallies.remove(prefix)?;
        Ok(())
    }
}

/// The counters of a state. A delivery that is retried also counts as not posted.
fn counters(counts: &mut Counts, state: DeliveryState) -> [Option<&mut u64>; 2] {
    match state {
        DeliveryState::Pending => [Some(&mut counts.not_posted), None],
        DeliveryState::Retrying => [Some(&mut counts.not_posted), Some(&mut counts.retrying)],
        DeliveryState::Failed => [Some(&mut counts.failed), None],
        DeliveryState::Posted => [Some(&mut counts.posted), None],
    }
}

fn read(value: &[u8]) -> Result<Delivery> {
    serde_json::from_slice(value).map_err(|_| unreadable_entry())
}

fn read_tally(value: &[u8]) -> Result<BTreeMap<ObjectType, Counts>> {
    serde_json::from_slice(value).map_err(|_| unreadable_entry())
}
