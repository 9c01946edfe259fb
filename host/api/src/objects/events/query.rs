//! Filters of events, and how the archive answers them.

use std::collections::BTreeSet;

use ocellus_core::{Error, ObjectRecord, ObjectType, Result, Timestamp, VideoId};
use ocellus_pipeline::{AlikeQuery, Engine, LooksLike};
use ocellus_store::{Archive, Cursor, ObjectSearch, Page, VideoFilter, page_among};
use utoipa::IntoParams;

use crate::{
    documented,
    objects::{
        filter::{ObjectFilter, descending},
        looks_like::{LOOKS_LIKE, THRESHOLD, looks_like, threshold},
    },
    query::{Query, integer, only},
    videos::filter::{camera_groups, cases},
};

const VIDEO: &str = "video_archive";
/// Marks cursors of lists by similarity.
const ALIKE: [u8; 2] = *b"la";

/// The filters of events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct EventsQuery {
    /// Events of these videos; of all videos without it.
    video_archive: Option<Vec<u64>>,
    /// Events of videos in these camera groups.
    camera_groups: Option<Vec<i64>>,
    /// Events of videos in these cases; `null` is none.
    #[param(inline)]
    case_in: Option<Vec<documented::CaseText>>,
    /// Events with these IDs.
    #[param(inline)]
    id_in: Option<Vec<documented::ObjectIdText>>,
    /// overall, realtime; both without it.
    #[param(inline)]
    bs_type: Option<Vec<documented::BestShotTypeName>>,
    #[param(format = DateTime)]
    created_date_gt: Option<String>,
    #[param(format = DateTime)]
    created_date_gte: Option<String>,
    #[param(format = DateTime)]
    created_date_lt: Option<String>,
    #[param(format = DateTime)]
    created_date_lte: Option<String>,
    /// Created within the last N times 24 hours.
    #[param(minimum = 0, maximum = 36525)]
    created_date_last_n_days: Option<f64>,
    /// Created within the last N weeks that are over, Monday to Sunday, UTC.
    #[param(minimum = 1, maximum = 520)]
    created_date_nth_full_week: Option<u16>,
    /// The same, Monday to Friday only.
    #[param(minimum = 1, maximum = 520)]
    created_date_nth_work_week: Option<u16>,
    /// No event matches a card: true finds none.
    matched: Option<bool>,
    /// No event is acknowledged: true finds none.
    acknowledged: Option<bool>,
    /// Similar to `detection:<id>` of `POST /detect/`, or to the event with this ID, also as
    /// `faceevent:<id>`, `bodyevent:<id>`, `carevent:<id>`. Of the 1000 most similar (in the video,
    /// where exactly one is given), those that pass the other filters, the most similar first.
    #[param(pattern = "^(detection:[0-9a-f-]+|((face|body|car)event:)?[0-9]+-[0-9]+-[a-z][a-z0-9_]*-[0-9]+-[0-9]+)?$")]
    looks_like: Option<String>,
    /// The least similarity to `looks_like`; 0.5 without it, from which on objects count as the
    /// same identity.
    #[param(minimum = 0, maximum = 1)]
    threshold: Option<f64>,
    /// id is the order of videos and, in each, that in which tracks ended; -id the reverse. Without
    /// it, `looks_like` orders by similarity.
    #[param(pattern = "^(-?id)?$")]
    ordering: Option<String>,
}

/// Names of the parameters of [`EventsQuery`].
const KNOWN: [&str; 17] = [
    VIDEO,
    LOOKS_LIKE,
    THRESHOLD,
    "camera_groups",
    "case_in",
    "id_in",
    "bs_type",
    "created_date_gt",
    "created_date_gte",
    "created_date_lt",
    "created_date_lte",
    "created_date_last_n_days",
    "created_date_nth_full_week",
    "created_date_nth_work_week",
    "matched",
    "acknowledged",
    "ordering",
];

/// Objects that look alike, with their similarity.
type Alike = Vec<(ObjectRecord, f32)>;

/// The parsed parameters.
pub(super) struct EventQuery {
    object_type: ObjectType,
    /// `None` for all.
    videos: Option<BTreeSet<VideoId>>,
    groups: Option<Vec<i64>>,
    cases: Option<Vec<Option<i64>>>,
    objects: ObjectFilter,
    looks_like: Option<LooksLike>,
    threshold: f32,
    is_ordered: bool,
    descending: bool,
    /// A filter asks for matched or acknowledged events, of which there are none.
    nothing: bool,
}

