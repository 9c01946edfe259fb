//! Index over the archive folder: answers queries; everything in it can be derived from the
//! folders.
//!
//! Its trees ([`VideoTrees`], [`ObjectTrees`], [`DeliveryTrees`]) are stored in sled or, while sled
//! cannot write, in memory; an index in memory has no embeddings.

use std::{panic::catch_unwind, path::Path};

use ocellus_core::{ObjectId, VideoId};

pub use self::vectors::SimilarityQuery;
use self::{
    deliveries::DeliveryTrees,
    objects::ObjectTrees,
    tree::{Entry, Forest, Tree},
    vectors::VectorStore,
    videos::VideoTrees,
};
pub(crate) use self::{
    keys::number_of,
    videos::{Summary, created_key},
};
use crate::{
    delivery::Delivery,
    error::{Result, unreadable_entry},
};

mod deliveries;
mod keys;
mod objects;
mod tree;
mod vectors;
mod videos;

/// Incremented with each change of the trees; an index of another version is rebuilt.
const VERSION: &[u8] = b"9";
/// Size of an empty sled database, in bytes.
const EMPTY_DATABASE: u64 = 4 << 20;
/// Upper bound of the bytes that sled takes on disk for each byte of keys and values.
const ON_DISK_PER_BYTE: u64 = 4;
/// Size of sled's page cache, in bytes.
const CACHE: u64 = 64 << 20;

pub(crate) struct Index {
    forest: Forest,
    pub(crate) videos: VideoTrees,
    pub(crate) objects: ObjectTrees,
    pub(crate) deliveries: DeliveryTrees,
}

impl Index {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        // sled panics on some damage.
        let open = || sled::Config::new().path(path).cache_capacity(CACHE).open();
        let db = catch_unwind(open).map_err(|_| unreadable_entry())??;
        // Within sled's own folder: both are set aside or removed together.
        let vectors = VectorStore::new(&path.join("vectors"), Tree::Stored(db.open_tree("vectors")?));
        Self::of(Forest::Stored(db), Some(vectors))
    }

    pub(crate) fn in_memory() -> Result<Self> {
        Self::of(Forest::in_memory(), None)
    }

    fn of(forest: Forest, vectors: Option<VectorStore>) -> Result<Self> {
        Ok(Self {
            videos: VideoTrees::open(&forest)?,
            objects: ObjectTrees::open(&forest, vectors)?,
            deliveries: DeliveryTrees::open(&forest)?,
            forest,
        })
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.forest, Forest::InMemory(_))
    }

    /// Whether a release with this [`VERSION`] called [`Index::set_current`] on it.
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
        self.objects.vectors().map_or(Ok(()), VectorStore::flush)
    }

    /// Upper bound of the bytes that this index takes on disk.
    pub(crate) fn room(&self) -> Result<u64> {
        let size = |tree: &Tree| {
            tree.all().try_fold(0, |size, entry| entry.map(|(key, value)| size + (key.len() + value.len()) as u64))
        };
        let size: u64 = self.trees().map(size).sum::<Result<_>>()?;
        Ok(EMPTY_DATABASE + size * ON_DISK_PER_BYTE + self.objects.left_out())
    }

    /// Adds an object of a job's log, and its delivery where the job has a router. `number`: of the
    /// object within the job; `offset`: of its record in the log, in bytes.
    pub(crate) fn put_object(
        &self,
        id: &ObjectId,
        number: u32,
        offset: u64,
        delivery: Option<&Delivery>,
    ) -> Result<()> {
        self.objects.put(id, number, offset)?;
        delivery.map_or(Ok(()), |delivery| self.deliveries.put(number, delivery))
    }

    /// The delivery of an object; `None` where there is none.
    pub(crate) fn delivery(&self, id: &ObjectId) -> Result<Option<Delivery>> {
        self.objects.key(id)?.map_or(Ok(None), |key| self.deliveries.get(&key))
    }

    /// Removes all objects of a video, and their deliveries.
    pub(crate) fn clear_objects(&self, video: VideoId) -> Result<()> {
        self.objects.clear(video)?;
        self.deliveries.clear(video)
    }

    /// Reports the differences from `other`, which was just built from the folders.
    pub(crate) fn differences(&self, other: &Self, report: &mut dyn FnMut(String)) -> Result<()> {
        for (mine, theirs) in self.trees().zip(other.trees()) {
            let different = differing(mine.all(), theirs.all())?;
            if different > 0 {
                report(format!("{different} entries of {} are not what the folders say", mine.name()));
            }
        }
        if let (Some(mine), Some(theirs)) = (self.objects.vectors(), other.objects.vectors()) {
            let different = differing(mine.entries(), theirs.entries())?;
            if different > 0 {
                report(format!(
                    "{different} of the embeddings that pictures are searched by are not what the folders say"
                ));
            }
        }
        Ok(())
    }

    /// All trees, except that of embeddings.
    fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.videos.trees().into_iter().chain(self.objects.trees()).chain(self.deliveries.trees())
    }
}

/// The number of keys that are in only one of two sorted lists, or have different values in them.
fn differing(mine: impl Iterator<Item = Result<Entry>>, theirs: impl Iterator<Item = Result<Entry>>) -> Result<u64> {
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
