//! The trees of the index: every one a function of the folders.
//!
//! They are sled's, or in memory where sled cannot write: then without rows.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `videos` | id | what filters ask for ([`Summary`], postcard) |
//! | `created` | creation date, id | - |
//! | `names` | lower-cased name, id | - |
//! | `queue` | queued date, id | - |
//! | `cut` | id of a video whose job is under way | - |
//! | `objects` | video id, number in the log | offset in `objects.log`, type |
//! | `numbers` | object id | number in the log |
//! | `clusters` | object id | id of the cluster that it is in |
//! | `rows` | object id | where its row is among those of [`VectorStore`] |
//!
//! and those of [`DeliveryTrees`].

use std::{
    ops::Bound::{Excluded, Included, Unbounded},
    panic::catch_unwind,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    delivery::{Delivery, DeliveryTrees},
    error::{Result, StoreError, unreadable_entry},
    list::OrderKey,
    objects::Embedding,
    tree::{Changes, Entries, Forest, Tree},
    vectors::{SimilarityQuery, VectorStore},
};
use ocellus_core::{Cluster, ObjectId, Timestamp, VideoId, VideoRecord, VideoStatus};
use serde::{Deserialize, Serialize};

/// Changes whenever the trees do; an index of another version is rebuilt.
const VERSION: &[u8] = b"5";
/// Bytes of a sled database with nothing in it.
const EMPTY_DATABASE: u64 = 4 << 20;
/// What sled takes on the disk for a byte, at most.
const ON_DISK_PER_BYTE: u64 = 4;

pub(crate) struct Index {
    forest: Forest,
    videos: Tree,
    created: Tree,
    names: Tree,
    queue: Tree,
    cut: Tree,
    objects: Tree,
    numbers: Tree,
    clusters: Tree,
    /// None in memory.
    rows: Option<VectorStore>,
    /// Bytes of those that there would be.
    without_rows: AtomicU64,
    pub(crate) deliveries: DeliveryTrees,
}

