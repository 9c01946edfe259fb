//! Manifests: the descriptions beside the networks, read from TOML and checked.
//!
//! Strict: an unknown key is an error, so that a misspelt threshold does not silently keep its
//! default. The folders `detectors` and `embedders` of this crate hold the manifests that ship;
//! their READMEs explain every key.

mod detector;
mod embedder;
mod model;

pub(crate) use detector::MAX_SIDE;
pub use detector::{
    Class, DeviceClass, FamilyName, GpuInput, Input, InputSize, Manifest, Source, SourceKind, Thresholds, Tiles,
};
pub(crate) use embedder::{EmbedderInput, EmbedderManifest};
pub use model::{ManifestError, Model};
