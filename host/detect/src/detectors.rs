//! Detectors of a folder, one sub-folder each.
//!
//! Their object types are known from their manifests at once. Networks may be loaded while the
//! server already answers; a detector whose network then turns out to be unusable is dropped.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{
    detector::Detector,
    device::Device,
    loading::LoadError,
    manifest::Manifest,
    network_set::{FolderError, FolderNetwork, NetworkSet, Refused, sub_folders},
};

/// The detectors of a folder. Cheap to clone; clones share the detectors. The default is empty.
#[derive(Clone, Default)]
pub struct Detectors {
    /// Object types of all manifests that can be read, loaded or not.
    declared: Arc<[ObjectType]>,
    /// [`Device::describe`].
    device: Arc<str>,
    set: NetworkSet<Detector>,
}

/// Detectors that are used and folders that are not, for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct DetectorReport {
    /// The networks are still being loaded; jobs wait for them, and the lists below are empty.
    pub loading: bool,
    /// Device that the networks run on, as [`Device::describe`] words it; empty where there are no
    /// detectors.
    pub device: String,
    /// In the order of their folders' names.
    pub detectors: Vec<LoadedDetector>,
    /// Folders that are not used at all.
    pub refused: Vec<Refused>,
    /// Object types that an earlier detector finds.
    pub superseded: Vec<Superseded>,
}

/// A detector that is used.
#[derive(Clone, Debug, Serialize)]
pub struct LoadedDetector {
    /// Unique among the detectors of a folder.
    pub name: String,
    /// As the manifest states it.
    pub version: String,
    /// Object types that it reports; none that an earlier detector reports.
    pub types: Vec<ObjectType>,
    /// [`Detector::digest`].
    pub digest: String,
    /// Licence of the weights, as an SPDX expression.
    pub licence: String,
}

/// An object type of a detector's manifest that another detector finds; the first in the order of
/// the folders' names does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Superseded {
    /// Name of the detector that does not report the type.
    pub name: String,
    /// The type that both manifests declare.
    pub object_type: ObjectType,
    /// Name of the detector that reports it.
    pub by: String,
}

impl Detectors {
    /// Loads every sub-folder of `folder`, in the order of their names, and returns when all are
    /// loaded. A folder that cannot be used is logged and reported; the others are used.
    ///
    /// # Errors
    /// `folder` cannot be read.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (detectors, load) = Self::open(folder, device)?;
        load();
        Ok(detectors)
    }

    /// Reads the manifests, and leaves the loading of networks to the closure, which the caller
    /// runs on any thread. Where it is dropped instead, there are no detectors.
    ///
    /// # Errors
    /// As [`Detectors::load`].
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let folders = sub_folders(folder)?;
        let manifests = folders
            .iter()
            .filter_map(|(_, path)| Manifest::parse(&fs::read_to_string(path.join("detector.toml")).ok()?).ok());
        let declared: BTreeSet<ObjectType> = manifests.flat_map(|m| m.classes).map(|class| class.object_type).collect();
        let (set, load) = NetworkSet::open(folders, device);
        Ok((Self { declared: declared.into_iter().collect(), device: device.describe().into(), set }, load))
    }

    /// Object types that can be found, in the order of the API. While networks are being loaded,
    /// those of their manifests.
    pub fn types(&self) -> Vec<ObjectType> {
        let Some(loaded) = self.set.get() else { return self.declared.to_vec() };
        let mut types: Vec<_> = loaded.networks.iter().flat_map(|d| d.types()).cloned().collect();
        types.sort();
        types
    }

    /// Whether all are loaded; [`Self::types`] and [`Self::report`] do not change any more then.
    pub fn are_loaded(&self) -> bool {
        self.set.get().is_some()
    }

    /// Blocks until all are loaded, or `cancelled` returns true; returns whether they are loaded.
    /// `cancelled` is polled a few times a second.
    pub fn wait_unless(&self, cancelled: impl Fn() -> bool) -> bool {
        self.set.wait_unless(cancelled).is_some()
    }

    /// The detectors that find at least one of these types, each once. Blocks until all are loaded.
    /// A type that is not in [`Detectors::types`] has none.
    pub fn for_types(&self, types: &[ObjectType]) -> Vec<Arc<Detector>> {
        self.set.wait().networks.iter().filter(|d| d.types().iter().any(|t| types.contains(t))).cloned().collect()
    }

    /// Releases networks that were not used for a minute, unless they find one of the `wanted`
    /// types; they are loaded again when they are used. Returns whether there were some: their
    /// memory is free then, but the allocator may not have returned it to the system.
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        self.set.make_room(wanted)
    }

    /// Device, loaded detectors and refused folders.
    pub fn report(&self) -> DetectorReport {
        let device = self.device.to_string();
        let Some(loaded) = self.set.get() else {
            return DetectorReport { loading: true, device, ..DetectorReport::default() };
        };
        let (detectors, superseded): (Vec<_>, Vec<_>) = loaded.entries.iter().cloned().unzip();
        let refused = loaded.refused.clone();
        DetectorReport { loading: false, device, detectors, refused, superseded: superseded.concat() }
    }
}

impl FolderNetwork for Detector {
    type Entry = (LoadedDetector, Vec<Superseded>);

    /// A detector is used for the types that no earlier one finds. Its name is unique, as logs and
    /// errors name it.
    fn load_folder(folder: &Path, earlier: &[Arc<Self>], device: &Device) -> Result<(Self, Self::Entry), LoadError> {
        let taken = |object_type: &ObjectType| {
            let other = earlier.iter().find(|d| d.types().contains(object_type));
            other.map(|other| other.name().to_owned())
        };
        let (detector, taken) = Self::load(folder, &taken, device)?;
        if earlier.iter().any(|d| d.name() == detector.name()) {
            return Err(LoadError::SameName(detector.name().to_owned()));
        }
        let mut superseded = Vec::with_capacity(taken.len());
        for (object_type, by) in taken {
            tracing::warn!(
                detector = detector.name(),
                object_type = object_type.as_str(),
                by,
                "another detector finds this"
            );
            superseded.push(Superseded { name: detector.name().to_owned(), object_type, by });
        }
        let loaded = LoadedDetector {
            name: detector.name().to_owned(),
            version: detector.version().to_owned(),
            types: detector.types().to_vec(),
            digest: detector.digest().to_owned(),
            licence: detector.licence().to_owned(),
        };
        Ok((detector, (loaded, superseded)))
    }

    fn log_refusal(folder: &str, reason: &str) {
        tracing::warn!(detector = folder, reason, "a detector is not used");
    }

    fn object_types(&self) -> &[ObjectType] {
        self.types()
    }

    fn release_idle(&self) -> bool {
        self.release_if_idle()
    }
}
