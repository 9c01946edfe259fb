//! `embedder.toml`: an embedder, beside the network that it describes.

use ocellus_core::{ChannelOrder, ObjectType};
use serde::Deserialize;

use super::model::{MAX_BATCH, Model, Normalization, channel_order, one};

/// The longest side of the input of a crop's network, in pixels. Less than a detector's: the input
/// is a crop of one object, not a frame.
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
    pub(crate) input: CropInput,
    pub(crate) distance: Distance,
    pub(crate) tracking: Option<Tracking>,
    /// Name under which embeddings are kept; those under one name are compared with each other.
    /// Default: a digest of what changes them.
    pub(crate) embedding_id: Option<String>,
    /// Where `cargo xtask setup` gets the model from.
    #[serde(default)]
    #[allow(dead_code, reason = "read by cargo xtask setup")]
    source: Option<toml::Table>,
}

/// Input of a network whose pictures are crops of objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CropInput {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    #[serde(default = "one")]
    pub(crate) max_batch: usize,
    /// Order of the channels; RGB unless given.
    #[serde(default, deserialize_with = "channel_order")]
    pub(crate) order: Option<ChannelOrder>,
    /// Subtracted from the channels, which are 0..=255; in the input's order.
    mean: Option<[f32; 3]>,
    /// The channels are divided by it after that.
    std: Option<[f32; 3]>,
    /// Positions (x, y), in pixels of the input, to which left eye, right eye, nose, left and right
    /// corner of the mouth are aligned; absent for object types without landmarks.
    pub(crate) landmarks: Option<[[f32; 2]; 5]>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Distance {
    /// Euclidean distance of two embeddings below which they count as one identity.
    pub(crate) same: f32,
    /// The same for two pictures of one track that follow on each other and differ in colour: from
    /// this distance on they show two individuals. Default: [`JUMP`] times `same`.
    jump: Option<f32>,
    /// Embeddings are scaled to length 1, so that their distance orders as their cosine does.
    #[serde(default)]
    pub(crate) unit_length: bool,
}

/// Boxes of one individual that follow on each other may show much of it, or little.
const JUMP: f32 = 1.15;

impl Distance {
    pub(crate) fn jump(&self) -> f32 {
        self.jump.unwrap_or(JUMP * self.same)
    }
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
        manifest.input.check(&manifest.model)?;
        let is_distance = |distance: f32| distance > 0.0 && distance.is_finite();
        if !is_distance(manifest.distance.same) {
            return Err(format!("distance.same: {}: a positive number", manifest.distance.same));
        }
        if !is_distance(manifest.distance.jump()) {
            return Err(format!("distance.jump: {}: a positive number", manifest.distance.jump()));
        }
        Ok(manifest)
    }

    /// The part of a manifest that changes what the network gives. Thresholds are none of it: who
    /// sets others can still search the objects of before.
    pub(crate) fn network(text: &str) -> String {
        let Ok(mut manifest) = text.parse::<toml::Table>() else { return String::new() };
        let mut part = |key: &str| manifest.remove(key).unwrap_or(toml::Value::Boolean(false));
        let (model, mut input, distance) = (part("model"), part("input"), part("distance"));
        if let Some(input) = input.as_table_mut() {
            input.remove("max_batch");
        }
        let unit_length = distance.get("unit_length").and_then(toml::Value::as_bool).unwrap_or_default();
        format!("{model} {input} {unit_length}")
    }
}

impl CropInput {
    /// `Err` says what is wrong.
    pub(super) fn check(&self, model: &Model) -> Result<(), String> {
        let &Self { width, height, max_batch, .. } = self;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(format!(
                "input: {max_batch} pictures of {width}x{height}: 1 to {MAX_BATCH}, of at most {MAX_SIDE} a side"
            ));
        }
        if model.is_openvino() && max_batch != 1 {
            return Err("input.max_batch: an OpenVINO network takes one picture at a time".into());
        }
        self.normalization().map(drop)
    }

    pub(crate) fn normalization(&self) -> Result<Normalization, String> {
        Normalization::new(self.mean, self.std).map_err(|reason| format!("input: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optional_manifests_are_sound() {
        for text in [
            include_str!("../../embedders-optional/person-reidentification-retail-0287/embedder.toml"),
            include_str!("../../embedders-optional/person-reidentification-retail-0288/embedder.toml"),
        ] {
            let manifest = EmbedderManifest::parse(text).unwrap();
            manifest.model.check().unwrap();
            assert_eq!(manifest.input.order, Some(ChannelOrder::Bgr), "{}", manifest.name);
            let two = text.replace("height = 256", "height = 256\nmax_batch = 2");
            assert!(EmbedderManifest::parse(&two).unwrap_err().contains("max_batch"));
        }
    }
}
