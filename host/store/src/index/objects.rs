//! Trees of objects: place in the job's log, identity, embedding.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `objects` | video id, number in the log | offset in `objects.log`, type |
//! | `numbers` | object id | number in the log |
//! | `clusters` | object id | id of its identity |
//! | `vectors` | object id | place of its embedding in the [`VectorStore`] |

use std::{
    ops::Bound::{Excluded, Included, Unbounded},
    sync::atomic::{AtomicU64, Ordering},
};

use ocellus_core::{Cluster, ObjectId, VideoId};

use super::{
    keys::{object_key, objects_between},
    tree::{Entries, Forest, Tree},
    vectors::{SimilarityQuery, VectorStore},
};
use crate::{
    error::{Result, StoreError, unreadable_entry},
    objects::Embedding,
};

pub(crate) struct ObjectTrees {
    objects: Tree,
    numbers: Tree,
    clusters: Tree,
    /// `None` in memory: then similarity search is unavailable.
    vectors: Option<VectorStore>,
    /// Bytes on disk of the embeddings that an index in memory leaves out.
    left_out: AtomicU64,
}

impl ObjectTrees {
    pub(super) fn open(forest: &Forest, vectors: Option<VectorStore>) -> Result<Self> {
        Ok(Self {
            objects: forest.tree("objects")?,
            numbers: forest.tree("numbers")?,
            clusters: forest.tree("clusters")?,
            vectors,
            left_out: AtomicU64::new(0),
        })
    }

    /// All trees, except that of embeddings.
    pub(super) fn trees(&self) -> [&Tree; 3] {
        [&self.objects, &self.numbers, &self.clusters]
    }

    pub(super) fn vectors(&self) -> Option<&VectorStore> {
        self.vectors.as_ref()
    }

    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    pub(super) fn put(&self, id: &ObjectId, number: u32, offset: u64) -> Result<()> {
        let mut value = offset.to_be_bytes().to_vec();
        value.extend(id.object_type.as_str().bytes());
        self.objects.insert(object_key(id.job.video, number), &value)?;
        self.numbers.insert(id.to_string(), &number.to_be_bytes())?;
        Ok(())
    }

    /// The offset of an object's record in its job's log, in bytes.
    pub(crate) fn offset(&self, id: &ObjectId) -> Result<Option<u64>> {
        let Some(key) = self.key(id)? else { return Ok(None) };
        self.objects.get(key)?.map(|v| offset_and_type(&v).map(|(o, _)| o)).transpose()
    }

    /// The key of an object, and of its delivery.
    pub(crate) fn key(&self, id: &ObjectId) -> Result<Option<Vec<u8>>> {
        let Some(number) = self.numbers.get(id.to_string())? else { return Ok(None) };
        let number = number.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| unreadable_entry())?;
        Ok(Some(object_key(id.job.video, number)))
    }

    /// Objects of a video between two keys, both exclusive: key, offset in the log, type.
    pub(crate) fn walk(
        &self,
        video: VideoId,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, u64, String)>> + use<> {
        let range = objects_between(video, from, to)
            .map_or(Entries::None, |(low, high)| self.objects.range(Included(low), Excluded(high)));
        range.map(|item| {
            let (key, value) = item?;
            let (offset, object_type) = offset_and_type(&value)?;
            Ok((key, offset, object_type))
        })
    }

    /// The next or, with `before`, the previous video that has objects; the first or the last for
    /// `None`.
    pub(crate) fn video_beside(&self, video: Option<VideoId>, before: bool) -> Result<Option<VideoId>> {
        let bound = |id: VideoId| id.0.to_be_bytes().to_vec();
        let key = match (video, before) {
            (Some(VideoId(u64::MAX)), false) => return Ok(None),
            (Some(VideoId(id)), false) => self.objects.range(Included(bound(VideoId(id + 1))), Unbounded).keys().next(),
            (Some(id), true) => self.objects.range(Unbounded, Excluded(bound(id))).keys().next_back(),
            (None, false) => self.objects.all().keys().next(),
            (None, true) => self.objects.all().keys().next_back(),
        };
        let Some(key) = key.transpose()? else { return Ok(None) };
        let id = key.first_chunk().ok_or_else(unreadable_entry)?;
        Ok(Some(VideoId(u64::from_be_bytes(*id))))
    }

    /// Adds the identities among a job's objects.
    pub(crate) fn put_clusters(&self, clusters: &[Cluster]) -> Result<()> {
        let members = clusters.iter().flat_map(|c| c.objects.iter().map(|o| (o, &c.id)));
        members.into_iter().try_for_each(|(object, cluster)| {
            self.clusters.insert(object.to_string(), cluster.to_string().as_bytes())?;
            Ok(())
        })
    }

    /// The identity of an object.
    pub(crate) fn cluster_of(&self, object: &ObjectId) -> Result<Option<ObjectId>> {
        let Some(value) = self.clusters.get(object.to_string())? else { return Ok(None) };
        Ok(std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()))
    }

    /// Adds an embedding; in memory, only counts the disk space that it would take.
    pub(crate) fn put_embedding(&self, embedding: &Embedding) -> Result<()> {
        let Some(vectors) = &self.vectors else {
            self.left_out.fetch_add(VectorStore::bytes(embedding), Ordering::Relaxed);
            return Ok(());
        };
        vectors.put(embedding)
    }

    /// The embedding of an object, and its embedder.
    ///
    /// # Errors
    /// `NotSearchable` in memory.
    pub(crate) fn embedding(&self, object: &ObjectId) -> Result<Option<(String, Vec<f32>)>> {
        let vectors = self.vectors.as_ref().ok_or(StoreError::NotSearchable)?;
        if self.numbers.get(object.to_string())?.is_none() { Ok(None) } else { vectors.get(object) }
    }

    /// The objects most similar to the query, nearest first, with their distances.
    ///
    /// # Errors
    /// `NotSearchable` in memory.
    pub(crate) fn nearest(&self, query: &SimilarityQuery<'_>) -> Result<Vec<(ObjectId, f32)>> {
        let vectors = self.vectors.as_ref().ok_or(StoreError::NotSearchable)?;
        vectors.nearest(query, |object| Ok(self.numbers.get(object.to_string())?.is_some()))
    }

    /// Removes all objects of a video.
    pub(super) fn clear(&self, video: VideoId) -> Result<()> {
        for key in self.objects.with_prefix(&video.0.to_be_bytes()).keys() {
            self.objects.remove(key?)?;
        }
        for tree in [&self.numbers, &self.clusters] {
            for key in tree.with_prefix(format!("{video}-").as_bytes()).keys() {
                tree.remove(key?)?;
            }
        }
        self.vectors.as_ref().map_or(Ok(()), |vectors| vectors.clear(video))
    }
}

fn offset_and_type(value: &[u8]) -> Result<(u64, String)> {
    let (offset, object_type) = value.split_first_chunk().ok_or_else(unreadable_entry)?;
    Ok((u64::from_be_bytes(*offset), String::from_utf8_lossy(object_type).into_owned()))
}
