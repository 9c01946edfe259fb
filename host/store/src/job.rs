//! One job's folder: its plan, its logs, its pictures.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::PathBuf,
    sync::{Arc, Weak},
};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord, ObjectType, TrackId};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Archive,
    archive::to_json,
    delivery::Delivery,
    durable,
    error::{At, Result, StoreError},
    folder::Folder,
    index::Index,
    log::{Kind, LogReader, LogWriter},
};

/// Which picture of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Picture {
    /// The object, with a margin.
    Thumbnail,
    /// The frame that holds it.
    Fullframe,
    /// The object as networks want to see it.
    Normalized,
    /// The frame in which the track began.
    FirstFrame,
    /// The frame in which the track was last seen.
    LastFrame,
}

impl Picture {
    fn name(self) -> &'static str {
        match self {
            Self::Thumbnail => "thumbnail",
            Self::Fullframe => "fullframe",
            Self::Normalized => "normalized",
            Self::FirstFrame => "first-frame",
            Self::LastFrame => "last-frame",
        }
    }
}

/// A picture in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFile {
    pub path: PathBuf,
    /// `image/jpeg` or `image/png`.
    pub content_type: &'static str,
}

/// An object for the archive.
#[derive(Clone, Debug)]
pub struct NewObject {
    pub record: ObjectRecord,
    /// JPEG or PNG.
    pub pictures: Vec<(Picture, Vec<u8>)>,
}

/// What an object looks like, as numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    pub object: ObjectId,
    /// What made it: only rows of one source can be compared.
    pub source: String,
    pub row: Vec<f32>,
}

/// A job's folder, open. Cheap to clone.
#[derive(Clone)]
pub struct Job(Arc<Inner>);

pub(crate) type WeakJob = Weak<Inner>;

pub(crate) struct Inner {
    archive: Archive,
    id: JobId,
    /// The plan names a router, so that every object is a delivery.
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
    pub(crate) fn open(archive: Archive, id: JobId) -> Result<Self> {
        let folder = archive.folder().job(id);
        fs::create_dir_all(folder.join("pictures")).at(&folder)?;
        let mut known = HashMap::new();
        let path = folder.join("objects.log");
        let log = LogWriter::open(&path, Kind::Objects, |_, payload| {
            let object: ObjectRecord = parse(&path, payload)?;
            let number = known.len() as u32;
            known.insert(object.id, number);
            Ok(())
        })?;
        let deliveries = LogWriter::open(&folder.join("deliveries.log"), Kind::Deliveries, |_, _| Ok(()))?;
        let embeddings = Mutex::new(LogWriter::open(&folder.join(EMBEDDINGS), Kind::Embeddings, |_, _| Ok(()))?);
        let posts = read_plan(archive.folder(), id).is_ok_and(|plan| has_router(&plan));
        let objects = Mutex::new(Objects { log, known });
        Ok(Self(Arc::new(Inner { archive, id, posts, objects, deliveries: Mutex::new(deliveries), embeddings })))
    }

    pub(crate) fn downgrade(&self) -> WeakJob {
        Arc::downgrade(&self.0)
    }

    pub(crate) fn upgrade(job: &WeakJob) -> Option<Self> {
        job.upgrade().map(Self)
    }

    /// What the job runs by.
    pub fn plan(&self) -> Result<Value> {
        read_plan(self.0.archive.folder(), self.0.id)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.archive.folder().job(self.0.id).join(name)
    }

    pub fn id(&self) -> JobId {
        self.0.id
    }

    /// The objects in the archive, in the order in which they were made, read one at a time.
    pub fn objects(&self) -> Result<impl Iterator<Item = Result<ObjectRecord>> + use<>> {
        let path = self.file("objects.log");
        let mut log = LogReader::open(&path, Kind::Objects)?;
        let payloads = std::iter::from_fn(move || log.as_mut()?.next_record().transpose());
        Ok(payloads.map(move |payload| parse(&path, &payload?)))
    }

