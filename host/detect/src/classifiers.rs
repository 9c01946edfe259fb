//! Classifiers of a folder, one sub-folder each.
//!
//! As with embedders, jobs ask for the classifier of a type, and wait until all are loaded.

use std::{path::Path, slice, sync::Arc};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{
    attributes::AttributeClassifier,
    device::Device,
    loading::LoadError,
    network_set::{FolderError, FolderNetwork, NetworkSet, Refused, sub_folders},
};

/// The classifiers of a folder. Cheap to clone; clones share the classifiers. The default is empty.
#[derive(Clone, Default)]
pub struct AttributeClassifiers(NetworkSet<AttributeClassifier>);

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
    /// [`AttributeClassifier::digest`].
    pub digest: String,
    /// Licence of the weights, as an SPDX expression.
    pub licence: String,
}

impl AttributeClassifiers {
    /// Loads every sub-folder of `folder`, in the order of their names, and returns when all are
    /// loaded. Of several for one object type the first is used. A folder that cannot be used is
    /// logged and reported; the others are used.
    ///
    /// # Errors
    /// `folder` cannot be read.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (classifiers, load) = Self::open(folder, device)?;
        load();
        Ok(classifiers)
    }

    /// Lists the sub-folders, and leaves the loading to the closure, which the caller runs on any
    /// thread. Where it is dropped instead, there are no classifiers.
    ///
    /// # Errors
    /// As [`AttributeClassifiers::load`].
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let (set, load) = NetworkSet::open(sub_folders(folder)?, device);
        Ok((Self(set), load))
    }

    /// The classifier for this type, if any. Blocks until all are loaded.
    pub fn for_type(&self, object_type: &ObjectType) -> Option<&Arc<AttributeClassifier>> {
        self.0.wait().networks.iter().find(|c| c.object_type() == object_type)
    }

    /// As [`Detectors::make_room`](crate::Detectors::make_room).
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        self.0.make_room(wanted)
    }

    /// Loaded classifiers and refused folders.
    pub fn report(&self) -> AttributeReport {
        let Some(loaded) = self.0.get() else {
            return AttributeReport { loading: true, ..AttributeReport::default() };
        };
        AttributeReport { loading: false, classifiers: loaded.entries.clone(), refused: loaded.refused.clone() }
    }
}

impl FolderNetwork for AttributeClassifier {
    type Entry = LoadedClassifier;

    fn load_folder(folder: &Path, earlier: &[Arc<Self>], device: &Device) -> Result<(Self, Self::Entry), LoadError> {
        let classifier = Self::load(folder, device)?;
        if let Some(first) = earlier.iter().find(|c| c.object_type() == classifier.object_type()) {
            return Err(LoadError::Superseded(first.name().to_owned()));
        }
        let loaded = LoadedClassifier {
            name: classifier.name().to_owned(),
            version: classifier.version().to_owned(),
            object_type: classifier.object_type().clone(),
            attributes: classifier.attributes().to_vec(),
            digest: classifier.digest().to_owned(),
            licence: classifier.licence().to_owned(),
        };
        Ok((classifier, loaded))
    }

    fn log_refusal(folder: &str, reason: &str) {
        tracing::warn!(classifier = folder, reason, "a classifier is not used");
    }

    fn object_types(&self) -> &[ObjectType] {
        slice::from_ref(self.object_type())
    }

    fn release_idle(&self) -> bool {
        self.release_if_idle()
    }
}
