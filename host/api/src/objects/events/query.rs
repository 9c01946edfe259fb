//! Filters of events, and how the archive answers them.

use std::collections::BTreeSet;

use ocellus_core::{Error, ObjectRecord, ObjectType, Result, Timestamp, VideoId};
use ocellus_store::{Archive, Cursor, ObjectSearch, Page, VideoFilter};
use utoipa::IntoParams;

use crate::{
    documented,
    objects::filter::{ObjectFilter, descending, only},
    query::{Query, integer},
    videos::filter::{camera_groups, cases},
};

const VIDEO: &str = "video_archive";

/// The filters of events.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct EventsQuery {
    /// Of these videos; of all without it.
    video_archive: Option<Vec<u64>>,
    /// Of videos in these camera groups.
    camera_groups: Option<Vec<i64>>,
    /// Of videos in these cases; `null` is none.
    #[param(inline)]
    case_in: Option<Vec<documented::CaseText>>,
    /// With these IDs.
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
    /// id is the order of videos and, in each, that in which tracks ended; -id the reverse.
    #[param(pattern = "^(-?id)?$")]
    ordering: Option<String>,
}

/// What [`EventsQuery`] documents, read.
const KNOWN: [&str; 15] = [
    VIDEO,
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

/// Which events are wanted.
pub(super) struct EventQuery {
    object_type: ObjectType,
    /// `None` for all.
    videos: Option<BTreeSet<VideoId>>,
    groups: Option<Vec<i64>>,
    cases: Option<Vec<Option<i64>>>,
    objects: ObjectFilter,
    descending: bool,
    /// Nothing passes what cards and operators would say.
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
            descending: descending(query)?,
            nothing: query.flag("matched")? == Some(true) || (query.flag("acknowledged")? == Some(true)),
        })
    }

    /// Blocks.
    ///
    /// # Errors
    /// `BadParam` for a video that does not exist, and for a cursor of another list.
    pub(super) fn find(&self, archive: &Archive, limit: usize, cursor: Option<Cursor>) -> Result<Page<ObjectRecord>> {
        let search = self.search(archive, limit, cursor)?;
        Ok(archive.find_objects(&search, |object| self.objects.holds(object))?)
    }

    /// Blocks. Errors as for [`EventQuery::find`].
    pub(super) fn count(&self, archive: &Archive) -> Result<u64> {
        let search = self.search(archive, 0, None)?;
        Ok(archive.count_objects(&search, |object| self.objects.holds(object))?)
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
