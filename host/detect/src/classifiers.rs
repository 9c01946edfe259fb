//! Classifiers of a folder, one sub-folder each.
//!
//! As with embedders, jobs request the classifiers of a type, and wait until all are loaded.
//! Whether there is a liveness network is known from the manifests at once, since settings depend
//! on it.

use std::{fs, path::Path, slice, sync::Arc};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{
    attributes::{AttributeClassifier, MANIFEST},
    device::Device,
    loading::LoadError,
    manifest::AttributesManifest,
    network_set::{FolderError, FolderNetwork, NetworkSet, Refused, sub_folders},
};

/// The classifiers of a folder. Cheap to clone; clones share the classifiers. The default is empty.
#[derive(Clone, Default)]
pub struct AttributeClassifiers {
    /// Whether a readable manifest is of a liveness network, loaded or not.
    declares_liveness: bool,
    set: NetworkSet<AttributeClassifier>,
}

/// Classifiers that are used and folders that are not, for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AttributeReport {
    /// The networks are still being loaded; the lists below are empty.
    pub loading: bool,
    /// In the order of their folders' names.
    pub classifiers: Vec<LoadedClassifier>,
    /// Folders that are not used.
    pub refused: Vec<Refused>,
}

/// A classifier that is used.
#[derive(Clone, Debug, Serialize)]
pub struct LoadedClassifier {
    /// As the manifest states it.
    pub name: String,
    /// As the manifest states it.
    pub version: String,
    /// Type of the objects that it classifies.
    pub object_type: ObjectType,
    /// Names of its attributes.
    pub attributes: Vec<String>,
    /// [`AttributeClassifier::is_liveness`].
    pub liveness: bool,
    /// [`AttributeClassifier::digest`].
    pub digest: String,
    /// Licence of the weights, as an SPDX expression.
    pub licence: String,
}

impl AttributeClassifiers {
    /// Loads every sub-folder of `folder`, in the order of their names, and returns when all are
    /// loaded. There may be several for one object type, each for other attributes. A folder that
    /// cannot be used is logged and reported; the others are used.
    ///
    /// # Errors
    /// `folder` cannot be read.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (classifiers, load) = Self::open(folder, device)?;
        load();
        Ok(classifiers)
    }

    /// Reads the manifests, and leaves the loading of networks to the closure, which the caller
    /// runs on any thread. Where it is dropped instead, there are no classifiers.
    ///
    /// # Errors
    /// As [`AttributeClassifiers::load`].
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let folders = sub_folders(folder)?;
        let declares_liveness = folders.iter().any(|(_, path)| {
            let text = fs::read_to_string(path.join(MANIFEST)).unwrap_or_default();
            AttributesManifest::parse(&text).is_ok_and(|manifest| manifest.keys.liveness.is_some())
        });
        let (set, load) = NetworkSet::open(folders, device);
        Ok((Self { declares_liveness, set }, load))
    }

    /// The classifiers for this type. Blocks until all are loaded.
    pub fn for_type(&self, object_type: &ObjectType) -> impl Iterator<Item = &Arc<AttributeClassifier>> {
        self.set.wait().networks.iter().filter(move |c| c.network.object_type == *object_type)
    }

    /// Whether there is a liveness network; while networks are being loaded, according to the
    /// manifests.
    pub fn has_liveness(&self) -> bool {
        self.set.get().map_or(self.declares_liveness, |loaded| loaded.networks.iter().any(|c| c.is_liveness()))
    }

    /// Whether all are loaded; [`Self::has_liveness`] and [`Self::report`] do not change any more
    /// then.
    pub fn are_loaded(&self) -> bool {
        self.set.get().is_some()
    }

    /// As [`Detectors::make_room`](crate::Detectors::make_room).
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        self.set.make_room(wanted)
    }

    /// Loaded classifiers and refused folders.
    pub fn report(&self) -> AttributeReport {
        let Some(loaded) = self.set.get() else {
            return AttributeReport { loading: true, ..AttributeReport::default() };
        };
        AttributeReport { loading: false, classifiers: loaded.entries.clone(), refused: loaded.refused.clone() }
    }
}

impl FolderNetwork for AttributeClassifier {
    type Entry = LoadedClassifier;

    /// Each attribute of a type comes from one network, the first that has it.
    fn load_folder(folder: &Path, earlier: &[Arc<Self>], device: &Device) -> Result<(Self, Self::Entry), LoadError> {
        let classifier = Self::load(folder, device)?;
        let of_type = earlier.iter().filter(|c| c.network.object_type == classifier.network.object_type);
        for other in of_type {
            if let Some(attribute) = classifier.attributes().iter().find(|a| other.attributes().contains(a)) {
                return Err(LoadError::SameAttribute { attribute: attribute.clone(), by: other.name().to_owned() });
            }
        }
        let loaded = LoadedClassifier {
            name: classifier.network.name.clone(),
            version: classifier.network.version.clone(),
            object_type: classifier.network.object_type.clone(),
            attributes: classifier.attributes().to_vec(),
            liveness: classifier.is_liveness(),
            digest: classifier.network.digest.clone(),
            licence: classifier.network.licence.clone(),
        };
        Ok((classifier, loaded))
    }

    fn log_refusal(folder: &str, reason: &str) {
        tracing::warn!(classifier = folder, reason, "a classifier is not used");
    }

    fn object_types(&self) -> &[ObjectType] {
        slice::from_ref(&self.network.object_type)
    }

    fn release_idle(&self) -> bool {
        self.network.release_if_idle()
    }
}
