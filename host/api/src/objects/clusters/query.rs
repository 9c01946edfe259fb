//! Filters of identities over all videos, and how the archive answers them.

use std::collections::{BTreeSet, HashMap};

use ocellus_core::{Error, ObjectId, ObjectRecord, ObjectType, Result, VideoId};
use ocellus_pipeline::{AlikeQuery, LooksLike};
use ocellus_store::{Archive, Cursor, Identity, IdentityQuery, Page, page_among};
use utoipa::IntoParams;

use crate::{
    Api,
    objects::looks_like::{LOOKS_LIKE, THRESHOLD, looks_like, threshold},
    query::{Query, integer, only},
};

const VIDEO: &str = "video_archive";
const NAMED: &str = "named";
/// Cursors of identities that look alike.
const ALIKE: [u8; 2] = *b"ca";

/// The filters of identities.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct ClustersQuery {
    /// Of these videos; of all without it.
    video_archive: Option<Vec<u64>>,
    /// true: only those with a name.
    named: Option<bool>,
    /// What they look like: `detection:<id>` of `POST /detect/`, or the ID of an object, such as
    /// the best one of another identity, also as `faceevent:<id>`, `bodyevent:<id>`,
    /// `carevent:<id>`. Those of the 1000 objects that look most like it (in the video, where it is
    /// one), the most similar first.
    #[param(pattern = "^(detection:[0-9a-f-]+|((face|body|car)event:)?[0-9]+-[0-9]+-[a-z][a-z0-9_]*-[0-9]+-[0-9]+)?$")]
    looks_like: Option<String>,
    /// The least similarity to what `looks_like` names, 0.5 without it, where the same identity
    /// ends.
    #[param(minimum = 0, maximum = 1)]
    threshold: Option<f64>,
}

/// Which identities are wanted.
pub(super) struct ClusterQuery {
    object_type: ObjectType,
    /// `None` for all.
    videos: Option<BTreeSet<VideoId>>,
    is_named: bool,
    looks_like: Option<LooksLike>,
    threshold: f32,
}

/// Identities with the similarity of their most similar object.
type Similar = Vec<(ObjectId, f32)>;

impl ClusterQuery {
    /// Refuses filters that are unknown.
    pub(super) fn read(query: &Query, object_type: ObjectType) -> Result<Self> {
        only(query, &[VIDEO, NAMED, LOOKS_LIKE, THRESHOLD])?;
        let videos = query.all(VIDEO).map(|text| integer(VIDEO, text).map(VideoId)).collect::<Result<BTreeSet<_>>>()?;
        Ok(Self {
            object_type,
            videos: (!videos.is_empty()).then_some(videos),
            is_named: query.flag(NAMED)? == Some(true),
            looks_like: looks_like(query)?,
            threshold: threshold(query)?,
        })
    }

    /// A page of the identities, with their similarity where that is asked for.
    ///
    /// # Errors
    /// `BadParam` for a video that does not exist, for what cannot be compared, and for a cursor of
    /// another list.
    pub(super) async fn find(
        self,
        api: &Api,
        limit: usize,
        cursor: Option<Cursor>,
    ) -> Result<Page<(Identity, Option<f32>)>> {
        let alike = match self.looks_like.clone() {
            Some(looks_like) => {
                let only_one = self.videos.as_ref().filter(|videos| videos.len() == 1);
                let video = only_one.and_then(|videos| videos.first().copied());
                let query =
                    AlikeQuery { looks_like, object_type: self.object_type.clone(), video, threshold: self.threshold };
                Some(api.engine.alike(query).await?)
            }
            None => None,
        };
        let archive = api.engine.archive().clone();
        crate::blocking(move || self.page(&archive, alike, limit, cursor)).await
    }

    fn page(
        self,
        archive: &Archive,
        alike: Option<Vec<(ObjectRecord, f32)>>,
        limit: usize,
        cursor: Option<Cursor>,
    ) -> Result<Page<(Identity, Option<f32>)>> {
        for video in self.videos.iter().flatten() {
            if archive.video(*video)?.is_none() {
                return Err(Error::bad_param(VIDEO, format!("Invalid pk \"{video}\" - object does not exist.")));
            }
        }
        let Some(alike) = alike else {
            let Self { object_type, videos, is_named, .. } = self;
            let query = IdentityQuery { videos, types: vec![object_type], is_named, limit, cursor };
            let Page { items, next, prev } = archive.identities(&query)?;
            return Ok(Page { items: items.into_iter().map(|identity| (identity, None)).collect(), next, prev });
        };
        let Page { items, next, prev } = page_among(ALIKE, cursor.as_ref(), limit, self.similar(archive, alike)?)?;
        let ids: Vec<_> = items.iter().map(|(id, _)| id.clone()).collect();
        let similarities: HashMap<_, _> = items.into_iter().collect();
        let with_similarity = |identity: Identity| {
            let similarity = similarities.get(&identity.cluster.id).copied();
            (identity, similarity)
        };
        Ok(Page { items: archive.identities_of(&ids)?.into_iter().map(with_similarity).collect(), next, prev })
    }

    /// The identities of objects that look alike, in the same order, each once.
    fn similar(&self, archive: &Archive, alike: Vec<(ObjectRecord, f32)>) -> Result<Similar> {
        let named = if self.is_named { Some(archive.named_identities(&self.object_type)?) } else { None };
        let named: Option<BTreeSet<ObjectId>> = named.map(|all| all.into_iter().map(|named| named.id).collect());
        let (mut seen, mut similar) = (BTreeSet::new(), Vec::new());
        for (object, similarity) in alike {
            if self.videos.as_ref().is_some_and(|videos| !videos.contains(&object.id.job.video)) {
                continue;
            }
            let identity = archive.cluster_of(&object.id)?;
            let identity = identity.filter(|id| named.as_ref().is_none_or(|named| named.contains(id)));
            if let Some(identity) = identity
                && seen.insert(identity.clone())
            {
                similar.push((identity, similarity));
            }
        }
        Ok(similar)
    }
}
