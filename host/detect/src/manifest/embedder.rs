//! `embedder.toml`: an embedder, beside the network that it describes.

use ocellus_core::ObjectType;
use serde::Deserialize;

use super::model::{MAX_BATCH, Model, one};

/// The longest side of an embedder's input, in pixels. Less than a detector's: the input is a crop
/// of one object, not a frame.
const MAX_SIDE: u32 = 1024;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedderManifest {
    pub(crate) name: String,
    pub(crate) version: String,
    #[serde(default)]
    #[allow(dead_code, reason = "for people")]
    description: String,
    /// Of the weights, as an SPDX expression.
    pub(crate) licence: String,
    pub(crate) object_type: ObjectType,
    pub(crate) model: Model,
    pub(crate) input: EmbedderInput,
    pub(crate) distance: Distance,
    pub(crate) tracking: Option<Tracking>,
    /// Where `cargo xtask setup` gets the model from.
    #[serde(default)]
    #[allow(dead_code, reason = "read by cargo xtask setup")]
    source: Option<toml::Table>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedderInput {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    #[serde(default = "one")]
    pub(crate) max_batch: usize,
    /// Positions (x, y), in pixels of the input, to which left eye, right eye, nose, left and right
    /// corner of the mouth are aligned; absent for object types without landmarks.
    pub(crate) landmarks: Option<[[f32; 2]; 5]>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Distance {
    /// Euclidean distance of two embeddings below which they count as one identity.
    pub(crate) same: f32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tracking {
    /// Mean embedding of many identities.
    pub(crate) centre: Vec<f32>,
}

impl EmbedderManifest {
    /// Parses and checks all keys but `model`, which [`Model::check`] does; the error is its
    /// reason.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let EmbedderInput { width, height, max_batch, .. } = manifest.input;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(format!(
                "input: {max_batch} pictures of {width}x{height}: 1 to {MAX_BATCH}, of at most {MAX_SIDE} a side"
            ));
        }
        if !(manifest.distance.same > 0.0 && manifest.distance.same.is_finite()) {
            return Err(format!("distance.same: {}: a positive number", manifest.distance.same));
        }
        Ok(manifest)
    }
}
