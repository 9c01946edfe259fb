//! Lists of videos, of their objects and of their deliveries, page by page.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use ocellus_core::{Counts, JobId, ObjectId, ObjectRecord, ObjectType, Timestamp, VideoId, VideoRecord};

use crate::{
    archive::Archive,
    delivery::Delivery,
    error::{Result, StoreError},
    index::{Index, Summary, created_key, number_of},
    job_files,
    query::{Condition, DeliveryQuery, ListQuery, ObjectQuery, OrderKey, Page, VideoFilter, page},
};

impl Archive {
    /// A page of videos. Those whose record is damaged are left out.
    ///
    /// # Errors
    /// `BadCursor` for a cursor of another list.
    pub fn list(&self, query: &ListQuery) -> Result<Page<VideoRecord>> {
        let Page { items, next, prev } = self.shared().index.query(|index| list_ids(index, query))?;
        // A video that was deleted meanwhile is not on the page, nor is one that is damaged.
        let items = items.into_iter().filter_map(|id| self.shared().readable(id).transpose()).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    }

    /// How many videos match.
    pub fn count(&self, filter: &VideoFilter) -> Result<u64> {
        self.shared().index.query(|index| count(index, filter))
    }

    /// The videos that match.
    pub fn video_ids(&self, filter: &VideoFilter) -> Result<BTreeSet<VideoId>> {
        self.shared().index.query(|index| {
            let mut ids = BTreeSet::new();
            each_match(index, filter, |id| {
                ids.insert(id);
            })?;
            Ok(ids)
        })
    }

    /// A page of the objects of a video's job, in order of creation.
    ///
    /// # Errors
    /// `NoVideo`; `BadCursor` for a cursor of another list.
    pub fn objects(&self, id: VideoId, query: &ObjectQuery) -> Result<Page<ObjectRecord>> {
        let record = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let wanted = |item: Result<(Vec<u8>, u64, String)>| match item {
            Ok((key, offset, t)) => {
                (query.types.is_empty() || query.types.iter().any(|w| w.as_str() == t)).then_some(Ok((key, offset)))
            }
            Err(e) => Some(Err(e)),
        };
        let Page { items, next, prev } = self.shared().index.query(|index| {
            let forwards = |from: Option<&[u8]>| index.objects.walk(id, from, None).filter_map(wanted);
            let backwards = |to: Option<&[u8]>| index.objects.walk(id, None, to).rev().filter_map(wanted);
            page(*b"ob", query.cursor.as_ref(), query.limit, forwards, backwards)
        })?;
        let items = job_files::objects_at(&self.shared().folder, JobId { video: id, number: record.job }, &items)?;
        Ok(Page { items, next, prev })
    }

    /// An object; `None` where there is no such object.
    ///
    /// # Errors
    /// `Damaged` where its record cannot be decoded.
    pub fn object(&self, id: &ObjectId) -> Result<Option<ObjectRecord>> {
        let Some(offset) = self.shared().index.query(|index| index.objects.offset(id))? else { return Ok(None) };
        let found = job_files::objects_at(&self.shared().folder, id.job, &[offset])?;
        Ok(found.into_iter().next().filter(|o| o.id == *id))
    }

    /// The objects of a job with these ids, without those that do not exist; opens the log once.
    ///
    /// # Errors
    /// As [`Archive::object`].
    pub fn objects_of(&self, job: JobId, ids: &[ObjectId]) -> Result<Vec<ObjectRecord>> {
        let offsets = self.shared().index.query(|index| {
            ids.iter().filter_map(|id| index.objects.offset(id).transpose()).collect::<Result<Vec<_>>>()
        })?;
        job_files::objects_at(&self.shared().folder, job, &offsets)
    }

