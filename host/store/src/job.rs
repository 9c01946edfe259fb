//! Open job of a video: the writers of its logs, its spec, its pictures.
//!
//! Guarantees: all clones of a job share the writers of its logs, except that of the detection log,
//! which the pipeline opens once for each run. Objects are numbered from 0 in the order in which
//! they were appended. Closed with its last clone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Weak},
};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord, ObjectType, TrackId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tracing::error;

use crate::{
    codec::{encode, encode_extended, encode_file, parse, to_json},
    corrections::{Change, Corrected},
    delivery::Delivery,
    detections::{DetectionReader, DetectionWriter, LogHeader, ResumePoint},
    error::Result,
    job_files::{self, CLUSTERS, DELIVERIES, DETECTIONS, EMBEDDINGS, OBJECTS, ROUTER_URL, SPEC, TRACKS},
    job_seal,
    log::{Kind, LogWriter},
    objects::{Embedding, NewObject, StoredObject, pictures_folder},
    observer::Written,
    recovery,
    shared::Shared,
    tracks::TrackWriter,
};

/// A video's current job, open for writing. Cheap to clone.
#[derive(Clone)]
pub struct Job(Arc<Inner>);

pub(crate) type WeakJob = Weak<Inner>;

pub(crate) struct Inner {
    archive: Arc<Shared>,
    id: JobId,
    /// Whether its objects are delivered.
    has_router: bool,
    objects: Mutex<Objects>,
    deliveries: Mutex<LogWriter>,
    embeddings: Mutex<LogWriter>,
}

struct Objects {
    log: LogWriter,
    /// The objects in the log, with their numbers.
    numbers: HashMap<ObjectId, u32>,
}

impl Job {
    /// The caller holds the lock of its video. Rebuilds the index of the job where a log was
    /// damaged.
    pub(crate) fn open(archive: &Arc<Shared>, id: JobId) -> Result<Self> {
        let (folder, disk) = (&archive.folder, archive.folder.disk());
        let has_router = job_files::has_router(&job_files::spec(folder, id)?);
        disk.create_folders(&pictures_folder(folder, id))?;
        let file = |name: &str| folder.job(id).join(name);
        let path = file(OBJECTS);
        let (log, numbers) = LogWriter::open(disk, &path, Kind::Objects, |numbers: &mut HashMap<_, _>, _, payload| {
            let object: ObjectRecord = parse(&path, payload)?;
            let number = numbers.len() as u32;
            numbers.insert(object.id, number);
            Ok(())
        })?;
        let open =
            |name: &str, kind| LogWriter::open::<()>(disk, &file(name), kind, |(), _, _| Ok(())).map(|(log, ())| log);
        let (deliveries, embeddings) = (open(DELIVERIES, Kind::Deliveries)?, open(EMBEDDINGS, Kind::Embeddings)?);

        let damaged: Vec<_> = [&log, &deliveries, &embeddings].into_iter().filter_map(LogWriter::set_aside).collect();
        for aside in &damaged {
            error!(
                job = %id,
                "a log of job {id} was damaged: it continues with the records that can be read; {} is the file as it was",
                aside.display()
            );
        }
        if !damaged.is_empty() {
            // The offsets of records have changed, and some records are gone.
            archive.index.change(|index| {
                index.clear_objects(id.video)?;
                recovery::index_job(folder, index, id)
            })?;
        }
        Ok(Self(Arc::new(Inner {
            archive: Arc::clone(archive),
            id,
            has_router,
            objects: Mutex::new(Objects { log, numbers }),
            deliveries: Mutex::new(deliveries),
            embeddings: Mutex::new(embeddings),
        })))
    }

