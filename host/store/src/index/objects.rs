//! Trees of objects: place in the job's log, identity, embedding.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `objects` | video id, number in the log | offset in `objects.log`, type |
//! | `numbers` | object id | number in the log |
//! | `clusters` | object id | id of its identity |
//! | `identity_names` | id of an identity | its name, an object of it |
//! | `vectors` | object id | place of its embedding in the [`VectorStore`] |

use std::{
    collections::BTreeSet,
    iter,
    ops::Bound::{Excluded, Included, Unbounded},
    sync::atomic::{AtomicU64, Ordering},
};

use ocellus_core::{ObjectId, ObjectType, VideoId};

use super::{
    keys::{object_key, objects_between},
    tree::{Entries, Entry, Forest, Tree},
    vectors::{SimilarityQuery, VectorStore},
};
use crate::{
    corrections::Group,
    error::{Result, StoreError, unreadable_entry},
    objects::Embedding,
};

pub(crate) struct ObjectTrees {
    objects: Tree,
    numbers: Tree,
    clusters: Tree,
    identity_names: Tree,
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
            identity_names: forest.tree("identity_names")?,
            vectors,
            left_out: AtomicU64::new(0),
        })
    }

    /// All trees, except that of embeddings.
    pub(super) fn trees(&self) -> [&Tree; 4] {
        [&self.objects, &self.numbers, &self.clusters, &self.identity_names]
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

    /// These videos, or all that have objects, from `first` on in either direction.
    pub(crate) fn videos_from<'a>(
        &'a self,
        videos: Option<&'a BTreeSet<VideoId>>,
        first: Option<VideoId>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = Result<VideoId>> + 'a> {
        if let Some(videos) = videos {
            let ahead = move |id: &&VideoId| first.is_none_or(|f| if descending { **id <= f } else { **id >= f });
            let ids: Box<dyn Iterator<Item = &VideoId>> =
                if descending { Box::new(videos.iter().rev()) } else { Box::new(videos.iter()) };
            return Box::new(ids.filter(ahead).map(|id| Ok(*id)));
        }
        let next = move |after: Option<VideoId>| self.video_beside(after, descending).transpose();
        let begin = first.map_or_else(|| next(None), |id| Some(Ok(id)));
        Box::new(iter::successors(begin, move |last| next(Some(*last.as_ref().ok()?))))
    }

    /// Replaces the identities among the objects of a video's job.
    pub(crate) fn put_identities(&self, video: VideoId, groups: &[Group]) -> Result<()> {
        for key in self.identity_names.with_prefix(format!("{video}-").as_bytes()).keys() {
            self.identity_names.remove(key?)?;
        }
        for group in groups {
            let Some(first) = group.id() else { continue };
            let id = first.to_string();
            for object in &group.objects {
                let object = object.to_string();
                // A correction changes few of many objects.
                if self.clusters.get(&object)?.as_deref() != Some(id.as_bytes()) {
                    self.clusters.insert(object, id.as_bytes())?;
                }
            }
            if let Some(name) = &group.name {
                let object = group.cluster.as_ref().map_or(first, |cluster| &cluster.best);
                let value = postcard::to_stdvec(&(name, object.to_string())).map_err(|_| unreadable_entry())?;
                self.identity_names.insert(id, &value)?;
            }
        }
        Ok(())
    }

    /// The identities of a type that have a name: their ids and names, and an object of each; by
    /// their ids as texts. `None` for all types.
    pub(crate) fn named(
        &self,
        object_type: Option<&ObjectType>,
    ) -> impl Iterator<Item = Result<(ObjectId, String, ObjectId)>> {
        let entry = move |item: Result<Entry>| -> Result<Option<_>> {
            let (key, value) = item?;
            let id: ObjectId = text_id(&key)?;
            if object_type.is_some_and(|wanted| *wanted != id.object_type) {
                return Ok(None);
            }
            let (name, object): (String, String) = postcard::from_bytes(&value).map_err(|_| unreadable_entry())?;
            Ok(Some((id, name, text_id(object.as_bytes())?)))
        };
        self.identity_names.all().filter_map(move |item| entry(item).transpose())
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
        for tree in [&self.numbers, &self.clusters, &self.identity_names] {
            for key in tree.with_prefix(format!("{video}-").as_bytes()).keys() {
                tree.remove(key?)?;
            }
        }
        self.vectors.as_ref().map_or(Ok(()), |vectors| vectors.clear(video))
    }
}

fn text_id(bytes: &[u8]) -> Result<ObjectId> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(unreadable_entry)
}

fn offset_and_type(value: &[u8]) -> Result<(u64, String)> {
    let (offset, object_type) = value.split_first_chunk().ok_or_else(unreadable_entry)?;
    Ok((u64::from_be_bytes(*offset), String::from_utf8_lossy(object_type).into_owned()))
}
