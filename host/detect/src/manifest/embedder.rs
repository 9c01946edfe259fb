//! `embedder.toml`: the manifest of an embedder.

use serde::Deserialize;

use super::crop::{CropKeys, CropManifest};

pub(crate) type EmbedderManifest = CropManifest<EmbedderKeys>;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EmbedderKeys {
    pub(crate) distance: Distance,
    pub(crate) tracking: Option<Tracking>,
    /// Name under which embeddings are kept; those under one name are compared with each other.
    /// Default: a digest of the keys that affect them.
    pub(crate) embedding_id: Option<String>,
    /// Origin of the model for `cargo xtask setup`.
    #[serde(default)]
    #[allow(dead_code, reason = "read by cargo xtask setup")]
    source: Option<toml::Table>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Distance {
    /// Euclidean distance of two embeddings below which they count as one identity.
    pub(crate) same: f32,
    /// The same for two successive pictures of one track that differ in colour: from this distance
    /// on they show two identities. Default: [`JUMP`] times `same`.
    jump: Option<f32>,
    /// Embeddings are scaled to length 1, so that their distance orders as their cosine does.
    #[serde(default)]
    pub(crate) unit_length: bool,
}

/// Above 1, since successive boxes of one identity may show different parts of it.
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

impl CropKeys for EmbedderKeys {
    fn check(manifest: &EmbedderManifest) -> Result<(), String> {
        let Distance { same, .. } = manifest.keys.distance;
        let jump = manifest.keys.distance.jump();
        for (key, distance) in [("same", same), ("jump", jump)] {
            if !(distance > 0.0 && distance.is_finite()) {
                return Err(format!("distance.{key}: {distance}: a positive number"));
            }
        }
        Ok(())
    }
}

impl EmbedderManifest {
    /// The keys that affect embeddings. Thresholds do not: after a change of these, earlier objects
    /// can still be searched.
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

#[cfg(test)]
mod tests {
    use ocellus_core::ChannelOrder;

    use super::*;

    #[test]
    fn the_optional_manifests_are_valid() {
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