/// Of a video: what filters ask for, and what the other trees hold of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub created_us: i64,
    pub camera_group: i64,
    pub case: Option<i64>,
    /// Lower-cased.
    pub name: Option<String>,
    queued_us: Option<i64>,
    cut: bool,
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
            cut: record.status.is_active(),
        }
    }

    pub(crate) fn created(&self) -> Timestamp {
        Timestamp::from_microsecond(self.created_us).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// Sorts as the number does.
fn time_key(us: i64) -> [u8; 8] {
    ((us as u64) ^ (1 << 63)).to_be_bytes()
}

/// Sorts as the names do, none first; no name's key is the beginning of another's.
fn name_key(name: Option<&str>) -> Vec<u8> {
    let Some(name) = name else { return vec![0] };
    let mut key = vec![1];
    for byte in name.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key.extend([0, 0]);
    key
}

fn with_id(mut key: Vec<u8>, id: VideoId) -> Vec<u8> {
    key.extend(id.0.to_be_bytes());
    key
}

fn id_of(key: &[u8]) -> Option<VideoId> {
    let id = key.get(key.len().checked_sub(8)?..)?;
    Some(VideoId(u64::from_be_bytes(id.try_into().ok()?)))
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // sled panics on some damage.
        let open = || sled::Config::new().path(path).cache_capacity(64 << 20).open();
        let db = catch_unwind(open).map_err(|_| unreadable_entry())??;
        // Within sled's own folder: what becomes of the one becomes of the other.
        let rows = VectorStore::new(&path.join("rows"), Tree::Stored(db.open_tree("rows")?));
        Self::of(Forest::Stored(db), Some(rows))
    }

    pub(crate) fn in_memory() -> Result<Self> {
        Self::of(Forest::in_memory(), None)
    }

    fn of(forest: Forest, rows: Option<VectorStore>) -> Result<Self> {
        let tree = |name: &'static str| forest.tree(name);
        Ok(Self {
            videos: tree("videos")?,
            created: tree("created")?,
            names: tree("names")?,
            queue: tree("queue")?,
            cut: tree("cut")?,
            objects: tree("objects")?,
            numbers: tree("numbers")?,
            clusters: tree("clusters")?,
            rows,
            without_rows: AtomicU64::new(0),
            deliveries: DeliveryTrees::open(&forest)?,
            forest,
        })
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.forest, Forest::InMemory(_))
    }

    /// Of a new index it is false.
    pub(crate) fn is_current(&self) -> Result<bool> {
        match &self.forest {
            Forest::Stored(db) => Ok(db.get("version")?.as_deref() == Some(VERSION)),
            Forest::InMemory(_) => Ok(false),
        }
    }

    pub(crate) fn set_current(&self) -> Result<()> {
        if let Forest::Stored(db) = &self.forest {
            db.insert("version", VERSION)?;
        }
        self.flush()
    }

    pub(crate) fn flush(&self) -> Result<()> {
        if let Forest::Stored(db) = &self.forest {
            db.flush()?;
        }
        self.rows.as_ref().map_or(Ok(()), |rows| rows.flush())
    }

    /// Bytes that the same index takes on the disk, at most.
    pub(crate) fn room(&self) -> Result<u64> {
        let size = |tree: &Tree| {
            tree.all().try_fold(0, |size, entry| entry.map(|(key, value)| size + (key.len() + value.len()) as u64))
        };
        let size: u64 = self.trees().into_iter().map(size).sum::<Result<_>>()?;
        Ok(EMPTY_DATABASE + size * ON_DISK_PER_BYTE + self.without_rows.load(Ordering::Relaxed))
    }

    pub(crate) fn len(&self) -> Result<u64> {
        self.videos.all().try_fold(0, |count, entry| entry.map(|_| count + 1))
    }

    pub(crate) fn highest(&self) -> Result<u64> {
        let last = self.videos.all().keys().next_back().transpose()?;
        Ok(last.and_then(|key| id_of(&key)).map_or(0, |id| id.0))
    }

    pub(crate) fn summary(&self, id: VideoId) -> Result<Option<Summary>> {
        self.videos
            .get(id.0.to_be_bytes())?
            .map(|v| postcard::from_bytes(&v).map_err(|_| unreadable_entry()))
            .transpose()
    }

    /// Makes all trees say what `record` says; `None` takes the video out.
    pub(crate) fn put(&self, id: VideoId, record: Option<&VideoRecord>) -> Result<()> {
        let before = self.summary(id)?;
        let now = record.map(Summary::of);
        if before == now {
            return Ok(());
        }
        let mut changes: [Changes; 5] = Default::default();
        let [videos, created, names, queue, cut] = &mut changes;
        let plain = id.0.to_be_bytes().to_vec();
        // Removals come first: a key in both is there in the end.
        for (summary, is_now) in [(before, false), (now, true)].into_iter().filter_map(|(s, is_now)| Some((s?, is_now)))
        {
            let there = is_now.then(Vec::new);
            let value = is_now.then(|| postcard::to_stdvec(&summary)).transpose().map_err(|_| unreadable_entry())?;
            videos.push((plain.clone(), value));
            created.push((with_id(time_key(summary.created_us).to_vec(), id), there.clone()));
            names.push((with_id(name_key(summary.name.as_deref()), id), there.clone()));
            if let Some(us) = summary.queued_us {
                queue.push((with_id(time_key(us).to_vec(), id), there.clone()));
            }
            if summary.cut {
                cut.push((plain.clone(), there));
            }
        }
        let [videos, created, names, queue, cut] = changes;
        let trees = [
            (&self.videos, videos),
            (&self.created, created),
            (&self.names, names),
            (&self.queue, queue),
            (&self.cut, cut),
        ];
        self.forest.apply(&trees)
    }

    /// Keys of an ordering and the videos that they are of, from one key to another, both left out.
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
            let id = id_of(&key).ok_or_else(unreadable_entry)?;
            Ok((key, id))
        })
    }

    /// The key of a video in an ordering.
    pub(crate) fn key(by: OrderKey, id: VideoId, summary: &Summary) -> Vec<u8> {
        match by {
            OrderKey::Id => id.0.to_be_bytes().to_vec(),
            OrderKey::CreatedDate => with_id(time_key(summary.created_us).to_vec(), id),
            OrderKey::Name => with_id(name_key(summary.name.as_deref()), id),
        }
    }

    /// The least key of a creation date.
    pub(crate) fn created_key(t: Timestamp) -> Vec<u8> {
        time_key(t.as_microsecond()).to_vec()
    }

    /// All that wait, in order.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Result<(Timestamp, VideoId)>> + use<> {
        self.queue.all().keys().map(|key| {
            let key = key?;
            let us = key.get(..8).and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?) ^ (1 << 63)));
            let since = us.and_then(|us| Timestamp::from_microsecond(us as i64).ok());
            Ok((since.ok_or_else(unreadable_entry)?, id_of(&key).ok_or_else(unreadable_entry)?))
        })
    }

    pub(crate) fn cut(&self) -> Result<Vec<VideoId>> {
        self.cut.all().keys().map(|k| id_of(&k?).ok_or_else(unreadable_entry)).collect()
    }

    pub(crate) fn put_object(&self, id: &ObjectId, number: u32, offset: u64) -> Result<()> {
        let mut value = offset.to_be_bytes().to_vec();
        value.extend(id.object_type.as_str().bytes());
        self.objects.insert(object_key(id.job.video, number), &value)?;
        self.numbers.insert(id.to_string(), &number.to_be_bytes())?;
        Ok(())
    }

    pub(crate) fn put_delivery(&self, number: u32, delivery: &Delivery) -> Result<()> {
        self.deliveries.put(&object_key(delivery.object.job.video, number), delivery)
    }

    /// Which identities a job's objects are.
    pub(crate) fn put_clusters(&self, clusters: &[Cluster]) -> Result<()> {
        let members = clusters.iter().flat_map(|c| c.objects.iter().map(|o| (o, &c.id)));
        members.into_iter().try_for_each(|(object, cluster)| {
            self.clusters.insert(object.to_string(), cluster.to_string().as_bytes())?;
            Ok(())
        })
    }

    /// The cluster that an object is in.
    pub(crate) fn cluster_of(&self, object: &ObjectId) -> Result<Option<ObjectId>> {
        let Some(value) = self.clusters.get(object.to_string())? else { return Ok(None) };
        Ok(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()))
    }

    /// What an object looks like. Nothing in memory, where nobody searches.
    pub(crate) fn put_row(&self, embedding: &Embedding) -> Result<()> {
        let Some(rows) = &self.rows else {
            self.without_rows.fetch_add(VectorStore::bytes(embedding), Ordering::Relaxed);
            return Ok(());
        };
        rows.put(embedding)
    }

    /// The objects that look most like what is looked for, nearest first, with their distances.
    ///
    /// # Errors
    /// `NotSearchable` in memory.
    pub(crate) fn nearest(&self, like: &SimilarityQuery<'_>) -> Result<Vec<(ObjectId, f32)>> {
        let rows = self.rows.as_ref().ok_or(StoreError::NotSearchable)?;
        rows.nearest(like, |object| Ok(self.numbers.get(object.to_string())?.is_some()))
    }

    /// Where an object lies in its job's log.
    pub(crate) fn object(&self, id: &ObjectId) -> Result<Option<u64>> {
        let Some(key) = self.key_of_object(id)? else { return Ok(None) };
        self.objects.get(key)?.map(|v| offset_and_type(&v).map(|(o, _)| o)).transpose()
    }

    /// The key of an object, and of its delivery.
    pub(crate) fn key_of_object(&self, id: &ObjectId) -> Result<Option<Vec<u8>>> {
        let Some(number) = self.numbers.get(id.to_string())? else { return Ok(None) };
        let number = number.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| unreadable_entry())?;
        Ok(Some(object_key(id.job.video, number)))
    }

    /// Objects of a video: key, offset in the log, type; between two keys that are left out.
    pub(crate) fn walk_objects(
        &self,
        video: VideoId,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, u64, String)>> + use<> {
        let range = between(video, from, to)
            .map_or(Entries::None, |(low, high)| self.objects.range(Included(low), Excluded(high)));
        range.map(|item| {
            let (key, value) = item?;
            let (offset, object_type) = offset_and_type(&value)?;
            Ok((key, offset, object_type))
        })
    }

    /// Deliveries of a video with their keys, between two keys that are left out.
    pub(crate) fn walk_deliveries(
        &self,
        video: VideoId,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Delivery)>> + use<> {
        let range = between(video, from, to).map(|(low, high)| self.deliveries.range(low, high));
        range.into_iter().flatten()
    }

    /// Tells where this index says something else than `other` does.
    pub(crate) fn differences(&self, other: &Self, tell: &mut dyn FnMut(String)) -> Result<()> {
        for (mine, theirs) in self.trees().into_iter().zip(other.trees()) {
            let different = differing(mine.all(), theirs.all())?;
            if different > 0 {
                tell(format!("{different} entries of {} are not what the folders say", mine.name()));
            }
        }
        if let (Some(mine), Some(theirs)) = (&self.rows, &other.rows) {
            let different = differing(mine.entries(), theirs.entries())?;
            if different > 0 {
                tell(format!("{different} of the rows that pictures are searched by are not what the folders say"));
            }
        }
        Ok(())
    }

    /// All but that of rows.
    fn trees(&self) -> Vec<&Tree> {
        let Self { videos, created, names, queue, cut, objects, numbers, clusters, deliveries, .. } = self;
        let own = [videos, created, names, queue, cut, objects, numbers, clusters];
        own.into_iter().chain(deliveries.trees()).collect()
    }

    /// Takes all objects of a video out, and their deliveries.
    pub(crate) fn clear_objects(&self, video: VideoId) -> Result<()> {
        for key in self.objects.with_prefix(&video.0.to_be_bytes()).keys() {
            self.objects.remove(key?)?;
        }
        for tree in [&self.numbers, &self.clusters] {
            for key in tree.with_prefix(format!("{video}-").as_bytes()).keys() {
                tree.remove(key?)?;
            }
        }
        self.rows.as_ref().map_or(Ok(()), |rows| rows.clear(video))?;
        self.deliveries.clear(video)
    }
}

