//! Queries of identities and their objects, and similarity search.

use std::{cmp::Ordering, collections::BTreeSet};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord, ObjectType, VideoId};

use crate::{
    archive::Archive,
    corrections::{Group, Identity},
    error::{Result, StoreError},
    index::{Index, SimilarityQuery},
    query::{Cursor, ObjectQuery, Page, page, page_among},
};

/// Page of identities, in the order of videos and, within one, of their ids.
#[derive(Clone, Debug)]
pub struct IdentityQuery {
    /// Of these videos; `None` for all.
    pub videos: Option<BTreeSet<VideoId>>,
    /// Any of these; empty for all.
    pub types: Vec<ObjectType>,
    /// Only those with a name.
    pub is_named: bool,
    /// The greatest number of items.
    pub limit: usize,
    /// From an earlier page; `None` for the first.
    pub cursor: Option<Cursor>,
}

/// An identity that has a name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedIdentity {
    /// Its id.
    pub id: ObjectId,
    /// As it was given.
    pub name: String,
    /// Digest or name of what made `vector`.
    pub embedder: String,
    /// The embedding of one of its objects.
    pub vector: Vec<f32>,
}

impl Archive {
    /// The identity of an object; `None` before its job's end, or where there is no such object.
    pub fn cluster_of(&self, object: &ObjectId) -> Result<Option<ObjectId>> {
        self.shared().index.query(|index| index.objects.cluster_of(object))
    }

    /// A page of the identities among the objects of a video's job, in order of their ids; none
    /// before the job's end.
    ///
    /// # Errors
    /// `NoVideo`; `BadCursor` for a cursor of another list; `Damaged` where `clusters.json` cannot
    /// be read.
    pub fn clusters(&self, id: VideoId, query: &ObjectQuery) -> Result<Page<Identity>> {
        self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let ObjectQuery { types, limit, cursor } = query.clone();
        self.identities(&IdentityQuery { videos: Some([id].into()), types, is_named: false, limit, cursor })
    }

    /// A page of the identities of several videos. Reads the identities of each video that is on
    /// it, and the records of those between that have none.
    ///
    /// # Errors
    /// `BadCursor` for a cursor of another list; `Damaged` where those of a video that the query
    /// names cannot be read; of all videos, they are left out.
    pub fn identities(&self, query: &IdentityQuery) -> Result<Page<Identity>> {
        let found = self.shared().index.query(|index| {
            let videos = if query.is_named { Some(named_videos(index, query)?) } else { query.videos.clone() };
            let walk = |key: Option<&[u8]>, descending| self.walk(index, query, videos.as_ref(), key, descending);
            page(*b"cl", query.cursor.as_ref(), query.limit, |key| walk(key, false), |key| walk(key, true))
        })?;
        let Page { items, next, prev } = found;
        let items = items.into_iter().filter_map(|group| self.described(group).transpose()).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    }

