//! Videos: making, reading, changing, listing, removing.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, TryLockError},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::{Clock, Counts, JobId, ObjectId, ObjectRecord, ObjectType, Timestamp, VideoId, VideoRecord, VideoStatus};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tracing::info;

use crate::{
    delivery::Delivery,
    durable,
    error::{At, Result, StoreError},
    folder::Folder,
    index::{Index, Summary, number_of},
    job::{self, Job, Picture, PictureFile, WeakJob},
    list::{Condition, DeliveryQuery, ListQuery, ObjectQuery, OrderKey, Page, VideoFilter, page},
    stored::StoredJob,
    upload::{self, Upload},
};

/// A server that was just killed may hold its lock a moment longer.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// The archive. Cheap to clone; all clones are one archive, which closes with the last of them.
#[derive(Clone)]
pub struct Archive(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) folder: Folder,
    pub(crate) index: Index,
    clock: Arc<dyn Clock>,
    next_id: Mutex<u64>,
    /// A record is changed by one thread at a time; videos share locks by their ids.
    locks: [Mutex<()>; 64],
    /// A log has one writer: who asks for a job that somebody holds gets the same one.
    jobs: Mutex<HashMap<JobId, WeakJob>>,
    clean: PathBuf,
    /// Held for as long as the archive is open.
    _lock: File,
}

/// What opening found.
#[derive(Clone, Debug)]
pub struct OpenReport {
    pub videos: u64,
    /// Why the index was rebuilt, if it was.
    pub index_rebuilt: Option<String>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Only an index that is known to be whole is marked so; without the mark it is rebuilt.
        if !self.index.is_doubtful() && self.index.flush().is_ok() {
            let _ = File::create(&self.clean).and_then(|f| f.sync_all());
        }
    }
}

pub(crate) fn lock(data: &Path) -> Result<File> {
    let path = data.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_PATIENCE => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(data.to_path_buf())),
            Err(TryLockError::Error(e)) => return Err(e).at(path),
        }
    }
}

/// Sets an index aside under a name that is free.
pub(crate) fn set_aside(index: &Path) -> Result<()> {
    if !index.exists() {
        return Ok(());
    }
    let aside = (1..).map(|n| index.with_file_name(format!("index.broken-{n}"))).find(|p| !p.exists());
    aside.map_or(Ok(()), |aside| fs::rename(index, &aside).at(aside))
}

/// Makes the index say what the folders say; what is damaged is left out and named in the log.
pub(crate) fn rebuild(folder: &Folder, index: &Index) -> Result<()> {
    for id in folder.ids()? {
        match folder.read(id) {
            Ok(Some(record)) => {
                let record = after_crash(folder, record)?;
                index.put(id, Some(&record))?;
                match job::index_objects(folder, index, JobId { video: id, number: record.job }) {
                    Err(error @ StoreError::Damaged { .. }) => tracing::error!(video = %id, "objects of video {id} are left out: {error}"),
                    other => other?,
                }
            }
            Ok(None) => {}
            Err(error @ StoreError::Damaged { .. }) => tracing::error!(video = %id, "video {id} is left out: {error}"),
            Err(error) => return Err(error),
        }
    }
    index.set_current()
}

/// Finishes what a crash cut off in a video's folder; the record that is right then.
fn after_crash(folder: &Folder, mut record: VideoRecord) -> Result<VideoRecord> {
    let id = record.id;
    upload::tidy(&folder.video(id))?;
    let source = folder.source(id);
    match (record.file_size, source.metadata().map(|m| m.len()).ok()) {
        // A deletion, or a first upload that nobody was told of.
        (None, Some(_)) => durable::remove(&source)?,
        // A file that was put in place of another.
        (Some(known), Some(bytes)) if known != bytes => {
            record.file_size = Some(bytes);
            (record.source_len, record.frame_width, record.frame_height) = (None, None, None);
            durable::replace(&folder.record(id), &to_json(&record))?;
        }
        _ => {}
    }
    clear_other_jobs(folder, JobId { video: id, number: record.job })?;
    Ok(record)
}

