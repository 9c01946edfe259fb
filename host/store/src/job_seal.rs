//! Seal of a finished job: `seal.json` with the digests of its files.

use std::{collections::BTreeMap, fs, io::ErrorKind};

use ocellus_core::JobId;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{FileDigest, decode_file, encode_file},
    error::{At, Result},
    folder::Folder,
    job_files::{CLUSTERS, DETECTIONS, EMBEDDINGS, OBJECTS, SPEC},
};

pub(crate) const NAME: &str = "seal.json";
/// Files that do not change once a job is finished. Its deliveries continue.
const FILES: [&str; 4] = [DETECTIONS, OBJECTS, EMBEDDINGS, CLUSTERS];

#[derive(Serialize, Deserialize)]
struct Seal {
    files: BTreeMap<String, FileDigest>,
}

/// Seals a job: records the digests of those of its files that exist.
pub(crate) fn write(folder: &Folder, job: JobId) -> Result<()> {
    let dir = folder.job(job);
    let existing = FILES.iter().filter(|name| dir.join(name).exists());
    let files =
        existing.map(|name| Ok(((*name).to_owned(), FileDigest::of_file(&dir.join(name))?))).collect::<Result<_>>()?;
    folder.disk().replace(&dir.join(NAME), &encode_file(&Seal { files }))
}

/// The digests of a finished job's files by name; `None` where it has no seal.
pub(crate) fn read(folder: &Folder, job: JobId) -> Result<Option<BTreeMap<String, FileDigest>>> {
    let path = folder.job(job).join(NAME);
    match fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        bytes => decode_file::<Seal>(&path, &bytes.at(&path)?).map(|seal| Some(seal.files)),
    }
}

/// Whether a job was begun by release 0.1, which wrote no seals and no format.
pub(crate) fn is_older(folder: &Folder, job: JobId) -> bool {
    #[derive(Deserialize)]
    struct Head {
        format: Option<u32>,
    }
    let spec = fs::read(folder.job(job).join(SPEC)).ok();
    spec.and_then(|bytes| serde_json::from_slice::<Head>(&bytes).ok()).is_some_and(|head| head.format.is_none())
}