impl EventQuery {
    /// Refuses filters that are unknown.
    pub(super) fn read(query: &Query, object_type: ObjectType, now: Timestamp) -> Result<Self> {
        only(query, &KNOWN)?;
        let videos = query.all(VIDEO).map(|text| integer(VIDEO, text).map(VideoId)).collect::<Result<BTreeSet<_>>>()?;
        Ok(Self {
            object_type,
            videos: (!videos.is_empty()).then_some(videos),
            groups: camera_groups(query)?,
            cases: cases(query)?,
            objects: ObjectFilter::of_events(query, now)?,
            looks_like: looks_like(query)?,
            threshold: threshold(query)?,
            is_ordered: query.last("ordering").is_some(),
            descending: descending(query)?,
            nothing: query.flag("matched")? == Some(true) || (query.flag("acknowledged")? == Some(true)),
        })
    }

    /// The objects that look like what the client names, the most similar first; `None` without
    /// `looks_like`.
    ///
    /// # Errors
    /// Those of [`Engine::alike`].
    pub(super) async fn alike(&self, engine: &Engine) -> Result<Option<Alike>> {
        let Some(looks_like) = self.looks_like.clone() else { return Ok(None) };
        let video = self.videos.as_ref().filter(|videos| videos.len() == 1).and_then(|videos| videos.first().copied());
        let object_type = self.object_type.clone();
        Ok(Some(engine.alike(AlikeQuery { looks_like, object_type, video, threshold: self.threshold }).await?))
    }

    /// A page of the objects, with their similarity where they are `alike`. Blocks.
    ///
    /// # Errors
    /// `BadParam` for a video that does not exist, and for a cursor of another list.
    pub(super) fn find(
        &self,
        archive: &Archive,
        alike: Option<Alike>,
        limit: usize,
        cursor: Option<Cursor>,
    ) -> Result<Page<(ObjectRecord, Option<f32>)>> {
        let search = self.search(archive, limit, cursor)?;
        if let Some(alike) = alike {
            let found = self.among(alike, &search).into_iter().map(|(object, similarity)| (object, Some(similarity)));
            return Ok(page_among(ALIKE, search.cursor.as_ref(), limit, found.collect())?);
        }
        let Page { items, next, prev } = archive.find_objects(&search, |object| self.objects.holds(object))?;
        Ok(Page { items: items.into_iter().map(|object| (object, None)).collect(), next, prev })
    }

    /// Blocks. Errors as for [`EventQuery::find`].
    pub(super) fn count(&self, archive: &Archive, alike: Option<Alike>) -> Result<u64> {
        let search = self.search(archive, 0, None)?;
        match alike {
            Some(alike) => Ok(self.among(alike, &search).len() as u64),
            None => Ok(archive.count_objects(&search, |object| self.objects.holds(object))?),
        }
    }

    /// The similar objects that pass the other filters, in the requested order.
    fn among(&self, mut alike: Alike, search: &ObjectSearch) -> Alike {
        let is_of = |video: &VideoId| search.videos.as_ref().is_none_or(|videos| videos.contains(video));
        alike.retain(|(object, _)| is_of(&object.id.job.video) && self.objects.holds(object));
        if self.is_ordered {
            alike.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
            if self.descending {
                alike.reverse();
            }
        }
        alike
    }

    fn search(&self, archive: &Archive, limit: usize, cursor: Option<Cursor>) -> Result<ObjectSearch> {
        for video in self.videos.iter().flatten() {
            if archive.video(*video)?.is_none() {
                let unknown = format!("Invalid pk \"{video}\" - object does not exist.");
                return Err(Error::bad_param(VIDEO, unknown));
            }
        }
        let mut videos = self.videos.clone();
        let mut restrict = |to: BTreeSet<VideoId>| {
            videos = Some(match videos.take() {
                Some(videos) => videos.intersection(&to).copied().collect(),
                None => to,
            });
        };
        if let Some(ids) = self.objects.ids() {
            restrict(ids.iter().map(|id| id.job.video).collect());
        }
        if self.nothing {
            restrict(BTreeSet::new());
        }
        if self.groups.is_some() || self.cases.is_some() {
            let filter = VideoFilter {
                camera_groups: self.groups.clone(),
                case_in: self.cases.clone(),
                ..VideoFilter::default()
            };
            restrict(archive.video_ids(&filter)?);
        }
        let types = vec![self.object_type.clone()];
        Ok(ObjectSearch { videos, types, descending: self.descending, limit, cursor })
    }
}
