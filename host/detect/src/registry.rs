//! All detectors of a folder: one sub-folder each.
//!
//! What they find is known from their manifests at once; whether their networks run is known when
//! they were loaded, which may be while the server answers already. A detector that then turns out
//! not to be usable no longer finds anything.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{detector::Detector, device::Device, manifest::Manifest, pending::Pending};

/// The detectors of a folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Detectors {
    /// What the manifests promise.
    declared: Arc<[ObjectType]>,
    /// Where they run.
    device: Arc<str>,
    loaded: Arc<Pending<Set>>,
}

#[derive(Default)]
struct Set {
    detectors: Vec<Arc<Detector>>,
    report: Report,
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
    /// The networks are not ready yet; jobs wait for them.
    pub loading: bool,
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

impl Default for Detectors {
    fn default() -> Self {
        Self { declared: Arc::default(), device: Arc::default(), loaded: Pending::promised().0 }
    }
}

impl Detectors {
    /// Loads every sub-folder of `folder`, in the order of their names. A folder that cannot be
    /// used is reported and does not keep the others from being used.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (detectors, load) = Self::open(folder, device)?;
        load();
        Ok(detectors)
    }

    /// Reads what there is to load. The loading is left to the caller, on whatever thread; where it
    /// is not done, there are none.
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let folders = sub_folders(folder).map_err(|source| FolderError::new(folder, source))?;
        let manifests = folders
            .iter()
            .filter_map(|(_, path)| Manifest::parse(&fs::read_to_string(path.join("detector.toml")).ok()?).ok());
        let declared: BTreeSet<ObjectType> = manifests.flat_map(|m| m.classes).map(|class| class.object_type).collect();
        let (loaded, promise) = Pending::promised();
        let detectors = Self { declared: declared.into_iter().collect(), device: device.describe().into(), loaded };
        let device = device.clone();
        Ok((detectors, move || promise.keep(Set::load(&folders, &device))))
    }

    /// What can be found, in the order that the API lists it. While networks are being loaded, what
    /// their manifests promise.
    pub fn types(&self) -> Vec<ObjectType> {
        let Some(set) = self.loaded.get() else { return self.declared.to_vec() };
        let mut types: Vec<_> = set.detectors.iter().flat_map(|d| d.types()).cloned().collect();
        types.sort();
        types
    }

    /// Whether all is loaded: from then on the answers of [`Self::types`] and [`Self::report`]
    /// stay.
    pub fn are_loaded(&self) -> bool {
        self.loaded.get().is_some()
    }

    /// Waits until all is loaded, or `enough` says that it is no longer wanted; whether it is
    /// loaded.
    pub fn wait_unless(&self, enough: impl Fn() -> bool) -> bool {
        self.loaded.wait_unless(enough).is_some()
    }

    /// The detectors that find these types, each once, however many of the types it finds. A type
    /// that none finds has none; see [`Detectors::types`]. Waits for their networks.
    pub fn for_types(&self, types: &[ObjectType]) -> Vec<Arc<Detector>> {
        self.loaded.wait().detectors.iter().filter(|d| d.types().iter().any(|t| types.contains(t))).cloned().collect()
    }

    /// Lets go of networks that nobody asked for a minute, unless they find one of the `wanted`
    /// types; they are loaded again when they are asked. Whether there were some: their memory
    /// is then free, but still the process's.
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        let detectors = self.loaded.get().into_iter().flat_map(|set| &set.detectors);
        // All are asked: each lets go of its own.
        detectors.filter(|d| !d.types().iter().any(|t| wanted.contains(t))).filter(|d| d.release_if_idle()).count() > 0
    }

    /// Where they run, what was loaded and what was not; nothing of that yet while it is being
    /// loaded.
    pub fn report(&self) -> Report {
        let device = self.device.to_string();
        match self.loaded.get() {
            Some(set) => Report { device, ..set.report.clone() },
            None => Report { loading: true, device, ..Report::default() },
        }
    }
}

impl Set {
    fn load(folders: &[(String, PathBuf)], device: &Device) -> Self {
        let mut detectors: Vec<Arc<Detector>> = Vec::new();
        let mut report = Report::default();
        for (name, path) in folders {
            let taken = |object_type: &ObjectType| {
                let other = detectors.iter().find(|d| d.types().contains(object_type));
                other.map(|other| other.name().to_owned())
            };
            match Detector::load(path, &taken, device) {
                Ok((detector, _)) if detectors.iter().any(|d| d.name() == detector.name()) => {
                    refuse(&mut report, name, &format!("another folder holds a detector named {}", detector.name()));
                }
                Ok((detector, superseded)) => {
                    for (object_type, by) in superseded {
                        tracing::warn!(
                            detector = detector.name(),
                            object_type = object_type.as_str(),
                            by,
                            "another detector finds this"
                        );
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
        Self { detectors, report }
    }
}

fn refuse(report: &mut Report, name: &str, reason: &str) {
    tracing::warn!(detector = name, reason, "a detector is not used");
    report.refused.push(Refused { name: name.to_owned(), reason: reason.to_owned() });
}

/// Names and paths, by name. Hidden files are skipped.
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