/// Removes what earlier jobs of a video made, and a later one that its record does not know of.
fn clear_other_jobs(folder: &Folder, current: JobId) -> Result<()> {
    let jobs = folder.jobs(current.video);
    let entries = match fs::read_dir(&jobs) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at(&jobs)?,
    };
    for entry in entries {
        let path = entry.at(&jobs)?.path();
        if path != folder.job(current) {
            durable::remove(&path)?;
        }
    }
    Ok(())
}

impl Archive {
    /// Opens the archive in the folder `data`, which must exist, or begins one there.
    pub fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<(Self, OpenReport)> {
        let lock = lock(data)?;
        let folder = Folder::new(data);
        fs::create_dir_all(folder.archive()).at(folder.archive())?;
        folder.tidy()?;

        let (path, clean) = (data.join("index"), data.join("index.clean"));
        let was_clean = clean.exists();
        durable::remove(&clean)?;
        // Or a power cut would bring the mark back over an index that has changed since.
        durable::sync_folder(data)?;
        let (existed, new) = (path.exists(), folder.ids()?.is_empty());
        let opened = if !existed {
            Err("it was missing".to_owned())
        } else if !was_clean {
            Err("it was not closed in good order".to_owned())
        } else {
            // sled panics on some damage.
            match std::panic::catch_unwind(|| Index::open(&path).and_then(|i| Ok((i.is_current()?, i.highest()?, i)))) {
                Ok(Ok((true, _, index))) => Ok(index),
                Ok(Ok((false, ..))) => Err("it was made by another version".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err("it cannot be read".to_owned()),
            }
        };
        let (index, rebuilt) = match opened {
            Ok(index) => (index, None),
            Err(reason) => {
                if existed && was_clean {
                    set_aside(&path)?;
                } else {
                    durable::remove(&path)?;
                }
                let begun = Instant::now();
                let index = Index::open(&path)?;
                rebuild(&folder, &index)?;
                info!(videos = index.len(), duration_ms = begun.elapsed().as_millis() as u64, "index built from {} videos", index.len());
                (index, (existed || !new).then_some(reason))
            }
        };
        let next_id = index.highest()?.max(folder.last_deleted()?) + 1;
        let report = OpenReport { videos: index.len(), index_rebuilt: rebuilt };
        let locks = std::array::from_fn(|_| Mutex::new(()));
        let inner = Inner { folder, index, clock, next_id: Mutex::new(next_id), locks, jobs: Mutex::default(), clean, _lock: lock };
        Ok((Self(Arc::new(inner)), report))
    }

    fn guard(&self, id: VideoId) -> MutexGuard<'_, ()> {
        let locks = &self.0.locks;
        // The remainder is less than the number of locks.
        #[expect(clippy::indexing_slicing, reason = "the remainder is less than the length")]
        locks[id.0 as usize % locks.len()].lock()
    }

    /// Makes a video from what `make` says for a new id and the time now.
    pub fn create(&self, make: impl FnOnce(VideoId, Timestamp) -> VideoRecord) -> Result<VideoRecord> {
        let id = {
            let mut next = self.0.next_id.lock();
            *next += 1;
            VideoId(*next - 1)
        };
        let record = make(id, self.0.clock.now());
        let folder = &self.0.folder;
        let (new, shard) = (folder.being_made(id), folder.shard(id));
        fs::create_dir_all(&new).at(&new)?;
        durable::replace(&new.join("video.json"), &to_json(&record))?;
        if !shard.exists() {
            fs::create_dir_all(&shard).at(&shard)?;
            durable::sync_folder(folder.archive())?;
        }
        fs::rename(&new, folder.video(id)).at(folder.video(id))?;
        durable::sync_folder(&shard)?;
        self.0.index.put(id, Some(&record))?;
        Ok(record)
    }

    pub fn video(&self, id: VideoId) -> Result<Option<VideoRecord>> {
        self.0.folder.read(id)
    }