    pub(crate) fn downgrade(&self) -> WeakJob {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(job: &WeakJob) -> Option<Self> {
        job.upgrade().map(Self)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.archive.folder.job(self.0.id).join(name)
    }

    /// Its video, and its number among the video's jobs, from 1.
    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// The job spec, by which the job runs.
    ///
    /// # Errors
    /// `Damaged` where the spec cannot be read.
    pub fn spec(&self) -> Result<Value> {
        job_files::spec(&self.0.archive.folder, self.0.id)
    }

    /// Begins the detection log, in place of an existing one.
    ///
    /// # Errors
    /// `Io`, also where the disk is full.
    pub fn begin_detections(&self, header: &LogHeader) -> Result<DetectionWriter> {
        DetectionWriter::begin(self.0.archive.folder.disk(), self.file(DETECTIONS), header)
    }

    /// Opens the detection log to continue it; `None` before it was begun.
    ///
    /// # Errors
    /// `Damaged` where a record cannot be decoded, `Newer` where a later release wrote it.
    pub fn resume_detections(&self) -> Result<Option<(DetectionWriter, ResumePoint)>> {
        DetectionWriter::resume(self.0.archive.folder.disk(), self.file(DETECTIONS))
    }

    /// The records of the detection log; `None` before it was begun.
    ///
    /// # Errors
    /// As [`DetectionReader::open`].
    pub fn detections(&self) -> Result<Option<DetectionReader>> {
        DetectionReader::open(self.file(DETECTIONS))
    }

    /// Begins the file of tracks, in place of an existing one.
    ///
    /// # Errors
    /// `Io`, also where the disk is full.
    pub fn begin_tracks(&self) -> Result<TrackWriter> {
        TrackWriter::begin(self.0.archive.folder.disk(), self.file(TRACKS))
    }

    /// Removes the file of tracks, which can be rebuilt once the job is over.
    ///
    /// # Errors
    /// `Io`.
    pub fn remove_tracks(&self) -> Result<()> {
        self.0.archive.folder.disk().remove(&self.file(TRACKS))
    }

    /// The objects in the archive, in order of creation, read one at a time.
    ///
    /// # Errors
    /// `Newer` where a later release wrote the log; an item is `Damaged` where it cannot be
    /// decoded.
    pub fn objects(&self) -> Result<impl Iterator<Item = Result<ObjectRecord>> + use<>> {
        let objects = job_files::objects(&self.0.archive.folder, self.0.id)?;
        Ok(objects.map(|object| object.map(|(_, object)| object)))
    }

    /// Adds objects to the archive, durably: their pictures, then their records. Many objects take
    /// no more fsyncs than one. Returns the new ones with their numbers; one that is already there
    /// is left unchanged.
    ///
    /// # Errors
    /// `Io`, also where the disk is full: then none of them is there, and they can be appended
    /// again.
    pub fn append_objects<'a>(&self, objects: &'a [NewObject]) -> Result<Vec<(&'a ObjectId, u32)>> {
        let mut kept = self.0.objects.lock();
        let mut seen = HashSet::new();
        let new: Vec<_> =
            objects.iter().filter(|o| !kept.numbers.contains_key(&o.record.id) && seen.insert(&o.record.id)).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let folder = &self.0.archive.folder;
        let (stored, files): (Vec<_>, Vec<_>) = new.iter().map(|object| StoredObject::of(folder, object)).unzip();
        folder.disk().write(&pictures_folder(folder, self.0.id), files.into_iter().flatten())?;
        let index = &self.0.archive.index;
        let logged = stored.iter().map(|object| kept.log.append(&to_json(object))).collect::<Result<Vec<_>>>();
        // After this failure and a crash, some may be found in the log: none was acknowledged.
        let offsets =
            logged.and_then(|offsets| kept.log.sync().map(|()| offsets)).inspect_err(|_| index.mark_dirty())?;
        // Numbered before anything else can fail: they are in the log.
        let mut numbered = Vec::with_capacity(new.len());
        for (object, offset) in new.iter().zip(offsets) {
            let number = kept.numbers.len() as u32;
            kept.numbers.insert(object.record.id.clone(), number);
            numbered.push((&object.record.id, number, offset));
        }
        index.change(|index| {
            numbered.iter().try_for_each(|(id, number, offset)| {
                let delivery = self.0.has_router.then(|| Delivery::pending((*id).clone()));
                index.put_object(id, *number, *offset, delivery.as_ref())
            })
        })?;
        new.iter().for_each(|object| self.0.archive.observer.tell(Written::Object(&object.record)));
        Ok(numbered.into_iter().map(|(id, number, _)| (id, number)).collect())
    }

    /// How many objects there are in the archive, by type.
    pub fn counts(&self) -> BTreeMap<ObjectType, u64> {
        let mut counts = BTreeMap::new();
        self.0.objects.lock().numbers.keys().for_each(|id| *counts.entry(id.object_type.clone()).or_default() += 1);
        counts
    }

    /// By object type, the highest track number of an object.
    pub fn highest_tracks(&self) -> BTreeMap<ObjectType, TrackId> {
        let mut highest = BTreeMap::new();
        for id in self.0.objects.lock().numbers.keys() {
            let track: &mut TrackId = highest.entry(id.object_type.clone()).or_insert(id.track);
            *track = id.track.max(*track);
        }
        highest
    }