    /// Puts objects into the archive: their pictures, then their records, durably, and with no more syncs for many than for one.
    /// Those that were not there yet, with their numbers: a job's objects are numbered in the order in which they were made. One
    /// that is there already stays as it is.
    pub fn append_objects<'a>(&self, objects: &'a [NewObject]) -> Result<Vec<(&'a ObjectId, u32)>> {
        let mut kept = self.0.objects.lock();
        let mut seen = HashSet::new();
        let new: Vec<_> = objects.iter().filter(|o| !kept.known.contains_key(&o.record.id) && seen.insert(&o.record.id)).collect();
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let folder = self.0.archive.folder();
        let files = new.iter().flat_map(|object| {
            object.pictures.iter().map(|(picture, bytes)| {
                let format = if bytes.starts_with(PNG_MAGIC) { PNG } else { JPEG };
                (picture_path(folder, &object.record.id, *picture, format), bytes.as_slice())
            })
        });
        durable::write(&pictures_folder(folder, self.0.id), files)?;
        let offsets = new.iter().map(|object| kept.log.append(&to_json(&object.record))).collect::<Result<Vec<_>>>()?;
        kept.log.sync()?;
        let index = self.0.archive.index();
        let index = |(object, offset): (&'a NewObject, u64)| {
            let id = &object.record.id;
            let number = kept.known.len() as u32;
            kept.known.insert(id.clone(), number);
            index.put_object(id, number, offset)?;
            if self.0.posts {
                index.put_delivery(number, &Delivery::pending(id.clone()))?;
            }
            Ok((id, number))
        };
        new.into_iter().zip(offsets).map(index).collect()
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

    /// Keeps what objects look like, durably, before the objects themselves are kept: a row without an object is none.
    pub fn append_embeddings(&self, embeddings: &[Embedding]) -> Result<()> {
        let path = self.file(EMBEDDINGS);
        let mut log = self.0.embeddings.lock();
        for embedding in embeddings {
            let bytes = postcard::to_stdvec(embedding).map_err(|e| StoreError::Damaged { path: path.clone(), reason: e.to_string() })?;
            log.append(&bytes)?;
        }
        log.sync()?;
        embeddings.iter().try_for_each(|embedding| self.0.archive.index().put_row(embedding))
    }

    /// Puts down the individuals among the objects, in place of those before.
    pub fn save_clusters(&self, clusters: &[Cluster]) -> Result<()> {
        self.0.archive.if_current(self.0.id, || {
            durable::replace(&self.file(CLUSTERS), &to_json(&clusters))?;
            self.0.archive.index().put_clusters(clusters)
        })
    }

    /// Writes down how far a delivery has come, durably. Nothing happens once the job is not its video's any more.
    pub fn book(&self, delivery: &Delivery) -> Result<()> {
        self.0.archive.if_current(self.0.id, || {
            let Some(number) = self.0.objects.lock().known.get(&delivery.object).copied() else { return Ok(()) };
            let mut log = self.0.deliveries.lock();
            log.append(&to_json(delivery))?;
            log.sync()?;
            self.0.archive.index().put_delivery(number, delivery)
        })
    }

    /// Lets deliveries go to another router from now on.
    pub fn set_router(&self, url: &str) -> Result<()> {
        self.0.archive.if_current(self.0.id, || {
            let mut plan = self.plan()?;
            if let Some(plan) = plan.as_object_mut() {
                plan.insert(ROUTER_URL.into(), url.into());
            }
            durable::replace(&self.file(PLAN), &to_json(&plan))
        })
    }
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(path: &std::path::Path, bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|e| StoreError::Damaged { path: path.to_path_buf(), reason: e.to_string() })
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(path: &std::path::Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| StoreError::Damaged { path: path.to_path_buf(), reason: e.to_string() })
}

pub(crate) const EMBEDDINGS: &str = "embeddings.log";
const CLUSTERS: &str = "clusters.json";

/// What every PNG begins with.
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A kind of picture: the extension of its files, and its media type.
type Format = (&'static str, &'static str);
const JPEG: Format = ("jpg", "image/jpeg");
const PNG: Format = ("png", "image/png");

fn pictures_folder(folder: &Folder, job: JobId) -> PathBuf {
    folder.job(job).join("pictures")
}

