//! All detectors of a folder: one sub-folder each.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{Detector, Device};

/// The detectors that were loaded at start. Cheap to clone.
#[derive(Clone, Default)]
pub struct Detectors {
    detectors: Arc<[Arc<Detector>]>,
    report: Arc<Report>,
}

/// The folder of the detectors, or of the embedders, cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{folder}: no networks can be read; run cargo xtask setup")]
pub struct FolderError {
    folder: String,
    #[source]
    source: io::Error,
}

/// What was loaded and what was not, for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where the networks run.
    pub device: String,
    pub detectors: Vec<Loaded>,
    pub refused: Vec<Refused>,
    pub superseded: Vec<Superseded>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    pub name: String,
    pub version: String,
    pub types: Vec<ObjectType>,
    pub digest: String,
    pub licence: String,
}

/// A folder that is not used; the others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The folder's name.
    pub name: String,
    pub reason: String,
}

/// Two detectors find one object type; the first by the folder's name does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Superseded {
    pub name: String,
    pub object_type: ObjectType,
    pub by: String,
}

impl FolderError {
    pub(crate) fn new(folder: &Path, source: io::Error) -> Self {
        Self { folder: folder.display().to_string(), source }
    }
}

impl Detectors {
    /// Loads every sub-folder of `folder`, in the order of their names. A folder that cannot be used is reported and
    /// does not keep the others from being used.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let mut detectors: Vec<Arc<Detector>> = Vec::new();
        let mut report = Report { device: device.describe().to_owned(), ..Report::default() };
        for (name, path) in sub_folders(folder).map_err(|source| FolderError::new(folder, source))? {
            let taken = |object_type: &ObjectType| {
                let other = detectors.iter().find(|d| d.types().contains(object_type));
                other.map(|other| other.name().to_owned())
            };
            match Detector::load(&path, &taken, device) {
                Ok((detector, _)) if detectors.iter().any(|d| d.name() == detector.name()) => {
                    refuse(&mut report, name, &format!("another folder holds a detector named {}", detector.name()));
                }
                Ok((detector, superseded)) => {
                    for (object_type, by) in superseded {
                        tracing::warn!(detector = detector.name(), object_type = object_type.as_str(), by, "another detector finds this");
                        report.superseded.push(Superseded { name: detector.name().to_owned(), object_type, by });
                    }
                    report.detectors.push(Loaded {
                        name: detector.name().to_owned(),
                        version: detector.version().to_owned(),
                        types: detector.types().to_vec(),
                        digest: detector.digest().to_owned(),
                        licence: detector.licence().to_owned(),
                    });
                    detectors.push(Arc::new(detector));
                }
                Err(error) => refuse(&mut report, name, &error.to_string()),
            }
        }
        Ok(Self { detectors: detectors.into(), report: Arc::new(report) })
    }

    /// What can be found, in the order that the API lists it.
    pub fn types(&self) -> Vec<ObjectType> {
        let mut types: Vec<_> = self.detectors.iter().flat_map(|d| d.types()).cloned().collect();
        types.sort();
        types
    }

    /// The detectors that find these types, each once, however many of the types it finds. A type that none finds has
    /// none; see [`Detectors::types`].
    pub fn for_types(&self, types: &[ObjectType]) -> Vec<Arc<Detector>> {
        self.detectors.iter().filter(|d| d.types().iter().any(|t| types.contains(t))).cloned().collect()
    }

    pub fn report(&self) -> &Report {
        &self.report
    }
}

fn refuse(report: &mut Report, name: String, reason: &str) {
    tracing::warn!(detector = name, reason, "a detector is not used");
    report.refused.push(Refused { name, reason: reason.to_owned() });
}

/// Names and paths, by name. What is hidden is none of ours.
pub(crate) fn sub_folders(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Through links: a folder may be linked in from elsewhere.
        if path.is_dir() && !name.starts_with('.') {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}
