//! One job's folder, open: its spec, its logs, its pictures.
//!
//! Owns the writers of the job's logs but that of detections, which `detections` opens: who asks
//! for a job that somebody holds gets the same one. Ends with its last holder.

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
    codec::{encode, parse, seal, to_json},
    delivery::Delivery,
    disk::Disk,
    error::Result,
    job_seal,
    log::{Kind, LogReader, LogWriter},
    objects::{self, CLUSTERS, Embedding, JOB_SPEC, NewObject, ROUTER_URL, StoredObject},
    recovery,
    shared::Shared,
};

/// A job's folder, open. Cheap to clone.
#[derive(Clone)]
pub struct Job(Arc<Inner>);

pub(crate) type WeakJob = Weak<Inner>;

pub(crate) struct Inner {
    archive: Arc<Shared>,
    id: JobId,
    /// The spec names a router, so that every object is a delivery.
    posts: bool,
    objects: Mutex<Objects>,
    deliveries: Mutex<LogWriter>,
    embeddings: Mutex<LogWriter>,
}

struct Objects {
    log: LogWriter,
    /// Those in the log, by their numbers.
    known: HashMap<ObjectId, u32>,
}

impl Job {
    pub(crate) fn open(archive: &Arc<Shared>, id: JobId) -> Result<Self> {
        let (folder, disk) = (&archive.folder, archive.folder.disk());
        let posts = objects::has_router(&objects::read_spec(folder, id)?);
        disk.create_folders(&objects::pictures_folder(folder, id))?;
        let file = |name: &str| folder.job(id).join(name);
        let path = file("objects.log");
        let (log, known) = LogWriter::open(disk, &path, Kind::Objects, |known: &mut HashMap<_, _>, _, payload| {
            let object: ObjectRecord = parse(&path, payload)?;
            let number = known.len() as u32;
            known.insert(object.id, number);
            Ok(())
        })?;
        let open =
            |name: &str, kind| LogWriter::open::<()>(disk, &file(name), kind, |(), _, _| Ok(())).map(|(log, ())| log);
        let (deliveries, embeddings) =
            (open("deliveries.log", Kind::Deliveries)?, open("embeddings.log", Kind::Embeddings)?);

        let damaged: Vec<_> = [&log, &deliveries, &embeddings].into_iter().filter_map(LogWriter::set_aside).collect();
        for aside in &damaged {
            error!(job = %id, "a log of job {id} was damaged: what can be read of it goes on, {} is the file as it was", aside.display());
        }
        if !damaged.is_empty() {
            // Records lie elsewhere, and some are gone.
            archive.index.change(|index| {
                index.clear_objects(id.video)?;
                recovery::index_job(folder, index, id)
            })?;
        }
        let (objects, deliveries, embeddings) =
            (Mutex::new(Objects { log, known }), Mutex::new(deliveries), Mutex::new(embeddings));
        Ok(Self(Arc::new(Inner { archive: Arc::clone(archive), id, posts, objects, deliveries, embeddings })))
    }

    pub(crate) fn downgrade(&self) -> WeakJob {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(job: &WeakJob) -> Option<Self> {
        job.upgrade().map(Self)
    }

    /// What the job runs by.
    pub fn spec(&self) -> Result<Value> {
        objects::read_spec(&self.0.archive.folder, self.0.id)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.archive.folder.job(self.0.id).join(name)
    }

    pub fn id(&self) -> JobId {
        self.0.id
    }

    pub(crate) fn disk(&self) -> &Disk {
        self.0.archive.folder.disk()
    }

    /// The objects in the archive, in the order in which they were made, read one at a time.
    pub fn objects(&self) -> Result<impl Iterator<Item = Result<ObjectRecord>> + use<>> {
        let path = self.file("objects.log");
        let mut log = LogReader::open(&path, Kind::Objects)?;
        let payloads = std::iter::from_fn(move || log.as_mut()?.next_record().transpose());
        Ok(payloads.map(move |payload| parse(&path, &payload?)))
    }

    /// Puts objects into the archive: their pictures, then their records, durably, and with no more
    /// syncs for many than for one. Those that were not there yet, with their numbers: a job's
    /// objects are numbered in the order in which they were made. One that is there already stays
    /// as it is.
    pub fn append_objects<'a>(&self, objects: &'a [NewObject]) -> Result<Vec<(&'a ObjectId, u32)>> {
        let mut kept = self.0.objects.lock();
        let mut seen = HashSet::new();
        let new: Vec<_> =
            objects.iter().filter(|o| !kept.known.contains_key(&o.record.id) && seen.insert(&o.record.id)).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let folder = &self.0.archive.folder;
        let (stored, files): (Vec<_>, Vec<_>) = new.iter().map(|object| StoredObject::of(folder, object)).unzip();
        folder.disk().write(&objects::pictures_folder(folder, self.0.id), files.into_iter().flatten())?;
        let index = &self.0.archive.index;
        let logged = stored.iter().map(|object| kept.log.append(&to_json(object))).collect::<Result<Vec<_>>>();
        // Where it failed, some may be in the log after a crash: then nobody was told of them.
        let offsets =
            logged.and_then(|offsets| kept.log.sync().map(|()| offsets)).inspect_err(|_| index.mark_dirty())?;
        // All of them, before anything else can fail: they are in the log.
        let mut numbered = Vec::with_capacity(new.len());
        for (object, offset) in new.into_iter().zip(offsets) {
            let number = kept.known.len() as u32;
            kept.known.insert(object.record.id.clone(), number);
            numbered.push((&object.record.id, number, offset));
        }
        index.change(|index| {
            numbered.iter().try_for_each(|(id, number, offset)| {
                index.put_object(id, *number, *offset)?;
                if self.0.posts { index.put_delivery(*number, &Delivery::pending((*id).clone())) } else { Ok(()) }
            })
        })?;
        Ok(numbered.into_iter().map(|(id, number, _)| (id, number)).collect())
    }

