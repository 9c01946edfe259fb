//! Classifier of attributes: crops of objects in, a label for each attribute out.
//!
//! A classifier is a folder with a manifest (`attributes.toml`) and a network with one output for
//! each attribute, `[batch, labels]`: the probability of each label, or its logit.

use std::{path::Path, sync::Arc};

use ocellus_core::{CpuMeter, Feature, RgbImage, Size};

use crate::{
    array::Array,
    crop_network::{CropNetwork, Loaded},
    detect_error::DetectError,
    device::Device,
    loading::LoadError,
    manifest::{AttributeKeys, Head, Liveness},
};

/// Name of its manifest.
pub(crate) const MANIFEST: &str = "attributes.toml";

/// A network that classifies objects of one type, shared by all jobs. Its threads end when it is
/// dropped.
pub struct AttributeClassifier {
    pub(crate) network: CropNetwork<Vec<Feature>>,
    attributes: Vec<String>,
    is_liveness: bool,
}

impl AttributeClassifier {
    pub(crate) fn load(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let decode = |keys: &AttributeKeys, outputs: &[String]| {
            let heads: Arc<[Head]> = keys.attributes.clone().into();
            let liveness = keys.liveness.clone();
            let places = heads.iter().map(|head| {
                let place = outputs.iter().position(|output| *output == head.output);
                place.ok_or_else(|| format!("no output {:?}; the network has {}", head.output, outputs.join(", ")))
            });
            let places: Arc<[usize]> = places.collect::<Result<_, _>>()?;
            Ok(move |outputs: &[Array], _: usize, _: usize| {
                let mut features = Vec::new();
                for (head, &place) in heads.iter().zip(places.iter()) {
                    let probabilities = probabilities(head, outputs.get(place))?;
                    features.extend(match &liveness {
                        Some(liveness) => self::liveness(head, liveness, &probabilities),
                        None => best(head, &probabilities),
                    });
                }
                Ok(features)
            })
        };
        let Loaded { network, manifest, .. } = CropNetwork::load(folder, MANIFEST, device, decode)?;
        let AttributeKeys { attributes, liveness } = manifest.keys;
        let attributes = attributes.into_iter().map(|head| head.name).collect();
        Ok(Self { network, attributes, is_liveness: liveness.is_some() })
    }

    /// As the manifest states it.
    pub fn name(&self) -> &str {
        &self.network.name
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.network.digest
    }

    /// Names of its attributes, in the order of the manifest.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// Whether it is a liveness network (anti-spoofing), which has no other attribute.
    pub fn is_liveness(&self) -> bool {
        self.is_liveness
    }

    /// Size of its input, in pixels: a crop, scaled without regard to its aspect ratio.
    pub fn size(&self) -> Size {
        self.network.size
    }

    /// Side of the crop relative to that of the object's box, with the same centre; positive.
    pub fn scale(&self) -> f32 {
        self.network.scale
    }

    /// Classifies pictures of [`AttributeClassifier::size`], RGB, in their order. Of each picture,
    /// attributes whose best label has less than the manifest's `min_confidence` are left out.
    /// Blocks until all are done. The CPU time of the network's runs is added to `meter`.
    ///
    /// # Errors
    /// A picture of another size, or a network that fails.
    pub fn classify(&self, pictures: &[RgbImage], meter: &Arc<CpuMeter>) -> Result<Vec<Vec<Feature>>, DetectError> {
        self.network.run(pictures, meter)
    }
}

/// Probability of each label of an attribute.
fn probabilities(head: &Head, output: Option<&Array>) -> Result<Vec<f32>, String> {
    let values = output.map(|output| output.data.as_slice()).unwrap_or_default();
    if values.len() != head.labels.len() || values.iter().any(|v| !v.is_finite()) {
        return Err(format!("{} values of {}, which has {} labels", values.len(), head.name, head.labels.len()));
    }
    if !head.logits {
        return Ok(values.iter().map(|value| value.clamp(0.0, 1.0)).collect());
    }
    // Relative to the largest, so that `exp` does not overflow.
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = values.iter().map(|value| (value - largest).exp()).collect();
    let total: f32 = powers.iter().sum();
    Ok(powers.into_iter().map(|power| power / total).collect())
}

/// The best label of one attribute, unless its probability is too low.
fn best(head: &Head, probabilities: &[f32]) -> Option<Feature> {
    let (label, &confidence) = head.labels.iter().zip(probabilities).max_by(|a, b| a.1.total_cmp(b.1))?;
    let feature = Feature { name: head.name.clone(), label: label.clone(), confidence };
    (confidence >= head.min_confidence).then_some(feature)
}

/// The liveness of a face, in the words of the API.
fn liveness(head: &Head, liveness: &Liveness, probabilities: &[f32]) -> Option<Feature> {
    let live = head.labels.iter().position(|label| *label == liveness.live)?;
    let score = *probabilities.get(live)?;
    Some(Feature::liveness(score, liveness.threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(logits: bool, min_confidence: f32) -> Head {
        let labels = ["red", "green", "blue"].map(str::to_owned).into();
        Head { name: "colour".into(), output: "out".into(), labels, logits, min_confidence }
    }

    fn values(data: &[f32]) -> Array {
        Array { dims: vec![data.len(), 1, 1], data: data.to_vec() }
    }

    /// The feature that is reported for an output.
    fn label(head: &Head, output: Option<&Array>) -> Result<Option<Feature>, String> {
        probabilities(head, output).map(|probabilities| best(head, &probabilities))
    }

    #[test]
    fn the_best_label_is_reported_with_its_probability() {
        let found = label(&head(false, 0.5), Some(&values(&[0.25, 0.625, 0.125]))).unwrap().unwrap();
        assert_eq!(found, Feature { name: "colour".into(), label: "green".into(), confidence: 0.625 });
        assert_eq!(label(&head(false, 0.7), Some(&values(&[0.25, 0.625, 0.125]))).unwrap(), None);
    }

    #[test]
    fn logits_go_through_a_softmax() {
        let found = label(&head(true, 0.0), Some(&values(&[1000.0, 1000.0 + 3f32.ln(), 0.0]))).unwrap().unwrap();
        assert_eq!(found.label, "green");
        assert!((found.confidence - 0.75).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn a_face_is_alive_from_the_threshold_on() {
        let keys = Liveness { live: "green".into(), threshold: 0.6 };
        let judged = |live: f32| {
            let probabilities = probabilities(&head(false, 0.0), Some(&values(&[0.0, live, 0.1]))).unwrap();
            let found = liveness(&head(false, 0.0), &keys, &probabilities).unwrap();
            (found.label.clone(), found.confidence, found.liveness_score().unwrap())
        };
        assert_eq!(judged(0.75), ("real".into(), 0.75, 0.75));
        assert_eq!(judged(0.6).0, "real");
        assert_eq!(judged(0.25), ("fake".into(), 0.75, 0.25));
    }

    #[test]
    fn other_outputs_are_errors() {
        assert!(label(&head(false, 0.0), Some(&values(&[0.5, 0.5]))).is_err());
        assert!(label(&head(false, 0.0), Some(&values(&[0.5, f32::NAN, 0.0]))).is_err());
        assert!(label(&head(false, 0.0), None).is_err());
    }
}
