//! Files of a job's folder: their names and readers.
//!
//! Reading needs no lock: it may happen while the job appends.

use std::{collections::HashMap, fs, io::ErrorKind, path::PathBuf};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    codec::{decode_extended, decode_file, decode_file_value, parse},
    delivery::Delivery,
    error::{At, Result},
    folder::Folder,
    log::{Kind, LogReader, records},
    objects::Embedding,
};

/// The job spec. Named so since release 0.1.
pub(crate) const SPEC: &str = "plan.json";
pub(crate) const DETECTIONS: &str = "detections.log";
pub(crate) const OBJECTS: &str = "objects.log";
pub(crate) const DELIVERIES: &str = "deliveries.log";
pub(crate) const EMBEDDINGS: &str = "embeddings.log";
/// Can be rebuilt from the others.
pub(crate) const TRACKS: &str = "tracks.log";
pub(crate) const CLUSTERS: &str = "clusters.json";
/// The logs that every job has from its beginning.
pub(crate) const LOGS: [(&str, Kind); 3] =
    [(OBJECTS, Kind::Objects), (DELIVERIES, Kind::Deliveries), (EMBEDDINGS, Kind::Embeddings)];

/// Key in a spec for the URL that objects are posted to.
pub(crate) const ROUTER_URL: &str = "router_url";

pub(crate) fn spec(folder: &Folder, job: JobId) -> Result<Value> {
    let path = folder.job(job).join(SPEC);
    decode_file_value(&path, &fs::read(&path).at(&path)?)
}

/// Whether every object of a job is to be delivered.
pub(crate) fn has_router(spec: &Value) -> bool {
    spec.get(ROUTER_URL).is_some_and(Value::is_string)
}

/// The objects of a job, each with the offset of its record, in order of creation.
pub(crate) fn objects(
    folder: &Folder,
    job: JobId,
) -> Result<impl Iterator<Item = Result<(u64, ObjectRecord)>> + use<>> {
    let path = folder.job(job).join(OBJECTS);
    Ok(records(&path, Kind::Objects)?.map(move |record| {
        let (offset, payload) = record?;
        Ok((offset, parse(&path, &payload)?))
    }))
}

/// Objects by the offsets of their records; those that cannot be read are left out.
pub(crate) fn objects_at(folder: &Folder, job: JobId, offsets: &[u64]) -> Result<Vec<ObjectRecord>> {
    let Some(mut log) = ObjectReader::open(folder, job)? else { return Ok(Vec::new()) };
    offsets.iter().filter_map(|offset| log.at(*offset).transpose()).collect()
}

/// Reads objects by the offsets of their records.
pub(crate) struct ObjectReader {
    path: PathBuf,
    log: LogReader,
}

impl ObjectReader {
    /// Opens the log of a job; `None` where it has none.
    pub(crate) fn open(folder: &Folder, job: JobId) -> Result<Option<Self>> {
        let path = folder.job(job).join(OBJECTS);
        Ok(LogReader::open(&path, Kind::Objects)?.map(|log| Self { path, log }))
    }

    /// The object at an offset; `None` where there is no whole record.
    pub(crate) fn at(&mut self, offset: u64) -> Result<Option<ObjectRecord>> {
        self.log.seek(offset)?;
        self.log.record_here()?.map(|payload| parse(&self.path, &payload)).transpose()
    }
}

/// The last line of each delivery that has one.
pub(crate) fn last_deliveries(folder: &Folder, job: JobId) -> Result<HashMap<ObjectId, Delivery>> {
    let path = folder.job(job).join(DELIVERIES);
    records(&path, Kind::Deliveries)?
        .map(|record| {
            let delivery: Delivery = parse(&path, &record?.1)?;
            Ok((delivery.object.clone(), delivery))
        })
        .collect()
}

/// The embeddings of a job, in the order in which they were stored.
pub(crate) fn embeddings(folder: &Folder, job: JobId) -> Result<impl Iterator<Item = Result<Embedding>> + use<>> {
    let path = folder.job(job).join(EMBEDDINGS);
    Ok(records(&path, Kind::Embeddings)?.map(move |record| {
        let (embedding, spread): (Embedding, f32) = decode_extended(&path, &record?.1)?;
        Ok(Embedding { spread, ..embedding })
    }))
}

/// The identities among a job's objects; `None` before its end.
pub(crate) fn clusters(folder: &Folder, job: JobId) -> Result<Option<Vec<Cluster>>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum File {
        Checksummed {
            clusters: Vec<Cluster>,
        },
        /// As release 0.1 wrote it.
        List(Vec<Cluster>),
    }
    let path = folder.job(job).join(CLUSTERS);
    match fs::read(&path) {
        Ok(bytes) => match decode_file(&path, &bytes)? {
            File::Checksummed { clusters } | File::List(clusters) => Ok(Some(clusters)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(path),
    }
}