    /// Identities in either direction from one on, which itself is left out, with their ids as
    /// keys.
    fn walk<'a>(
        &'a self,
        index: &'a Index,
        query: &'a IdentityQuery,
        videos: Option<&'a BTreeSet<VideoId>>,
        key: Option<&[u8]>,
        descending: bool,
    ) -> Box<dyn Iterator<Item = Result<(Vec<u8>, Group)>> + 'a> {
        let from = key.map(|key| std::str::from_utf8(key).ok().and_then(|text| text.parse::<ObjectId>().ok()));
        let Some(from) = from.map_or(Some(None), |id| id.map(Some)) else {
            return Box::new(std::iter::once(Err(StoreError::BadCursor)));
        };
        let first = from.as_ref().map(|id| id.job.video);
        let of_video = move |video: Result<VideoId>| {
            let mut groups = match video.and_then(|video| self.groups(video, query)) {
                Ok(groups) => groups,
                Err(error) => return vec![Err(error)],
            };
            let is_ahead = |group: &Group| {
                let compared = group.id().zip(from.as_ref()).map(|(id, from)| order(id, from));
                compared.is_none_or(|order| if descending { order.is_lt() } else { order.is_gt() })
            };
            groups.retain(is_ahead);
            if descending {
                groups.reverse();
            }
            let keyed = |group: Group| Some(Ok((group.id()?.to_string().into_bytes(), group)));
            groups.into_iter().filter_map(keyed).collect()
        };
        Box::new(index.objects.videos_from(videos, first, descending).flat_map(of_video))
    }

    /// The identities of a video that a query asks for.
    fn groups(&self, video: VideoId, query: &IdentityQuery) -> Result<Vec<Group>> {
        let is_wanted = |t: &ObjectType| query.types.is_empty() || query.types.contains(t);
        let Some(record) = self.shared().readable(video)? else { return Ok(Vec::new()) };
        // The record of a job that was cut off before it was written counts none.
        if record.finished && !record.clusters.keys().any(is_wanted) {
            return Ok(Vec::new());
        }
        let mut groups = match self.shared().corrected(JobId { video, number: record.job }) {
            Err(error @ (StoreError::Damaged { .. } | StoreError::Newer { .. })) if query.videos.is_none() => {
                self.shared().log_once(&self.shared().folder.video(video), &error);
                Vec::new()
            }
            corrected => corrected?.groups,
        };
        groups.retain(|group| {
            group.id().is_some_and(|id| is_wanted(&id.object_type)) && (group.name.is_some() || !query.is_named)
        });
        Ok(groups)
    }

    /// An identity with what its objects say of it; `None` where they are gone.
    pub(crate) fn described(&self, group: Group) -> Result<Option<Identity>> {
        let Group { objects, cluster, name, corrections } = group;
        let cluster = match (cluster, objects.first()) {
            (None, Some(first)) => {
                let records = self.objects_of(first.job, &objects)?;
                Cluster::of(&records.iter().collect::<Vec<_>>())
            }
            (cluster, _) => cluster,
        };
        Ok(cluster.map(|cluster| Identity { cluster, name, corrections }))
    }

    /// These identities, those that there are, in the same order. Reads the identities of each
    /// video once.
    ///
    /// # Errors
    /// `Damaged` where those of a video cannot be read.
    pub fn identities_of(&self, ids: &[ObjectId]) -> Result<Vec<Identity>> {
        let jobs: BTreeSet<JobId> = ids.iter().map(|id| id.job).collect();
        let mut found = Vec::new();
        for job in jobs {
            let corrected = self.shared().corrected(job)?;
            for id in ids.iter().filter(|id| id.job == job) {
                // The objects of earlier jobs are not in the index.
                if self.cluster_of(id)?.as_ref() == Some(id)
                    && let Some(group) = corrected.find(id)
                {
                    found.extend(self.described(group.clone())?);
                }
            }
        }
        let place = |identity: &Identity| ids.iter().position(|id| *id == identity.cluster.id);
        found.sort_by_key(place);
        Ok(found)
    }

    /// An identity; `None` where there is no such identity.
    ///
    /// # Errors
    /// `Damaged` where those of its video cannot be read.
    pub fn cluster(&self, id: &ObjectId) -> Result<Option<Identity>> {
        Ok(self.identities_of(std::slice::from_ref(id))?.pop())
    }

    /// A page of the objects of an identity, in order of their ids; `None` where there is no such
    /// identity.
    ///
    /// # Errors
    /// `BadCursor` for a cursor of another list; `Damaged` where `clusters.json` cannot be read.
    pub fn cluster_objects(
        &self,
        id: &ObjectId,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Option<Page<ObjectRecord>>> {
        // The objects of earlier jobs are not in the index.
        if self.cluster_of(id)?.as_ref() != Some(id) {
            return Ok(None);
        }
        let corrected = self.shared().corrected(id.job)?;
        let Some(group) = corrected.find(id) else { return Ok(None) };
        let Page { items, next, prev } = page_among(*b"co", cursor, limit, group.objects.clone())?;
        let items = items.iter().filter_map(|object| self.object(object).transpose()).collect::<Result<_>>()?;
        Ok(Some(Page { items, next, prev }))
    }

    /// All identities of a type that have a name, those without an embedding left out. Reads one
    /// embedding of each.
    ///
    /// # Errors
    /// `NotSearchable` while the index is in memory because the disk is full.
    pub fn named_identities(&self, object_type: &ObjectType) -> Result<Vec<NamedIdentity>> {
        self.shared().index.query(|index| {
            let mut all = Vec::new();
            for named in index.objects.named(Some(object_type)) {
                let (id, name, object) = named?;
                if let Some((embedder, vector)) = index.objects.embedding(&object)? {
                    all.push(NamedIdentity { id, name, embedder, vector });
                }
            }
            Ok(all)
        })
    }

    /// The embedding of an object, and the embedder that made it; `None` where there is no such
    /// object, or it has none.
    ///
    /// # Errors
    /// `NotSearchable` while the index is in memory because the disk is full.
    pub fn embedding(&self, object: &ObjectId) -> Result<Option<(String, Vec<f32>)>> {
        self.shared().index.query(|index| index.objects.embedding(object))
    }

    /// The objects most similar to the query, nearest first, with their Euclidean distances. Exact,
    /// and as slow as reading all embeddings of their type and embedder.
    ///
    /// # Errors
    /// `NotSearchable` while the index is in memory because the disk is full.
    pub fn nearest(&self, query: &SimilarityQuery<'_>) -> Result<Vec<(ObjectRecord, f32)>> {
        let found = self.shared().index.query(|index| index.objects.nearest(query))?;
        // One that was removed meanwhile is left out.
        found.into_iter().filter_map(|(id, far)| self.object(&id).map(|o| o.map(|o| (o, far))).transpose()).collect()
    }
}

/// The videos of a query that have an identity with a name.
fn named_videos(index: &Index, query: &IdentityQuery) -> Result<BTreeSet<VideoId>> {
    let is_wanted = |id: &VideoId| query.videos.as_ref().is_none_or(|videos| videos.contains(id));
    let videos = index.objects.named(None).map(|named| named.map(|(id, ..)| id.job.video));
    videos.filter(|id| id.as_ref().map_or(true, is_wanted)).collect()
}

/// The order of identities: that of their ids, whatever the number of the job, so that a page
/// follows on one from before the video was processed again.
fn order(a: &ObjectId, b: &ObjectId) -> Ordering {
    (a.job.video, &a.object_type, a.track, a.shot).cmp(&(b.job.video, &b.object_type, b.track, b.shot))
}
