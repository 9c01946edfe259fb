//! `seal.json` of a job that is over: by which its files are known again.

use std::{collections::BTreeMap, fs, io::ErrorKind};

use ocellus_core::JobId;
use serde::{Deserialize, Serialize};

use crate::{
    codec::{FileDigest, seal, unseal},
    error::{At, Result},
    folder::Folder,
    objects::{CLUSTERS, DETECTIONS, JOB_SPEC},
};

pub(crate) const NAME: &str = "seal.json";
/// What a job that is over does not change any more. Its deliveries go on.
const FILES: [&str; 4] = [DETECTIONS, "objects.log", "embeddings.log", CLUSTERS];

#[derive(Serialize, Deserialize)]
struct Seal {
    files: BTreeMap<String, FileDigest>,
}

/// Writes down what a job's files hold, those that there are.
pub(crate) fn write(folder: &Folder, job: JobId) -> Result<()> {
    let dir = folder.job(job);
    let there = FILES.iter().filter(|name| dir.join(name).exists());
    let files =
        there.map(|name| Ok(((*name).to_owned(), FileDigest::of_file(&dir.join(name))?))).collect::<Result<_>>()?;
    folder.disk().replace(&dir.join(NAME), &seal(&Seal { files }))
}

/// The files of a job that is over and what they hold; `None` where that was not written down.
pub(crate) fn read(folder: &Folder, job: JobId) -> Result<Option<BTreeMap<String, FileDigest>>> {
    let path = folder.job(job).join(NAME);
    match fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        bytes => unseal::<Seal>(&path, &bytes.at(&path)?).map(|seal| Some(seal.files)),
    }
}

/// Whether a job was begun by release 0.1, which wrote no seals.
pub(crate) fn is_older(folder: &Folder, job: JobId) -> bool {
    #[derive(Deserialize)]
    struct Head {
        format: Option<u32>,
    }
    let spec = fs::read(folder.job(job).join(JOB_SPEC)).ok();
    spec.and_then(|bytes| serde_json::from_slice::<Head>(&bytes).ok()).is_some_and(|head| head.format.is_none())
}
