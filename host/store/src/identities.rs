//! Queries of identities and their objects, and similarity search.

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord, VideoId};

use crate::{
    archive::Archive,
    error::{Result, StoreError},
    index::SimilarityQuery,
    job_files,
    query::{Cursor, ObjectQuery, Page, page_among},
};

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
    pub fn clusters(&self, id: VideoId, query: &ObjectQuery) -> Result<Page<Cluster>> {
        let record = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let mut all =
            job_files::clusters(&self.shared().folder, JobId { video: id, number: record.job })?.unwrap_or_default();
        all.retain(|c| query.types.is_empty() || query.types.contains(&c.id.object_type));
        page_among(*b"cl", query.cursor.as_ref(), query.limit, all)
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
        let all = job_files::clusters(&self.shared().folder, id.job)?.unwrap_or_default();
        let Some(cluster) = all.into_iter().find(|c| c.id == *id) else { return Ok(None) };
        let Page { items, next, prev } = page_among(*b"co", cursor, limit, cluster.objects)?;
        let items = items.iter().filter_map(|object| self.object(object).transpose()).collect::<Result<_>>()?;
        Ok(Some(Page { items, next, prev }))
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