    /// Changes a record. Where `change` fails, nothing is changed.
    pub fn update<R>(&self, id: VideoId, change: impl FnOnce(&mut VideoRecord) -> ocellus_core::Result<R>) -> Result<(VideoRecord, R)> {
        let _guard = self.guard(id);
        self.update_guarded(id, change)
    }

    /// With the lock of `id` held.
    fn update_guarded<R>(&self, id: VideoId, change: impl FnOnce(&mut VideoRecord) -> ocellus_core::Result<R>) -> Result<(VideoRecord, R)> {
        let before = self.0.folder.read(id)?.ok_or(StoreError::NoVideo(id))?;
        let mut record = before.clone();
        let result = change(&mut record)?;
        if record.status != VideoStatus::Awaiting {
            record.queued_date = None;
        }
        if record != before {
            durable::replace(&self.0.folder.record(id), &to_json(&record))?;
            self.0.index.put(id, Some(&record))?;
        }
        Ok((record, result))
    }

    /// Removes all that there is of a video; whether there was one.
    pub fn delete(&self, id: VideoId) -> Result<bool> {
        let _guard = self.guard(id);
        let (here, gone) = (self.0.folder.video(id), self.0.folder.being_removed(id));
        if !here.exists() {
            return Ok(false);
        }
        if self.0.folder.last_deleted()? < id.0 {
            self.0.folder.set_last_deleted(id)?;
        }
        fs::rename(&here, &gone).at(&here)?;
        durable::sync_folder(&self.0.folder.shard(id))?;
        self.0.index.put(id, None)?;
        self.0.index.clear_objects(id)?;
        durable::remove(&gone)?;
        Ok(true)
    }

    pub fn list(&self, query: &ListQuery) -> Result<Page<VideoRecord>> {
        let Page { items, next, prev } = self.list_ids(query)?;
        // A video that was deleted meanwhile is not on the page.
        let items = items.into_iter().filter_map(|id| self.video(id).transpose()).collect::<Result<_>>()?;
        Ok(Page { items, next, prev })
    }