    /// Whether an object is in the archive.
    pub fn has_object(&self, object: &ObjectId) -> bool {
        self.0.objects.lock().numbers.contains_key(object)
    }

    /// Stores embeddings, durably. A search finds an embedding only once its object exists: append
    /// embeddings before their objects.
    ///
    /// # Errors
    /// `Io`, also where the disk is full.
    pub fn append_embeddings(&self, embeddings: &[Embedding]) -> Result<()> {
        let path = self.file(EMBEDDINGS);
        let mut log = self.0.embeddings.lock();
        embeddings.iter().try_for_each(|embedding| {
            let record = match embedding.spread {
                0.0 => encode(&path, embedding),
                spread => encode_extended(&path, embedding, &spread),
            };
            log.append(&record?).map(|_| ())
        })?;
        log.sync()?;
        self.0
            .archive
            .index
            .change(|index| embeddings.iter().try_for_each(|embedding| index.objects.put_embedding(embedding)))
    }

    /// Stores the identities among the objects, durably, in place of earlier ones, and applies the
    /// video's corrections to them. Does nothing if the job is no longer its video's current one.
    ///
    /// # Errors
    /// `Io`, also where the disk is full; `Damaged` where the video's record cannot be read.
    pub fn save_clusters(&self, clusters: &[Cluster]) -> Result<()> {
        let archive = &self.0.archive;
        archive.if_current(self.0.id, || {
            archive.folder.disk().replace(&self.file(CLUSTERS), &encode_file(&json!({ "clusters": clusters })))?;
            let corrections = archive.readable_corrections(self.0.id.video);
            let corrected = Corrected::new(clusters.to_vec(), &corrections.made);
            archive.index.change(|index| index.objects.put_identities(self.0.id.video, &corrected.groups))
        })
    }

    /// Has the corrections of the video speak of objects of this job, durably: `refit` returns the
    /// same change with other objects, or with those that it had where none of this job is meant.
    /// Does nothing once the job is not its video's current one, nor where the corrections cannot
    /// be read, which is logged.
    ///
    /// # Errors
    /// `Io`, also of a full disk.
    pub fn refit_corrections(&self, refit: impl Fn(&Change) -> Change) -> Result<()> {
        let archive = &self.0.archive;
        archive.if_current(self.0.id, || {
            let mut corrections = archive.readable_corrections(self.0.id.video);
            if corrections.made.is_empty() {
                return Ok(());
            }
            corrections.made.iter_mut().for_each(|correction| correction.change = refit(&correction.change));
            archive.write_corrections(self.0.id, &corrections)
        })
    }

    /// Records the state of a delivery, durably. Does nothing if the job is no longer its video's
    /// current one, or the object is not in the archive.
    ///
    /// # Errors
    /// `Io`, also where the disk is full; `Damaged` where the video's record cannot be read.
    pub fn record_delivery(&self, delivery: &Delivery) -> Result<()> {
        self.0.archive.if_current(self.0.id, || {
            let Some(number) = self.0.objects.lock().numbers.get(&delivery.object).copied() else { return Ok(()) };
            let mut log = self.0.deliveries.lock();
            log.append(&to_json(delivery))?;
            log.sync()?;
            self.0.archive.index.change(|index| index.deliveries.put(number, delivery))?;
            self.0.archive.observer.tell(Written::Delivery(delivery));
            Ok(())
        })
    }

    /// Changes the router of a job that has one: deliveries that are not final go to `url`. Does
    /// nothing if the job is no longer its video's current one.
    ///
    /// # Errors
    /// `Io`, also where the disk is full; `Damaged` where the spec or the video's record cannot be
    /// read.
    pub fn set_router(&self, url: &str) -> Result<()> {
        let archive = &self.0.archive;
        archive.if_current(self.0.id, || {
            let mut spec = self.spec()?;
            let folder = &archive.folder;
            // A job with a spec of release 0.1 need not have a seal. The spec that is written below
            // is of this release: seal the job first.
            if job_seal::read(folder, self.0.id)?.is_none() && folder.read(self.0.id.video)?.is_some_and(|v| v.finished)
            {
                job_seal::write(folder, self.0.id)?;
            }
            if let Some(spec) = spec.as_object_mut() {
                spec.insert(ROUTER_URL.into(), url.into());
            }
            archive.folder.disk().replace(&self.file(SPEC), &encode_file(&spec))
        })
    }
}
