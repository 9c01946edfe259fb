//! `attributes.toml`: the manifest of a classifier of attributes.

use std::collections::BTreeSet;

use ocellus_core::{Feature, ObjectType};
use serde::Deserialize;

use super::crop::{CropKeys, CropManifest};

pub(crate) type AttributesManifest = CropManifest<AttributeKeys>;

/// Least probability of a live face, where the manifest has none: the vendor's default.
const LIVE: f32 = 0.674;

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AttributeKeys {
    pub(crate) attributes: Vec<Head>,
    /// Set for a liveness network, which has no other attribute.
    pub(crate) liveness: Option<Liveness>,
}

/// An output of the network: one attribute, with a value for each label.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    /// Name of the attribute; unique in a manifest.
    pub(crate) name: String,
    /// Name of the network's output.
    pub(crate) output: String,
    /// In the order of the output's values.
    pub(crate) labels: Vec<String>,
    /// The outputs are logits, without a softmax.
    #[serde(default)]
    pub(crate) logits: bool,
    /// Labels with less confidence are not reported. 0..=1.
    #[serde(default)]
    pub(crate) min_confidence: f32,
}

/// Meaning of the labels of a liveness network.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Liveness {
    /// The label of a live face; all others stand for pictures, screens and masks.
    pub(crate) live: String,
    /// Least probability of that label for a face to be called real. 0..=1.
    #[serde(default = "live")]
    pub(crate) threshold: f32,
}

fn live() -> f32 {
    LIVE
}

impl CropKeys for AttributeKeys {
    fn check(manifest: &AttributesManifest) -> Result<(), String> {
        if manifest.input.landmarks.is_some() {
            return Err("input.landmarks: pictures are crops, which are not aligned".into());
        }
        let Self { attributes, liveness } = &manifest.keys;
        if attributes.is_empty() {
            return Err("attributes: none, so nothing would be said".into());
        }
        let mut names = BTreeSet::new();
        for head in attributes {
            head.check()?;
            if !names.insert(&head.name) {
                return Err(format!("attributes: {:?}: a name, once", head.name));
            }
        }
        match liveness {
            Some(liveness) => liveness.check(&manifest.object_type, attributes),
            None if names.iter().any(|name| *name == Feature::LIVENESS) => {
                Err("liveness: missing, which says what label is a live face's".into())
            }
            None => Ok(()),
        }
    }
}

impl Head {
    fn check(&self) -> Result<(), String> {
        let Self { name, labels, min_confidence, .. } = self;
        if name.is_empty() || name.len() > 32 {
            return Err(format!("attributes: {name:?}: a name of 1 to 32 bytes"));
        }
        if labels.len() < 2 {
            return Err(format!("attributes: {name}: at least two labels"));
        }
        if !(0.0..=1.0).contains(min_confidence) {
            return Err(format!("attributes: {name}: min_confidence {min_confidence}: 0 to 1"));
        }
        Ok(())
    }
}

impl Liveness {
    fn check(&self, object_type: &ObjectType, attributes: &[Head]) -> Result<(), String> {
        let Self { live, threshold } = self;
        let [head] = attributes else { return Err("liveness: with one attribute only".into()) };
        if head.name != Feature::LIVENESS || head.min_confidence > 0.0 || *object_type != ObjectType::face() {
            return Err("liveness: of a face, its attribute is called liveness and has no min_confidence".into());
        }
        if !head.labels.contains(live) {
            return Err(format!("liveness.live: {live:?}: one of the labels {:?}", head.labels));
        }
        if !(0.0..=1.0).contains(threshold) {
            return Err(format!("liveness.threshold: {threshold}: 0 to 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VEHICLE: &str =
        include_str!("../../attributes-optional/vehicle-attributes-recognition-barrier-0039/attributes.toml");

    /// The reason why a manifest with `to` in place of `from` is refused.
    fn refused(manifest: &str, from: &str, to: &str) -> String {
        assert!(manifest.contains(from), "{from}");
        AttributesManifest::parse(&manifest.replacen(from, to, 1)).unwrap_err()
    }

    #[test]
    fn mistakes_name_their_key() {
        let manifest = AttributesManifest::parse(VEHICLE).unwrap();
        manifest.model.check().unwrap();
        assert_eq!(manifest.keys.attributes.iter().map(|head| head.labels.len()).collect::<Vec<_>>(), [7, 4]);
        assert!(refused(VEHICLE, "name = \"body\"", "name = \"color\"").contains("color"));
        assert!(refused(VEHICLE, "\"car\", \"van\", \"truck\", \"bus\"", "\"car\"").contains("two labels"));
        assert!(refused(VEHICLE, "width = 72", "width = 0").contains("input"));
        assert!(refused(VEHICLE, "min_confidence = 0.5", "min_confidence = 5").contains("min_confidence"));
        assert!(refused(VEHICLE, "licence", "colour = 1\nlicence").contains("colour"));
    }

    #[test]
    fn a_liveness_manifest_names_the_label_of_a_live_face() {
        let manifest = r#"
name = "n"
version = "1"
licence = "MIT"
object_type = "face"
model = { file = "n.onnx", sha256 = "" }
input = { width = 80, height = 80 }
attributes = [{ name = "liveness", output = "y", labels = ["screen", "live"] }]
[liveness]
live = "live"
"#;
        let liveness = AttributesManifest::parse(manifest).unwrap().keys.liveness.unwrap();
        assert_eq!((liveness.live.as_str(), liveness.threshold), ("live", 0.674));
        for (from, to, why) in [
            ("live = \"live\"", "live = \"alive\"", "liveness.live"),
            ("live = \"live\"", "live = \"live\"\nthreshold = 2.0", "liveness.threshold"),
            ("[liveness]\nlive = \"live\"", "", "liveness: missing"),
            ("object_type = \"face\"", "object_type = \"car\"", "of a face"),
            ("name = \"liveness\"", "name = \"alive\"", "is called liveness"),
        ] {
            assert!(refused(manifest, from, to).contains(why), "{to}");
        }
    }
}