    fn list_ids(&self, query: &ListQuery) -> Result<Page<VideoId>> {
        let ListQuery { filter, order, limit, cursor } = query;
        let list = [order.key as u8, if order.descending { b'd' } else { b'a' }];
        let (index, matcher) = (&self.0.index, Matcher::new(filter));
        if let Some(ids) = &filter.id_in {
            let mut found = BTreeMap::new();
            for id in ids {
                if let Some(summary) = index.summary(*id)?.filter(|s| matcher.matches(s)) {
                    found.insert(Index::key(order.key, *id, &summary), *id);
                }
            }
            let item = |(k, id): (&Vec<u8>, &VideoId)| Ok((k.clone(), *id));
            let forwards = |from: Option<&[u8]>| found.range::<[u8], _>(bounds(from, None)).map(item).collect::<Vec<_>>();
            let backwards = |to: Option<&[u8]>| found.range::<[u8], _>(bounds(None, to)).rev().map(item).collect::<Vec<_>>();
            return if order.descending {
                page(list, cursor.as_ref(), *limit, |k| backwards(k).into_iter(), |k| forwards(k).into_iter())
            } else {
                page(list, cursor.as_ref(), *limit, |k| forwards(k).into_iter(), |k| backwards(k).into_iter())
            };
        }
        let range = (order.key == OrderKey::CreatedDate).then(|| matcher.created_range());
        let (low, high) = range.unwrap_or_default();
        let matching = |item: Result<(Vec<u8>, VideoId)>| match item {
            Ok((key, id)) => match index.summary(id) {
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
        let forwards = |from: Option<&[u8]>| index.walk(order.key, later(from, &low).as_deref(), high.as_deref()).filter_map(matching);
        let backwards = |to: Option<&[u8]>| index.walk(order.key, low.as_deref(), sooner(to, &high).as_deref()).rev().filter_map(matching);
        if order.descending {
            page(list, cursor.as_ref(), *limit, backwards, forwards)
        } else {
            page(list, cursor.as_ref(), *limit, forwards, backwards)
        }
    }

    pub fn count(&self, filter: &VideoFilter) -> Result<u64> {
        let (index, matcher) = (&self.0.index, Matcher::new(filter));
        let mut count = 0;
        let mut look = |id: VideoId| -> Result<()> {
            count += u64::from(index.summary(id)?.is_some_and(|s| matcher.matches(&s)));
            Ok(())
        };
        if let Some(ids) = &filter.id_in {
            let ids: std::collections::BTreeSet<_> = ids.iter().collect();
            ids.into_iter().try_for_each(|id| look(*id))?;
        } else if matcher.is_open() {
            return Ok(index.len());
        } else {
            let (low, high) = matcher.created_range();
            index.walk(OrderKey::CreatedDate, low.as_deref(), high.as_deref()).try_for_each(|item| look(item?.1))?;
        }
        Ok(count)
    }

    /// Begins to take a new source for a video.
    pub fn begin_upload(&self, id: VideoId) -> Result<Upload> {
        if self.video(id)?.is_none() {
            return Err(StoreError::NoVideo(id));
        }
        upload::begin(self.clone(), id)
    }

    pub fn source_path(&self, id: VideoId) -> PathBuf {
        self.0.folder.source(id)
    }

    /// Puts a part file in place of the source.
    pub(crate) fn commit_upload(&self, id: VideoId, part: &Path, bytes: u64) -> Result<VideoRecord> {
        let _guard = self.guard(id);
        let source = self.0.folder.source(id);
        if !self.0.folder.video(id).exists() {
            return Err(StoreError::NoVideo(id));
        }
        fs::rename(part, &source).at(&source)?;
        durable::sync_folder(&self.0.folder.video(id))?;
        durable::remove(&self.screenshot_path(id))?;
        let (record, ()) = self.update_guarded(id, |v| {
            v.file_size = Some(bytes);
            (v.source_len, v.frame_width, v.frame_height) = (None, None, None);
            v.error = None;
            v.finished = false;
            if !v.status.is_enabled() {
                v.status = VideoStatus::Disabled;
            }
            Ok(())
        })?;
        Ok(record)
    }

    /// Removes the source file; objects and pictures stay.
    pub fn delete_source(&self, id: VideoId) -> Result<VideoRecord> {
        let _guard = self.guard(id);
        let (record, ()) = self.update_guarded(id, |v| {
            v.file_size = None;
            if v.url.is_none() {
                v.status = VideoStatus::NoSource;
            }
            Ok(())
        })?;
        durable::remove(&self.0.folder.source(id))?;
        Ok(record)
    }

    /// Where the video's picture is kept, if one was made.
    pub fn screenshot_path(&self, id: VideoId) -> PathBuf {
        self.0.folder.video(id).join("screenshot.jpg")
    }

    pub fn save_screenshot(&self, id: VideoId, jpeg: &[u8]) -> Result<()> {
        let _guard = self.guard(id);
        if self.0.folder.video(id).exists() { durable::replace(&self.screenshot_path(id), jpeg) } else { Ok(()) }
    }

    /// Puts a video at the end of the queue; one that waits keeps its place.
    pub fn enqueue(&self, id: VideoId) -> Result<()> {
        let last = self.0.clock.now();
        self.update(id, |v| {
            v.status = VideoStatus::Awaiting;
            v.queued_date.get_or_insert(last);
            Ok(())
        })?;
        Ok(())
    }

    /// The video that has waited longest.
    pub fn next_queued(&self) -> Result<Option<VideoId>> {
        self.0.index.first_queued()
    }

    /// The videos that wait in the queue, in its order, and since when each does.
    pub fn waiting(&self) -> Result<Vec<(Timestamp, VideoId)>> {
        self.0.index.waiting().collect()
    }

    pub fn queued(&self) -> u64 {
        self.0.index.queued()
    }

    /// Videos whose job was under way when the last server ended.
    pub fn unfinished(&self) -> Result<Vec<VideoId>> {
        self.0.index.cut()
    }

    /// Begins a job by `plan`, clears what earlier ones made, and puts the video into the queue.
    pub fn start_job(&self, id: VideoId, plan: &Value) -> Result<Job> {
        let _guard = self.guard(id);
        let before = self.0.folder.read(id)?.ok_or(StoreError::NoVideo(id))?;
        let job = JobId { video: id, number: before.job + 1 };
        let folder = self.0.folder.job(job);
        // A folder that a crash left before the record named it.
        durable::remove(&folder)?;
        fs::create_dir_all(folder.join("pictures")).at(&folder)?;
        durable::replace(&folder.join("plan.json"), &to_json(plan))?;
        durable::sync_folder(&self.0.folder.jobs(id))?;
        durable::sync_folder(&self.0.folder.video(id))?;
        let now = self.0.clock.now();
        self.update_guarded(id, |v| {
            v.job = job.number;
            v.status = VideoStatus::Awaiting;
            v.queued_date = Some(now);
            v.finished = false;
            v.error = None;
            v.processing_start_date = None;
            v.statistic = None;
            v.counts.clear();
            v.clusters.clear();
            Ok(())
        })?;
        self.0.index.clear_objects(id)?;
        clear_other_jobs(&self.0.folder, job)?;
        self.open_job(job)
    }

    /// A video's current job; `None` for any other.
    pub fn job(&self, id: JobId) -> Result<Option<Job>> {
        let current = self.video(id.video)?.is_some_and(|v| v.job == id.number);
        if current && self.0.folder.job(id).is_dir() { self.open_job(id).map(Some) } else { Ok(None) }
    }

    /// The last job of a video, to be read.
    pub fn stored_job(&self, id: VideoId) -> Result<StoredJob> {
        StoredJob::within(self.0.folder.clone(), id)
    }

    fn open_job(&self, id: JobId) -> Result<Job> {
        let mut jobs = self.0.jobs.lock();
        if let Some(job) = jobs.get(&id).and_then(Job::upgrade) {
            return Ok(job);
        }
        let job = Job::open(self.clone(), id)?;
        jobs.retain(|_, job| job.strong_count() > 0);
        jobs.insert(id, job.downgrade());
        Ok(job)
    }

    /// Does something to a job's folder, unless the job is not its video's any more.
    pub(crate) fn if_current(&self, id: JobId, change: impl FnOnce() -> Result<()>) -> Result<()> {
        let _guard = self.guard(id.video);
        if self.video(id.video)?.is_some_and(|v| v.job == id.number) { change() } else { Ok(()) }
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.0.folder
    }

    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }

    /// Objects of a video's job, in the order in which they were made.
    pub fn objects(&self, id: VideoId, query: &ObjectQuery) -> Result<Page<ObjectRecord>> {
        let record = self.video(id)?.ok_or(StoreError::NoVideo(id))?;
        let index = &self.0.index;
        let wanted = |item: Result<(Vec<u8>, u64, String)>| match item {
            Ok((key, offset, t)) => (query.types.is_empty() || query.types.iter().any(|w| w.as_str() == t)).then_some(Ok((key, offset))),
            Err(e) => Some(Err(e)),
        };
        let Page { items, next, prev } = page(
            *b"ob",
            query.cursor.as_ref(),
            query.limit,
            |from| index.walk_objects(id, from, None).filter_map(wanted),
            |to| index.walk_objects(id, None, to).rev().filter_map(wanted),
        )?;
        let items = job::read_objects(&self.0.folder, JobId { video: id, number: record.job }, &items)?;
        Ok(Page { items, next, prev })
    }

    pub fn object(&self, id: &ObjectId) -> Result<Option<ObjectRecord>> {
        let Some(offset) = self.0.index.object(id)? else { return Ok(None) };
        let found = job::read_objects(&self.0.folder, id.job, &[offset])?;
        Ok(found.into_iter().next().filter(|o| o.id == *id))
    }

    /// Deliveries of a video's job, in the order in which their objects were made.
    pub fn deliveries(&self, id: VideoId, query: &DeliveryQuery) -> Result<Page<Delivery>> {
        let index = &self.0.index;
        let wanted = |item: &Result<(Vec<u8>, Delivery)>| {
            item.as_ref().map_or(true, |(_, d)| query.states.is_empty() || query.states.contains(&d.state))
        };
        page(
            *b"dl",
            query.cursor.as_ref(),
            query.limit,
            |from| index.walk_deliveries(id, from, None).filter(wanted),
            |to| index.walk_deliveries(id, None, to).rev().filter(wanted),
        )
    }

    /// How far an object has come; `None` where there is no such object, or no router.
    pub fn delivery(&self, id: &ObjectId) -> Result<Option<Delivery>> {
        let Some(key) = self.0.index.key_of_object(id)? else { return Ok(None) };
        self.0.index.deliveries.get(&key)
    }

    /// Objects that are still to be delivered, of one video or of all, with their numbers, by video and number.
    pub fn undelivered(&self, video: Option<VideoId>) -> impl Iterator<Item = Result<(ObjectId, u32)>> + use<> {
        let beginning = video.map(|v| v.0.to_be_bytes());
        self.0.index.deliveries.pending(beginning.as_ref().map_or(&[], |b| &b[..])).map(|item| {
            let (key, id) = item?;
            Ok((id, number_of(&key)?))
        })
    }

    /// The number of an object among those of its job.
    pub fn number(&self, id: &ObjectId) -> Result<Option<u32>> {
        self.0.index.key_of_object(id)?.map(|key| number_of(&key)).transpose()
    }

    /// What became of the objects of a video's job, by type; `None` where none was to be delivered.
    pub fn tally(&self, id: VideoId) -> Result<Option<BTreeMap<ObjectType, Counts>>> {
        self.0.index.deliveries.tally(id)
    }

    /// An object's picture, where there is one.
    pub fn picture(&self, id: &ObjectId, picture: Picture) -> Result<Option<PictureFile>> {
        Ok(job::find_picture(&self.0.folder, id, picture))
    }

    /// Writes the index out.
    pub fn flush(&self) -> Result<()> {
        self.0.index.flush()
    }
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    // The types that are written have string keys and finite numbers only.
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

fn bounds<'a>(from: Option<&'a [u8]>, to: Option<&'a [u8]>) -> (std::ops::Bound<&'a [u8]>, std::ops::Bound<&'a [u8]>) {
    use std::ops::Bound::{Excluded, Unbounded};
    (from.map_or(Unbounded, Excluded), to.map_or(Unbounded, Excluded))
}

/// A filter made ready.
struct Matcher<'a> {
    filter: &'a VideoFilter,
    name: Option<String>,
}

