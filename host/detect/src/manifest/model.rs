//! Keys that the manifests of detectors and embedders share.

use serde::Deserialize;

/// The most pictures that a manifest can ask to go through a network at once.
pub(super) const MAX_BATCH: usize = 64;

/// Error of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not TOML, an unknown key, a missing key, or a value of the wrong type.
    #[error("detector.toml: {0}")]
    Syntax(String),
    /// A value that is out of range or contradicts another.
    #[error("{key}: {reason}")]
    Value {
        /// Path of the key, such as `thresholds.iou`.
        key: &'static str,
        /// The value that was given, and what is accepted.
        reason: String,
    },
}

/// The file that holds a network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of an ONNX file in the manifest's folder.
    pub file: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits; any other file is refused.
    pub sha256: String,
}

impl Model {
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let wrong = |key, reason: String| Err(ManifestError::Value { key, reason });
        // The file must lie in its folder, whoever wrote the manifest.
        if self.file.is_empty() || self.file.contains(['/', '\\']) || self.file.starts_with('.') {
            return wrong("model.file", format!("{:?}: the name of a file in this folder", self.file));
        }
        let hexadecimal = |s: &str| s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal(&self.sha256) {
            return wrong("model.sha256", "64 lower-case hexadecimal digits".into());
        }
        Ok(())
    }
}

/// Default of `input.max_batch`.
pub(super) fn one() -> usize {
    1
}
