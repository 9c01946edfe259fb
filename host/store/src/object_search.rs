//! Lists of objects of one, several or all videos, filtered by the objects' records.
//!
//! Videos and types are read from the index. All other conditions are tested on an object's record,
//! which is read from the log of its job: the cost of a page grows with the number of objects
//! between its matches.

use std::collections::BTreeSet;

use ocellus_core::{JobId, ObjectRecord, ObjectType, VideoId};

use crate::{
    archive::Archive,
    error::Result,
    index::Index,
    job_files::ObjectReader,
    query::{Cursor, Page, page},
};

/// Page of the objects of several videos, in the order of videos and, within one, of creation.
#[derive(Clone, Debug)]
pub struct ObjectSearch {
    /// The videos whose objects are listed; `None` for all.
    pub videos: Option<BTreeSet<VideoId>>,
    /// Any of these; empty for all.
    pub types: Vec<ObjectType>,
    /// Whether the last come first.
    pub descending: bool,
    /// The greatest number of items.
    pub limit: usize,
    /// From an earlier page; `None` for the first.
    pub cursor: Option<Cursor>,
}

impl Archive {
    /// A page of the objects for which `wanted` is true. Videos that do not exist have none.
    ///
    /// # Errors
    /// `BadCursor` for a cursor of another list.
    pub fn find_objects(
        &self,
        query: &ObjectSearch,
        wanted: impl Fn(&ObjectRecord) -> bool,
    ) -> Result<Page<ObjectRecord>> {
        // Ascending, it has the order of a video's objects, and accepts the cursors of that list.
        let list = if query.descending { *b"od" } else { *b"ob" };
        self.shared().index.query(|index| {
            let walk = |key: Option<&[u8]>, descending| Walk::new(self, index, query, key, descending, &wanted);
            let after = |key: Option<&[u8]>| walk(key, query.descending);
            page(list, query.cursor.as_ref(), query.limit, after, |key| walk(key, !query.descending))
        })
    }

    /// The number of objects for which `wanted` is true, regardless of limit and cursor.
    pub fn count_objects(&self, query: &ObjectSearch, wanted: impl Fn(&ObjectRecord) -> bool) -> Result<u64> {
        self.shared().index.query(|index| {
            Walk::new(self, index, query, None, false, &wanted).try_fold(0, |count, item| item.map(|_| count + 1))
        })
    }
}

/// Iterator over matching objects from a key on, exclusive, in either direction.
struct Walk<'a> {
    archive: &'a Archive,
    index: &'a Index,
    types: &'a [ObjectType],
    wanted: &'a dyn Fn(&ObjectRecord) -> bool,
    descending: bool,
    from: Option<Vec<u8>>,
    videos: Box<dyn Iterator<Item = Result<VideoId>> + 'a>,
    current: Option<Current<'a>>,
}

/// Key, offset in the log, type.
type Entry = (Vec<u8>, u64, String);

/// The video whose objects are read.
struct Current<'a> {
    entries: Box<dyn Iterator<Item = Result<Entry>> + 'a>,
    log: ObjectReader,
}

impl<'a> Walk<'a> {
    fn new(
        archive: &'a Archive,
        index: &'a Index,
        query: &'a ObjectSearch,
        from: Option<&[u8]>,
        descending: bool,
        wanted: &'a dyn Fn(&ObjectRecord) -> bool,
    ) -> Self {
        let videos = index.objects.videos_from(query.videos.as_ref(), from.and_then(video_of), descending);
        Self {
            archive,
            index,
            types: &query.types,
            wanted,
            descending,
            from: from.map(<[u8]>::to_vec),
            videos,
            current: None,
        }
    }

    /// Opens a video; `None` where it is gone, or has no log.
    fn open(&self, video: VideoId) -> Result<Option<Current<'a>>> {
        let shared = self.archive.shared();
        let Some(record) = shared.readable(video)? else { return Ok(None) };
        let Some(log) = ObjectReader::open(&shared.folder, JobId { video, number: record.job })? else {
            return Ok(None);
        };
        let from = self.from.as_deref().filter(|key| video_of(key) == Some(video));
        let (low, high) = if self.descending { (None, from) } else { (from, None) };
        let entries = self.index.objects.walk(video, low, high);
        let entries: Box<dyn Iterator<Item = _>> =
            if self.descending { Box::new(entries.rev()) } else { Box::new(entries) };
        Ok(Some(Current { entries, log }))
    }

    /// The next match of the current video.
    fn in_current(&mut self) -> Result<Option<(Vec<u8>, ObjectRecord)>> {
        let Some(Current { entries, log }) = &mut self.current else { return Ok(None) };
        for entry in entries {
            let (key, offset, object_type) = entry?;
            if !self.types.is_empty() && self.types.iter().all(|t| t.as_str() != object_type) {
                continue;
            }
            if let Some(object) = log.at(offset)?
                && (self.wanted)(&object)
            {
                return Ok(Some((key, object)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(Vec<u8>, ObjectRecord)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.in_current().transpose() {
                return Some(item);
            }
            match self.videos.next()?.and_then(|video| self.open(video)) {
                Ok(current) => self.current = current,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The video of an object's key.
fn video_of(key: &[u8]) -> Option<VideoId> {
    key.first_chunk().map(|id| VideoId(u64::from_be_bytes(*id)))
}
