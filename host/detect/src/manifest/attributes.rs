//! `attributes.toml`: a classifier of attributes, beside the network that it describes.

use std::collections::BTreeSet;

use ocellus_core::ObjectType;
use serde::Deserialize;

use super::{embedder::CropInput, model::Model};

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttributesManifest {
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
    pub(crate) attributes: Vec<Head>,
}

/// An output of the network: one attribute, with a value for each label.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Of the attribute; unique in a manifest.
    pub(crate) name: String,
    /// Name of the network's output.
    pub(crate) output: String,
    /// In the order of the output's values.
    pub(crate) labels: Vec<String>,
    /// The network leaves the softmax to its user.
    #[serde(default)]
    pub(crate) logits: bool,
    /// Labels with less confidence are not reported. 0..=1.
    #[serde(default)]
    pub(crate) min_confidence: f32,
}

impl AttributesManifest {
    /// Parses and checks all keys but `model`, which [`Model::check`] does; the error is its
    /// reason.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        manifest.input.check(&manifest.model)?;
        if manifest.input.landmarks.is_some() {
            return Err("input.landmarks: pictures are crops, which are not aligned".into());
        }
        if manifest.attributes.is_empty() {
            return Err("attributes: none, so nothing would be said".into());
        }
        let mut names = BTreeSet::new();
        for head in &manifest.attributes {
            if head.name.is_empty() || !names.insert(&head.name) {
                return Err(format!("attributes: {:?}: a name, once", head.name));
            }
            if head.labels.len() < 2 {
                return Err(format!("attributes: {}: at least two labels", head.name));
            }
            if !(0.0..=1.0).contains(&head.min_confidence) {
                return Err(format!("attributes: {}: min_confidence {}: 0 to 1", head.name, head.min_confidence));
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VEHICLE: &str =
        include_str!("../../attributes-optional/vehicle-attributes-recognition-barrier-0039/attributes.toml");

    #[test]
    fn mistakes_name_their_key() {
        let manifest = AttributesManifest::parse(VEHICLE).unwrap();
        manifest.model.check().unwrap();
        assert_eq!(manifest.attributes.iter().map(|head| head.labels.len()).collect::<Vec<_>>(), [7, 4]);
        let refused = |from: &str, to: &str| {
            assert!(VEHICLE.contains(from), "{from}");
            AttributesManifest::parse(&VEHICLE.replacen(from, to, 1)).unwrap_err()
        };
        assert!(refused("name = \"type\"", "name = \"colour\"").contains("colour"));
        assert!(refused("\"car\", \"van\", \"truck\", \"bus\"", "\"car\"").contains("two labels"));
        assert!(refused("width = 72", "width = 0").contains("input"));
        assert!(refused("min_confidence = 0.5", "min_confidence = 5").contains("min_confidence"));
    }
}
