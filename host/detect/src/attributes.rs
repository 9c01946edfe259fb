//! Classifier of attributes: crops of objects in, a label for each attribute out.
//!
//! It is data, as a detector is: a folder with a manifest (`attributes.toml`) and a network with
//! one output for each attribute, `[batch, labels]`: the probability of each label, or its logit.

use std::{path::Path, sync::Arc};

use ocellus_core::{ChannelOrder, CpuMeter, ObjectType, RgbImage, Size, Stage};

use crate::{
    array::Array,
    detect_error::DetectError,
    device::Device,
    loading::{LoadError, checked_model, digest, read_file, start_service},
    manifest::{AttributesManifest, Head, InputSize},
    service::{Picture, Service, ServiceSpec},
};

/// What a classifier says of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// As the manifest states it, such as `colour`.
    pub name: String,
    /// One of the manifest's labels, such as `red`.
    pub label: String,
    /// Probability of the label, 0..=1.
    pub confidence: f32,
}

/// A network that classifies objects of one type, shared by all jobs. Its threads end when it is
/// dropped.
pub struct AttributeClassifier {
    name: String,
    version: String,
    digest: String,
    licence: String,
    object_type: ObjectType,
    size: Size,
    order: ChannelOrder,
    attributes: Vec<String>,
    service: Service<Vec<Attribute>>,
}

impl AttributeClassifier {
    pub(crate) fn load(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let text = read_file(folder, "attributes.toml")?;
        let wrong =
            |reason: String| LoadError::Read { file: folder.join("attributes.toml").display().to_string(), reason };
        let manifest = AttributesManifest::parse(&String::from_utf8_lossy(&text)).map_err(wrong)?;
        manifest.model.check()?;
        let model = checked_model(folder, &manifest.model)?;
        let (width, height) = (manifest.input.width, manifest.input.height);
        let spec = ServiceSpec {
            name: &manifest.name,
            file: &manifest.model.file,
            input: InputSize::Fixed { width, height },
            max_batch: manifest.input.max_batch,
            normalization: manifest.input.normalization().map_err(wrong)?,
            stage: Stage::Embed,
        };
        let attributes = manifest.attributes.iter().map(|head| head.name.clone()).collect();
        let heads: Arc<[Head]> = manifest.attributes.into();
        let decode = |outputs: &[String]| {
            let places = heads.iter().map(|head| {
                let place = outputs.iter().position(|output| *output == head.output);
                place.ok_or_else(|| format!("no output {:?}; the network has {}", head.output, outputs.join(", ")))
            });
            let places: Arc<[usize]> = places.collect::<Result<_, _>>()?;
            Ok(move |outputs: &[Array], _: usize, _: usize| {
                let labels = heads.iter().zip(places.iter()).map(|(head, &place)| label(head, outputs.get(place)));
                Ok(labels.collect::<Result<Vec<_>, String>>()?.into_iter().flatten().collect())
            })
        };
        // Attributes are computed now and then, where a detector sees every frame.
        let (service, _) = start_service(&spec, model, &device.with_single_worker(), decode)?;
        Ok(Self {
            name: manifest.name,
            version: manifest.version,
            digest: digest(&text),
            licence: manifest.licence,
            object_type: manifest.object_type,
            size: Size { width, height },
            order: manifest.input.order.unwrap_or(ChannelOrder::Rgb),
            attributes,
            service,
        })
    }

    /// As the manifest states it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn licence(&self) -> &str {
        &self.licence
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn object_type(&self) -> &ObjectType {
        &self.object_type
    }

    /// Names of its attributes, in the order of the manifest.
    pub fn attributes(&self) -> &[String] {
        &self.attributes
    }

    /// Size of its input, in pixels: the box of an object, scaled without regard to its aspect
    /// ratio.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Classifies pictures of [`AttributeClassifier::size`], RGB, in their order. Of each picture,
    /// attributes whose best label has less than the manifest's `min_confidence` are left out.
    /// Blocks until all are done. The CPU time of the network's runs is added to `meter`.
    ///
    /// # Errors
    /// A picture of another size, or a network that fails.
    pub fn classify(&self, pictures: &[RgbImage], meter: &Arc<CpuMeter>) -> Result<Vec<Vec<Attribute>>, DetectError> {
        let failed = |reason: String| DetectError::new(&self.name, reason);
        let pictures = Picture::of_crops(pictures, self.size, self.order).map_err(failed)?;
        let outcomes = self.service.run(pictures, meter);
        outcomes.into_iter().map(|outcome| outcome.map_err(|e| failed(e.to_string()))).collect()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }
}

/// The best label of one attribute, unless the network is not sure enough.
fn label(head: &Head, output: Option<&Array>) -> Result<Option<Attribute>, String> {
    let values = output.map(|output| output.data.as_slice()).unwrap_or_default();
    if values.len() != head.labels.len() || values.iter().any(|v| !v.is_finite()) {
        return Err(format!("{} values of {}, which has {} labels", values.len(), head.name, head.labels.len()));
    }
    let Some((best, &value)) = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else { return Ok(None) };
    let confidence = if head.logits {
        1.0 / values.iter().map(|other| (other - value).exp()).sum::<f32>()
    } else {
        value.clamp(0.0, 1.0)
    };
    let attribute =
        head.labels.get(best).map(|label| Attribute { name: head.name.clone(), label: label.clone(), confidence });
    Ok(attribute.filter(|attribute| attribute.confidence >= head.min_confidence))
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

    #[test]
    fn the_best_label_is_reported_with_its_probability() {
        let found = label(&head(false, 0.5), Some(&values(&[0.25, 0.625, 0.125]))).unwrap().unwrap();
        assert_eq!(found, Attribute { name: "colour".into(), label: "green".into(), confidence: 0.625 });
        assert_eq!(label(&head(false, 0.7), Some(&values(&[0.25, 0.625, 0.125]))).unwrap(), None);
    }

    #[test]
    fn logits_go_through_a_softmax() {
        let found = label(&head(true, 0.0), Some(&values(&[1000.0, 1000.0 + 3f32.ln(), 0.0]))).unwrap().unwrap();
        assert_eq!(found.label, "green");
        assert!((found.confidence - 0.75).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn other_outputs_are_errors() {
        assert!(label(&head(false, 0.0), Some(&values(&[0.5, 0.5]))).is_err());
        assert!(label(&head(false, 0.0), Some(&values(&[0.5, f32::NAN, 0.0]))).is_err());
        assert!(label(&head(false, 0.0), None).is_err());
    }
}