/// The range of a video's objects that lies between two keys; `None` where there is none.
fn between(video: VideoId, from: Option<&[u8]>, to: Option<&[u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let prefix = video.0.to_be_bytes();
    let low = from.map_or_else(|| prefix.to_vec(), |f| [f, &[0]].concat());
    let high = to.map_or_else(|| [&prefix[..], &[0xff; 5]].concat(), <[u8]>::to_vec);
    (low.starts_with(&prefix) && high.starts_with(&prefix) && low < high).then_some((low, high))
}

/// A key and what it stands for.
type Entry = Result<(Vec<u8>, Vec<u8>)>;

/// How many keys of two sorted lists have another value in the other, or none.
fn differing(mine: impl Iterator<Item = Entry>, theirs: impl Iterator<Item = Entry>) -> Result<u64> {
    let (mut mine, mut theirs, mut different) = (mine.peekable(), theirs.peekable(), 0);
    loop {
        let order = match (mine.peek(), theirs.peek()) {
            (None, None) => return Ok(different),
            (Some(Ok((a, _))), Some(Ok((b, _)))) => a.cmp(b),
            (Some(_), None) | (Some(Err(_)), _) => std::cmp::Ordering::Less,
            (None, Some(_)) | (_, Some(Err(_))) => std::cmp::Ordering::Greater,
        };
        let a = if order.is_le() { mine.next().transpose()? } else { None };
        let b = if order.is_ge() { theirs.next().transpose()? } else { None };
        different += u64::from(a != b);
    }
}

fn object_key(video: VideoId, number: u32) -> Vec<u8> {
    [&video.0.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

pub(crate) fn number_of(key: &[u8]) -> Result<u32> {
    let number = key.get(8..).and_then(|n| n.try_into().ok()).ok_or_else(unreadable_entry)?;
    Ok(u32::from_be_bytes(number))
}

fn offset_and_type(value: &[u8]) -> Result<(u64, String)> {
    let (offset, object_type) = value.split_at_checked(8).ok_or_else(unreadable_entry)?;
    let offset = offset.try_into().map(u64::from_be_bytes).map_err(|_| unreadable_entry())?;
    Ok((offset, String::from_utf8_lossy(object_type).into_owned()))
}

#[cfg(test)]
mod tests;