impl<'a> Matcher<'a> {
    fn new(filter: &'a VideoFilter) -> Self {
        Self { filter, name: filter.name_contains.as_deref().map(str::to_lowercase) }
    }

    /// Everything matches.
    fn is_open(&self) -> bool {
        let f = self.filter;
        f.camera_groups.is_none()
            && f.case_in.is_none()
            && f.id_in.is_none()
            && self.name.is_none()
            && f.created.is_empty()
            && f.created_within.is_empty()
    }

    fn matches(&self, s: &Summary) -> bool {
        let f = self.filter;
        let created = s.created();
        f.camera_groups.as_ref().is_none_or(|g| g.contains(&s.camera_group))
            && f.case_in.as_ref().is_none_or(|c| c.contains(&s.case))
            && self.name.as_ref().is_none_or(|n| s.name.as_ref().is_some_and(|name| name.contains(n.as_str())))
            && f.created.iter().all(|c| c.holds(created))
            && (f.created_within.is_empty() || f.created_within.iter().any(|r| r.contains(&created)))
    }

    /// Keys of the creation-date ordering outside which nothing matches.
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
        let microsecond = |t: Timestamp, by: i64| Timestamp::from_microsecond(t.as_microsecond().saturating_add(by)).unwrap_or(t);
        (low.map(Index::created_key), high.map(|t| Index::created_key(microsecond(t, 1))))
    }
}
