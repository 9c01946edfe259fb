//! Keys that the manifests of detectors and embedders share.

use ocellus_core::ChannelOrder;
use serde::{Deserialize, Deserializer, de::Error};

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
        /// The given value, and the accepted ones.
        reason: String,
    },
}

/// The files that hold a network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of an ONNX file in the manifest's folder, or of the `.xml` file of an OpenVINO network.
    pub file: String,
    /// SHA-256 of the file, 64 lower-case hexadecimal digits; any other file is refused.
    pub sha256: String,
    /// Name of the `.bin` file of an OpenVINO network, in the same folder; absent for ONNX.
    pub weights: Option<String>,
    /// SHA-256 of that file.
    pub weights_sha256: Option<String>,
}

impl Model {
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        let wrong = |key, reason: String| Err(ManifestError::Value { key, reason });
        // The files must be in their folder, as manifests are not trusted.
        let outside = |file: &str| file.is_empty() || file.contains(['/', '\\']) || file.starts_with('.');
        if outside(&self.file) {
            return wrong("model.file", format!("{:?}: the name of a file in this folder", self.file));
        }
        let hexadecimal = |s: &str| s.len() == 64 && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !hexadecimal(&self.sha256) {
            return wrong("model.sha256", "64 lower-case hexadecimal digits".into());
        }
        match (&self.weights, &self.weights_sha256) {
            (None, None) if self.file.ends_with(".xml") => {
                return wrong("model.weights", "the .bin file of an OpenVINO network, and weights_sha256".into());
            }
            (None, None) => {}
            (Some(file), Some(sha256)) if self.file.ends_with(".xml") => {
                if outside(file) {
                    return wrong("model.weights", format!("{file:?}: the name of a file in this folder"));
                }
                if !hexadecimal(sha256) {
                    return wrong("model.weights_sha256", "64 lower-case hexadecimal digits".into());
                }
            }
            _ => return wrong("model.weights", "only with an .xml file, and with weights_sha256".into()),
        }
        Ok(())
    }
}

impl Model {
    /// Whether it is an OpenVINO network, which takes one picture of one size at a time.
    pub(super) fn is_openvino(&self) -> bool {
        self.weights.is_some()
    }
}

/// Normalization of the bytes of a pixel: (value - mean) / std, channel by channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Normalization {
    pub(crate) mean: [f32; 3],
    /// 1 / std.
    pub(crate) factor: [f32; 3],
}

impl Default for Normalization {
    fn default() -> Self {
        Self { mean: [0.0; 3], factor: [1.0; 3] }
    }
}

impl Normalization {
    /// From the keys `mean` and `std`; `Err` has the reason.
    pub(super) fn new(mean: Option<[f32; 3]>, std: Option<[f32; 3]>) -> Result<Self, String> {
        let (mean, std) = (mean.unwrap_or([0.0; 3]), std.unwrap_or([1.0; 3]));
        if mean.iter().any(|v| !v.is_finite()) || std.iter().any(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(format!("mean {mean:?} and std {std:?}: finite numbers, and std above 0"));
        }
        Ok(Self { mean, factor: std.map(|v| 1.0 / v) })
    }
}

/// The key `input.order`.
pub(super) fn channel_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ChannelOrder>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "rgb" => Ok(Some(ChannelOrder::Rgb)),
        "bgr" => Ok(Some(ChannelOrder::Bgr)),
        other => Err(D::Error::custom(format!("order: {other:?} is neither \"rgb\" nor \"bgr\""))),
    }
}

/// Default of `input.max_batch`.
pub(super) fn one() -> usize {
    1
}
