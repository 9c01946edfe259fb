//! Objects of a job's folder, to be read: their records, pictures, deliveries, looks and
//! identities. Read by anyone.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    codec::{FileDigest, decode, parse, unseal, unseal_value},
    delivery::Delivery,
    error::{At, Result},
    folder::Folder,
    log::{Kind, LogReader},
};

/// The logs that every job has from its beginning.
pub(crate) const LOGS: [(&str, Kind); 3] =
    [("objects.log", Kind::Objects), ("deliveries.log", Kind::Deliveries), ("embeddings.log", Kind::Embeddings)];
pub(crate) const DETECTIONS: &str = "detections.log";
pub(crate) const CLUSTERS: &str = "clusters.json";
pub(crate) const JOB_SPEC: &str = "plan.json";
/// The key of a spec that says where its objects are posted to.
pub(crate) const ROUTER_URL: &str = "router_url";

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

/// A record of `objects.log`.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredObject {
    #[serde(flatten)]
    pub record: ObjectRecord,
    /// By the names of their files; none in what release 0.1 wrote.
    #[serde(default)]
    pub pictures: BTreeMap<String, FileDigest>,
}

impl StoredObject {
    /// The object as its log has it, and its pictures with the files that they go to.
    pub(crate) fn of<'a>(folder: &Folder, object: &'a NewObject) -> (Self, Vec<(PathBuf, &'a [u8])>) {
        let file = |(picture, bytes): &'a (Picture, Vec<u8>)| {
            let format = if bytes.starts_with(PNG_MAGIC) { PNG } else { JPEG };
            (picture_path(folder, &object.record.id, *picture, format), bytes.as_slice())
        };
        let files: Vec<_> = object.pictures.iter().map(file).collect();
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let pictures = files.iter().map(|(path, bytes)| (name(path), FileDigest::of(bytes))).collect();
        (Self { record: object.record.clone(), pictures }, files)
    }
}

/// What every PNG begins with.
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A kind of picture: the extension of its files, and its media type.
type Format = (&'static str, &'static str);
const JPEG: Format = ("jpg", "image/jpeg");
const PNG: Format = ("png", "image/png");

pub(crate) fn pictures_folder(folder: &Folder, job: JobId) -> PathBuf {
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

/// Reads objects by the offsets of their records; what cannot be read is left out.
pub(crate) fn read_objects(folder: &Folder, job: JobId, offsets: &[u64]) -> Result<Vec<ObjectRecord>> {
    let path = folder.job(job).join("objects.log");
    let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(Vec::new()) };
    let mut objects = Vec::with_capacity(offsets.len());
    for offset in offsets {
        log.seek(*offset)?;
        if let Some(payload) = log.record_here()? {
            objects.push(parse(&path, &payload)?);
        }
    }
    Ok(objects)
}

/// The identities among a job's objects; `None` before its end.
pub(crate) fn read_clusters(folder: &Folder, job: JobId) -> Result<Option<Vec<Cluster>>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        Sealed {
            clusters: Vec<Cluster>,
        },
        /// As release 0.1 wrote it.
        List(Vec<Cluster>),
    }
    let path = folder.job(job).join(CLUSTERS);
    match fs::read(&path) {
        Ok(bytes) => match unseal(&path, &bytes)? {
            File::Sealed { clusters } | File::List(clusters) => Ok(Some(clusters)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}

/// What a job's objects look like.
pub(crate) fn embeddings(folder: &Folder, job: JobId) -> Result<impl Iterator<Item = Result<Embedding>> + use<>> {
    let path = folder.job(job).join("embeddings.log");
    let mut log = LogReader::open(&path, Kind::Embeddings)?;
    let payloads = std::iter::from_fn(move || log.as_mut()?.next_record().transpose());
    Ok(payloads.map(move |payload| decode(&path, &payload?)))
}

/// The last line of each delivery that has one.
pub(crate) fn last_deliveries(folder: &Folder, job: JobId) -> Result<HashMap<ObjectId, Delivery>> {
    let path = folder.job(job).join("deliveries.log");
    let Some(mut log) = LogReader::open(&path, Kind::Deliveries)? else { return Ok(HashMap::new()) };
    std::iter::from_fn(|| log.next_record().transpose())
        .map(|payload| {
            let delivery: Delivery = parse(&path, &payload?)?;
            Ok((delivery.object.clone(), delivery))
        })
        .collect()
}

pub(crate) fn read_spec(folder: &Folder, job: JobId) -> Result<Value> {
    let path = folder.job(job).join(JOB_SPEC);
    unseal_value(&path, &fs::read(&path).at(&path)?)
}

/// Whether every object of a job is to be delivered.
pub(crate) fn has_router(spec: &Value) -> bool {
    spec.get(ROUTER_URL).is_some_and(Value::is_string)
}