    /// How many objects there are in the archive, by type.
    pub fn counts(&self) -> BTreeMap<ObjectType, u64> {
        let mut counts = BTreeMap::new();
        self.0.objects.lock().known.keys().for_each(|id| *counts.entry(id.object_type.clone()).or_default() += 1);
        counts
    }

    /// By object type, the greatest number of a track that there is an object of.
    pub fn greatest_tracks(&self) -> BTreeMap<ObjectType, TrackId> {
        let mut greatest = BTreeMap::new();
        for id in self.0.objects.lock().known.keys() {
            let track: &mut TrackId = greatest.entry(id.object_type.clone()).or_insert(id.track);
            *track = id.track.max(*track);
        }
        greatest
    }

    /// Whether an object is in the archive.
    pub fn knows(&self, object: &ObjectId) -> bool {
        self.0.objects.lock().known.contains_key(object)
    }

    /// Keeps what objects look like, durably, before the objects themselves are kept: a row without
    /// an object is none.
    pub fn append_embeddings(&self, embeddings: &[Embedding]) -> Result<()> {
        let path = self.file("embeddings.log");
        let mut log = self.0.embeddings.lock();
        embeddings.iter().try_for_each(|embedding| log.append(&encode(&path, embedding)?).map(|_| ()))?;
        log.sync()?;
        self.0.archive.index.change(|index| embeddings.iter().try_for_each(|embedding| index.put_row(embedding)))
    }

    /// Puts down the identities among the objects, in place of those before.
    pub fn save_clusters(&self, clusters: &[Cluster]) -> Result<()> {
        let archive = &self.0.archive;
        archive.if_current(self.0.id, || {
            archive.folder.disk().replace(&self.file(CLUSTERS), &seal(&json!({ "clusters": clusters })))?;
            archive.index.change(|index| index.put_clusters(clusters))
        })
    }

    /// Writes down how far a delivery has come, durably. Nothing happens once the job is not its
    /// video's any more.
    pub fn record_delivery(&self, delivery: &Delivery) -> Result<()> {
        self.0.archive.if_current(self.0.id, || {
            let Some(number) = self.0.objects.lock().known.get(&delivery.object).copied() else { return Ok(()) };
            let mut log = self.0.deliveries.lock();
            log.append(&to_json(delivery))?;
            log.sync()?;
            self.0.archive.index.change(|index| index.put_delivery(number, delivery))
        })
    }

    /// Lets deliveries go to another router from now on.
    pub fn set_router(&self, url: &str) -> Result<()> {
        let archive = &self.0.archive;
        archive.if_current(self.0.id, || {
            let mut spec = self.spec()?;
            let folder = &archive.folder;
            // By its spec a job of release 0.1 is known to have no seal; from here on it is one of
            // this release.
            if job_seal::read(folder, self.0.id)?.is_none() && folder.read(self.0.id.video)?.is_some_and(|v| v.finished)
            {
                job_seal::write(folder, self.0.id)?;
            }
            if let Some(spec) = spec.as_object_mut() {
                spec.insert(ROUTER_URL.into(), url.into());
            }
            archive.folder.disk().replace(&self.file(JOB_SPEC), &seal(&spec))
        })
    }
}
