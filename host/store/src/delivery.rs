//! Deliveries: the state of objects on their way to a router, and the trees that hold it.
//!
//! Every object of a job whose spec names a router is a delivery. The truth is `objects.log` and
//! `deliveries.log`: an object without a line in the latter is pending, otherwise its last line
//! counts. The trees follow from the two.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Included},
};

use crate::{
    error::{Result, unreadable_entry},
    tree::{Forest, Tree},
};
use jiff::Timestamp;
use ocellus_core::{Counts, ObjectId, ObjectType, VideoId};
use serde::{Deserialize, Serialize};

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not tried yet.
    Pending,
    /// Tried without success, and to be tried again.
    Retrying,
    /// Accepted.
    Posted,
    /// Refused, or given up after too long. Only a user takes it up again.
    Failed,
}

impl DeliveryState {
    /// Nothing happens any more by itself.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Posted | Self::Failed)
    }
}

/// One object on its way to a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub object: ObjectId,
    pub state: DeliveryState,
    pub attempts: u32,
    /// Of the last response; `None` where the last attempt had none.
    pub last_status: Option<u16>,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
    /// When it was first tried, or taken up again by a user.
    pub since: Option<Timestamp>,
}

impl Delivery {
    /// Before its first attempt.
    pub fn pending(object: ObjectId) -> Self {
        Self {
            object,
            state: DeliveryState::Pending,
            attempts: 0,
            last_status: None,
            reason: None,
            next_try: None,
            since: None,
        }
    }
}

/// | tree | key | value |
/// |---|---|---|
/// | `deliveries` | video id, number in `objects.log` | [`Delivery`], JSON |
/// | `pending` | the same, where the state is not final | object id |
/// | `tallies` | video id | [`Counts`] by object type, JSON |
pub(crate) struct DeliveryTrees {
    deliveries: Tree,
    pending: Tree,
    tallies: Tree,
}

impl DeliveryTrees {
    pub(crate) fn open(forest: &Forest) -> Result<Self> {
        Ok(Self {
            deliveries: forest.tree("deliveries")?,
            pending: forest.tree("pending")?,
            tallies: forest.tree("tallies")?,
        })
    }

    pub(crate) fn trees(&self) -> [&Tree; 3] {
        [&self.deliveries, &self.pending, &self.tallies]
    }

    /// Puts a delivery in place of what was there under its key. One delivery is put by one thread
    /// at a time.
    pub(crate) fn put(&self, key: &[u8], delivery: &Delivery) -> Result<()> {
        let value = serde_json::to_vec(delivery).map_err(|_| unreadable_entry())?;
        let before = self.deliveries.insert(key, &value)?.map(|v| read(&v)).transpose()?.map(|d| d.state);
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

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Delivery>> {
        self.deliveries.get(key)?.map(|v| read(&v)).transpose()
    }

    /// Those of keys from `low` up to but not including `high`.
    pub(crate) fn range(
        &self,
        low: Vec<u8>,
        high: Vec<u8>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Delivery)>> + use<> {
        self.deliveries.range(Included(low), Excluded(high)).map(|item| {
            let (key, value) = item?;
            Ok((key, read(&value)?))
        })
    }

    /// Keys and objects of all that have no final state and keys that begin so; all of them for an
    /// empty beginning.
    pub(crate) fn pending(&self, beginning: &[u8]) -> impl Iterator<Item = Result<(Vec<u8>, ObjectId)>> + use<> {
        self.pending.with_prefix(beginning).map(|item| {
            let (key, value) = item?;
            let id =
                std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable_entry)?;
            Ok((key, id))
        })
    }

    /// What became of the objects of a video that has deliveries.
    pub(crate) fn tally(&self, video: VideoId) -> Result<Option<BTreeMap<ObjectType, Counts>>> {
        self.tallies.get(video.0.to_be_bytes())?.map(|v| read_tally(&v)).transpose()
    }

    pub(crate) fn clear(&self, video: VideoId) -> Result<()> {
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

/// What a state counts as: `failed` is what the state of that name is, and `retrying` a part of
/// `not_posted`.
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
