//! Embedders of a folder, one sub-folder each.
//!
//! Unlike those of detectors, their object types are not known before they are loaded: jobs request
//! the embedder of a type, and wait for it.

use std::{path::Path, slice, sync::Arc};

use ocellus_core::ObjectType;
use serde::Serialize;

use crate::{
    device::Device,
    embedder::Embedder,
    loading::LoadError,
    network_set::{FolderError, FolderNetwork, NetworkSet, Refused, sub_folders},
};

/// The embedders of a folder. Cheap to clone; clones share the embedders. The default is empty.
#[derive(Clone, Default)]
pub struct Embedders(NetworkSet<Embedder>);

/// Embedders that are used and folders that are not, for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EmbedderReport {
    /// The networks are still being loaded; jobs wait for the one they need, and the lists below
    /// are empty.
    pub loading: bool,
    /// In the order of their folders' names.
    pub embedders: Vec<LoadedEmbedder>,
    /// Folders that are not used.
    pub refused: Vec<Refused>,
}

/// An embedder that is used.
#[derive(Clone, Debug, Serialize)]
pub struct LoadedEmbedder {
    /// As the manifest states it.
    pub name: String,
    /// As the manifest states it.
    pub version: String,
    /// Type of the objects that it compares.
    pub object_type: ObjectType,
    /// Dimension of its embeddings.
    pub numbers: usize,
    /// [`Embedder::digest`].
    pub digest: String,
    /// Licence of the weights, as an SPDX expression.
    pub licence: String,
}

impl Embedders {
    /// Loads every sub-folder of `folder`, in the order of their names, and returns when all are
    /// loaded. Of several for one object type the first is used. A folder that cannot be used is
    /// logged and reported; the others are used.
    ///
    /// # Errors
    /// `folder` cannot be read.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (embedders, load) = Self::open(folder, device)?;
        load();
        Ok(embedders)
    }

    /// Lists the sub-folders, and leaves the loading to the closure, which the caller runs on any
    /// thread. Where it is dropped instead, there are no embedders.
    ///
    /// # Errors
    /// As [`Embedders::load`].
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let (set, load) = NetworkSet::open(sub_folders(folder)?, device);
        Ok((Self(set), load))
    }

    /// The embedder for this type, if any. Blocks until all are loaded.
    pub fn for_type(&self, object_type: &ObjectType) -> Option<&Arc<Embedder>> {
        self.0.wait().networks.iter().find(|e| e.network.object_type == *object_type)
    }

    /// As [`Detectors::make_room`](crate::Detectors::make_room).
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        self.0.make_room(wanted)
    }

    /// Loaded embedders and refused folders.
    pub fn report(&self) -> EmbedderReport {
        let Some(loaded) = self.0.get() else {
            return EmbedderReport { loading: true, ..EmbedderReport::default() };
        };
        EmbedderReport { loading: false, embedders: loaded.entries.clone(), refused: loaded.refused.clone() }
    }
}

impl FolderNetwork for Embedder {
    type Entry = LoadedEmbedder;

    /// An embedder has one type, so that one for a type of an earlier embedder is refused as a
    /// whole, whereas a detector may lose some of its types. Names need not be unique as for
    /// detectors: embeddings are distinguished by [`Embedder::digest`].
    fn load_folder(folder: &Path, earlier: &[Arc<Self>], device: &Device) -> Result<(Self, Self::Entry), LoadError> {
        let embedder = Self::load(folder, device)?;
        if let Some(first) = earlier.iter().find(|e| e.network.object_type == embedder.network.object_type) {
            return Err(LoadError::Superseded(first.name().to_owned()));
        }
        let loaded = LoadedEmbedder {
            name: embedder.network.name.clone(),
            version: embedder.network.version.clone(),
            object_type: embedder.network.object_type.clone(),
            numbers: embedder.dimension(),
            digest: embedder.network.digest.clone(),
            licence: embedder.network.licence.clone(),
        };
        Ok((embedder, loaded))
    }

    fn log_refusal(folder: &str, reason: &str) {
        tracing::warn!(embedder = folder, reason, "an embedder is not used");
    }

    fn object_types(&self) -> &[ObjectType] {
        slice::from_ref(&self.network.object_type)
    }

    fn release_idle(&self) -> bool {
        self.network.release_if_idle()
    }
}