    /// A page of the deliveries of a video's job, in the order in which their objects were created.
    ///
    /// # Errors
    /// `BadCursor` for a cursor of another list.
    pub fn deliveries(&self, id: VideoId, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        let wanted = |item: &Result<(Vec<u8>, Delivery)>| {
            item.as_ref().map_or(true, |(_, d)| query.states.is_empty() || query.states.contains(&d.state))
        };
        self.shared().index.query(|index| {
            let forwards = |from: Option<&[u8]>| index.deliveries.walk(id, from, None).filter(wanted);
            let backwards = |to: Option<&[u8]>| index.deliveries.walk(id, None, to).rev().filter(wanted);
            page(*b"dl", query.cursor.as_ref(), query.limit, forwards, backwards)
        })
    }

    /// The delivery of an object; `None` where there is no such object, or no router.
    pub fn delivery(&self, id: &ObjectId) -> Result<Option<Delivery>> {
        self.shared().index.query(|index| index.delivery(id))
    }

    /// Objects whose delivery is not final, of one video or of all, with their numbers within their
    /// jobs; ordered by video and number.
    pub fn undelivered(&self, video: Option<VideoId>) -> Result<Vec<(ObjectId, u32)>> {
        let numbered = |item: Result<(Vec<u8>, ObjectId)>| item.and_then(|(key, id)| Ok((id, number_of(&key)?)));
        self.shared().index.query(|index| index.deliveries.pending(video).map(numbered).collect())
    }

    /// The number of an object within its job, from 0; `None` where there is no such object.
    pub fn number(&self, id: &ObjectId) -> Result<Option<u32>> {
        self.shared().index.query(|index| index.objects.key(id)?.map(|key| number_of(&key)).transpose())
    }

    /// Counts of the deliveries of a video's job, by object type; `None` where there are none.
    pub fn tally(&self, id: VideoId) -> Result<Option<BTreeMap<ObjectType, Counts>>> {
        self.shared().index.query(|index| index.deliveries.tally(id))
    }
}

/// The ids of a page of videos.
fn list_ids(index: &Index, query: &ListQuery) -> Result<Page<VideoId>> {
    let ListQuery { filter, order, limit, cursor } = query;
    let list = [order.key as u8, if order.descending { b'd' } else { b'a' }];
    let matcher = Matcher::new(filter);
    if let Some(ids) = &filter.id_in {
        let mut found = BTreeMap::new();
        for id in ids {
            if let Some(summary) = index.videos.summary(*id)?.filter(|s| matcher.matches(s)) {
                found.insert(summary.key(order.key, *id), *id);
            }
        }
        let item = |(k, id): (&Vec<u8>, &VideoId)| Ok((k.clone(), *id));
        let forwards = |from: Option<&[u8]>| found.range::<[u8], _>(bounds(from, None)).map(item).collect::<Vec<_>>();
        let backwards =
            |to: Option<&[u8]>| found.range::<[u8], _>(bounds(None, to)).rev().map(item).collect::<Vec<_>>();
        return if order.descending {
            page(list, cursor.as_ref(), *limit, |k| backwards(k).into_iter(), |k| forwards(k).into_iter())
        } else {
            page(list, cursor.as_ref(), *limit, |k| forwards(k).into_iter(), |k| backwards(k).into_iter())
        };
    }
    let range = (order.key == OrderKey::CreatedDate).then(|| matcher.created_range());
    let (low, high) = range.unwrap_or_default();
    let matching = |item: Result<(Vec<u8>, VideoId)>| match item {
        Ok((key, id)) => match index.videos.summary(id) {
            Ok(Some(summary)) if matcher.matches(&summary) => Some(Ok((key, id))),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        },
        Err(e) => Some(Err(e)),
    };
    let later = |a: Option<&[u8]>, b: &Option<Vec<u8>>| a.map(<[u8]>::to_vec).max(b.clone());
    let sooner = |a: Option<&[u8]>, b: &Option<Vec<u8>>| match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b).to_vec()),
        (a, b) => a.map(<[u8]>::to_vec).or_else(|| b.clone()),
    };
    let forwards = |from: Option<&[u8]>| {
        index.videos.walk(order.key, later(from, &low).as_deref(), high.as_deref()).filter_map(matching)
    };
    let backwards = |to: Option<&[u8]>| {
        index.videos.walk(order.key, low.as_deref(), sooner(to, &high).as_deref()).rev().filter_map(matching)
    };
    if order.descending {
        page(list, cursor.as_ref(), *limit, backwards, forwards)
    } else {
        page(list, cursor.as_ref(), *limit, forwards, backwards)
    }
}

