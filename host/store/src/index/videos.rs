//! Trees of videos: summaries for filters, orderings of lists, the queue.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `videos` | id | [`Summary`] for filters, postcard |
//! | `created` | creation date, id | - |
//! | `names` | lower-cased name, id | - |
//! | `queue` | queued date, id | - |
//! | `in_progress` | id of a video whose job is running | - |

use std::ops::Bound::{Excluded, Unbounded};

use ocellus_core::{Timestamp, VideoId, VideoRecord, VideoStatus};
use serde::{Deserialize, Serialize};

use super::{
    keys::{name_key, time_key, time_of, video_of, with_id},
    tree::{Changes, Forest, Tree},
};
use crate::{
    error::{Result, unreadable_entry},
    query::OrderKey,
};

pub(crate) struct VideoTrees {
    forest: Forest,
    videos: Tree,
    created: Tree,
    names: Tree,
    queue: Tree,
    in_progress: Tree,
}

/// Fields of a video that filters use, and from which the other trees are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Microseconds since the Unix epoch.
    pub created_us: i64,
    pub camera_group: i64,
    pub case: Option<i64>,
    /// Lower-cased.
    pub name: Option<String>,
    /// When it was queued, while it is in the queue.
    queued_us: Option<i64>,
    in_progress: bool,
    pub status: VideoStatus,
    pub has_router: bool,
}

impl Summary {
    fn of(record: &VideoRecord) -> Self {
        Self {
            created_us: record.created_date.as_microsecond(),
            camera_group: record.camera_group,
            case: record.case,
            name: record.name.as_deref().map(str::to_lowercase),
            queued_us: record
                .queued_date
                .filter(|_| record.status == VideoStatus::Awaiting)
                .map(Timestamp::as_microsecond),
            in_progress: record.status.is_active(),
            status: record.status,
            has_router: record.router_url.is_some(),
        }
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_microsecond(self.created_us).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The key of this video in an ordering.
    pub(crate) fn key(&self, by: OrderKey, id: VideoId) -> Vec<u8> {
        match by {
            OrderKey::Id => id.0.to_be_bytes().to_vec(),
            OrderKey::CreatedDate => with_id(time_key(self.created_us).to_vec(), id),
            OrderKey::Name => with_id(name_key(self.name.as_deref()), id),
        }
    }
}

/// The lowest key of a creation date in the ordering by creation date.
pub(crate) fn created_key(t: Timestamp) -> Vec<u8> {
    time_key(t.as_microsecond()).to_vec()
}

impl VideoTrees {
    pub(super) fn open(forest: &Forest) -> Result<Self> {
        Ok(Self {
            forest: forest.clone(),
            videos: forest.tree("videos")?,
            created: forest.tree("created")?,
            names: forest.tree("names")?,
            queue: forest.tree("queue")?,
            in_progress: forest.tree("in_progress")?,
        })
    }

    pub(super) fn trees(&self) -> [&Tree; 5] {
        [&self.videos, &self.created, &self.names, &self.queue, &self.in_progress]
    }

    pub(crate) fn len(&self) -> Result<u64> {
        self.videos.all().try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    /// The highest id of a video; 0 without one.
    pub(crate) fn highest(&self) -> Result<u64> {
        let last = self.videos.all().keys().next_back().transpose()?;
        Ok(last.and_then(|key| video_of(&key).ok()).map_or(0, |id| id.0))
    }

    pub(crate) fn summary(&self, id: VideoId) -> Result<Option<Summary>> {
        self.videos
            .get(id.0.to_be_bytes())?
            .map(|v| postcard::from_bytes(&v).map_err(|_| unreadable_entry()))
            .transpose()
    }

    /// Updates all trees to `record`, atomically; `None` removes the video.
    pub(crate) fn put(&self, id: VideoId, record: Option<&VideoRecord>) -> Result<()> {
        let before = self.summary(id)?;
        let now = record.map(Summary::of);
        if before == now {
            return Ok(());
        }
        let mut changes: [Changes; 5] = Default::default();
        let [videos, created, names, queue, in_progress] = &mut changes;
        // Removals come first: of a key that is in both, the later change counts.
        for (summary, is_now) in [(before, false), (now, true)].into_iter().filter_map(|(s, is_now)| Some((s?, is_now)))
        {
            let present = is_now.then(Vec::new);
            let value = is_now.then(|| postcard::to_stdvec(&summary)).transpose().map_err(|_| unreadable_entry())?;
            videos.push((summary.key(OrderKey::Id, id), value));
            created.push((summary.key(OrderKey::CreatedDate, id), present.clone()));
            names.push((summary.key(OrderKey::Name, id), present.clone()));
            if let Some(us) = summary.queued_us {
                queue.push((with_id(time_key(us).to_vec(), id), present.clone()));
            }
            if summary.in_progress {
                in_progress.push((summary.key(OrderKey::Id, id), present));
            }
        }
        let changes: Vec<_> = self.trees().into_iter().zip(changes).collect();
        self.forest.apply(&changes)
    }

    /// Keys of an ordering with their videos, between two keys, both exclusive.
    pub(crate) fn walk(
        &self,
        by: OrderKey,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, VideoId)>> + use<> {
        let tree = match by {
            OrderKey::Id => &self.videos,
            OrderKey::CreatedDate => &self.created,
            OrderKey::Name => &self.names,
        };
        let bound = |b: Option<&[u8]>| b.map_or(Unbounded, |b| Excluded(b.to_vec()));
        tree.range(bound(from), bound(to)).keys().map(|key| {
            let key = key?;
            let id = video_of(&key)?;
            Ok((key, id))
        })
    }

    /// The queue in its order, with the time at which each video was queued.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Result<(Timestamp, VideoId)>> + use<> {
        self.queue.all().keys().map(|key| {
            let key = key?;
            Ok((time_of(&key)?, video_of(&key)?))
        })
    }

    /// Videos whose job is running, by id.
    pub(crate) fn in_progress(&self) -> Result<Vec<VideoId>> {
        self.in_progress.all().keys().map(|key| video_of(&key?)).collect()
    }
}