fn picture_path(folder: &Folder, id: &ObjectId, picture: Picture, (extension, _): Format) -> PathBuf {
    pictures_folder(folder, id.job).join(format!("{id}.{}.{extension}", picture.name()))
}

/// A picture, where there is one.
pub(crate) fn find_picture(folder: &Folder, id: &ObjectId, picture: Picture) -> Option<PictureFile> {
    let file = |format: Format| PictureFile { path: picture_path(folder, id, picture, format), content_type: format.1 };
    [JPEG, PNG].into_iter().map(file).find(|file| file.path.exists())
}

/// Reads objects by the offsets of their records.
pub(crate) fn read_objects(folder: &Folder, job: JobId, offsets: &[u64]) -> Result<Vec<ObjectRecord>> {
    let path = folder.job(job).join("objects.log");
    let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(Vec::new()) };
    let mut objects = Vec::with_capacity(offsets.len());
    for offset in offsets {
        log.seek(*offset)?;
        if let Some(payload) = log.next_record()? {
            objects.push(parse(&path, &payload)?);
        }
    }
    Ok(objects)
}

/// The individuals among a job's objects; none before its end.
pub(crate) fn read_clusters(folder: &Folder, job: JobId) -> Result<Vec<Cluster>> {
    let path = folder.job(job).join(CLUSTERS);
    match fs::read(&path) {
        Ok(bytes) => parse(&path, &bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).at(path),
    }
}

/// What a job's objects look like.
pub(crate) fn read_embeddings(folder: &Folder, job: JobId) -> Result<Vec<Embedding>> {
    let path = folder.job(job).join(EMBEDDINGS);
    let Some(mut log) = LogReader::open(&path, Kind::Embeddings)? else { return Ok(Vec::new()) };
    std::iter::from_fn(|| log.next_record().transpose()).map(|payload| decode(&path, &payload?)).collect()
}

/// Puts the objects of a job's log into the index, what they look like, who they are, and their deliveries.
pub(crate) fn index_objects(folder: &Folder, index: &Index, job: JobId) -> Result<()> {
    // What cannot be read is a check's to tell; it keeps no object from being found.
    index.put_clusters(&read_clusters(folder, job).unwrap_or_default())?;
    read_embeddings(folder, job).unwrap_or_default().iter().try_for_each(|embedding| index.put_row(embedding))?;
    let path = folder.job(job).join("objects.log");
    let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(()) };
    let mut deliveries = read_plan(folder, job).is_ok_and(|p| has_router(&p)).then(|| last_deliveries(folder, job)).transpose()?;
    let mut number = 0;
    loop {
        let offset = log.offset();
        let Some(payload) = log.next_record()? else { return Ok(()) };
        let object: ObjectRecord = parse(&path, &payload)?;
        index.put_object(&object.id, number, offset)?;
        if let Some(deliveries) = &mut deliveries {
            let delivery = deliveries.remove(&object.id).unwrap_or_else(|| Delivery::pending(object.id));
            index.put_delivery(number, &delivery)?;
        }
        number += 1;
    }
}

/// The last line of each delivery that has one.
fn last_deliveries(folder: &Folder, job: JobId) -> Result<HashMap<ObjectId, Delivery>> {
    let path = folder.job(job).join("deliveries.log");
    let Some(mut log) = LogReader::open(&path, Kind::Deliveries)? else { return Ok(HashMap::new()) };
    std::iter::from_fn(|| log.next_record().transpose())
        .map(|payload| {
            let delivery: Delivery = parse(&path, &payload?)?;
            Ok((delivery.object.clone(), delivery))
        })
        .collect()
}

const PLAN: &str = "plan.json";
/// The key of a plan that says where its objects are posted to.
const ROUTER_URL: &str = "router_url";

pub(crate) fn read_plan(folder: &Folder, job: JobId) -> Result<Value> {
    let path = folder.job(job).join(PLAN);
    let bytes = fs::read(&path).at(&path)?;
    parse(&path, &bytes)
}

fn has_router(plan: &Value) -> bool {
    plan.get(ROUTER_URL).is_some_and(Value::is_string)
}