fn count(index: &Index, filter: &VideoFilter) -> Result<u64> {
    if Matcher::new(filter).matches_all() {
        return index.videos.len();
    }
    let mut count = 0;
    each_match(index, filter, |_| count += 1)?;
    Ok(count)
}

fn each_match(index: &Index, filter: &VideoFilter, mut found: impl FnMut(VideoId)) -> Result<()> {
    let matcher = Matcher::new(filter);
    let mut look_at = |id: VideoId| -> Result<()> {
        if index.videos.summary(id)?.is_some_and(|s| matcher.matches(&s)) {
            found(id);
        }
        Ok(())
    };
    if let Some(ids) = &filter.id_in {
        let ids: BTreeSet<_> = ids.iter().collect();
        return ids.into_iter().try_for_each(|id| look_at(*id));
    }
    let (low, high) = matcher.created_range();
    let mut dates = index.videos.walk(OrderKey::CreatedDate, low.as_deref(), high.as_deref());
    dates.try_for_each(|item| look_at(item?.1))
}

fn bounds<'a>(from: Option<&'a [u8]>, to: Option<&'a [u8]>) -> (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>) {
    use std::ops::Bound::{Excluded, Unbounded};
    (from.map_or(Unbounded, Excluded), to.map_or(Unbounded, Excluded))
}

/// A filter, prepared once for all videos.
struct Matcher<'a> {
    filter: &'a VideoFilter,
    name: Option<String>,
}

impl<'a> Matcher<'a> {
    fn new(filter: &'a VideoFilter) -> Self {
        Self { filter, name: filter.name_contains.as_deref().map(str::to_lowercase) }
    }

    /// Whether every video matches.
    fn matches_all(&self) -> bool {
        let f = self.filter;
        f.camera_groups.is_none()
            && f.case_in.is_none()
            && f.id_in.is_none()
            && f.status_in.is_none()
            && f.has_router.is_none()
            && self.name.is_none()
            && f.created.is_empty()
            && f.created_within.is_empty()
    }

    fn matches(&self, s: &Summary) -> bool {
        let f = self.filter;
        let created = s.created();
        f.camera_groups.as_ref().is_none_or(|g| g.contains(&s.camera_group))
            && f.status_in.as_ref().is_none_or(|statuses| statuses.contains(&s.status))
            && f.case_in.as_ref().is_none_or(|c| c.contains(&s.case))
            && f.has_router.is_none_or(|wanted| wanted == s.has_router)
            && self.name.as_ref().is_none_or(|n| s.name.as_ref().is_some_and(|name| name.contains(n.as_str())))
            && f.created.iter().all(|c| c.holds(created))
            && (f.created_within.is_empty() || f.created_within.iter().any(|r| r.contains(&created)))
    }

    /// Keys between which all matches lie in the ordering by creation date.
    fn created_range(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let earliest = self.filter.created.iter().filter_map(|c| match c {
            Condition::After(t) | Condition::From(t) => Some(*t),
            Condition::Before(_) | Condition::To(_) => None,
        });
        let latest = self.filter.created.iter().filter_map(|c| match c {
            Condition::Before(t) | Condition::To(t) => Some(*t),
            Condition::After(_) | Condition::From(_) => None,
        });
        let within: &[Range<Timestamp>] = &self.filter.created_within;
        let low = earliest.max().max(within.iter().map(|r| r.start).min());
        let high = latest.min().into_iter().chain(within.iter().map(|r| r.end).max()).min();
        let microsecond =
            |t: Timestamp, by: i64| Timestamp::from_microsecond(t.as_microsecond().saturating_add(by)).unwrap_or(t);
        (low.map(created_key), high.map(|t| created_key(microsecond(t, 1))))
    }
}
