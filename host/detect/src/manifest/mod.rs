//! Manifests: the TOML descriptions of networks, parsed and checked.
//!
//! Strict: an unknown key is an error, so that a misspelt threshold does not silently keep its
//! default. The folders `detectors`, `embedders` and `attributes` of this crate explain every
//! key; those and `*-optional` beside them hold the manifests.

mod attributes;
mod crop;
mod detector;
mod embedder;
mod model;

pub(crate) use attributes::{AttributeKeys, AttributesManifest, Head, Liveness};
pub(crate) use crop::{CropKeys, CropManifest};
pub(crate) use detector::MAX_SIDE;
pub use detector::{
    Class, DeviceClass, FamilyName, GpuInput, Input, InputSize, Manifest, Source, SourceKind, Thresholds, Tiles,
};
pub(crate) use embedder::{EmbedderKeys, EmbedderManifest};
pub(crate) use model::Normalization;
pub use model::{ManifestError, Model};
