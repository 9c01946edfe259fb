//! Embedder: crops of objects in, embeddings out, by which identities are compared.
//!
//! It is data, as a detector is: a folder with a manifest (`embedder.toml`) and a network of one
//! input and one output, `[batch, dimension]`. The smaller the Euclidean distance of two
//! embeddings, the likelier their objects are one identity.

use std::{path::Path, sync::Arc};

use ocellus_core::{ChannelOrder, CpuMeter, ObjectType, Point, RgbImage, Size, Stage};

use crate::{
    array::Array,
    detect_error::DetectError,
    device::Device,
    loading::{LoadError, checked_model, digest, read_file, start_service},
    manifest::{EmbedderManifest, InputSize},
    service::{Picture, Service, ServiceSpec},
};

/// A network that computes embeddings of one object type, shared by all jobs. Its threads end when
/// it is dropped.
pub struct Embedder {
    name: String,
    version: String,
    digest: String,
    id: String,
    licence: String,
    object_type: ObjectType,
    size: Size,
    order: ChannelOrder,
    landmarks: Option<[Point; 5]>,
    dimension: usize,
    same: f32,
    jump: f32,
    /// Embeddings have length 1.
    unit_length: bool,
    /// Mean of many embeddings, of the same dimension.
    centre: Option<Vec<f32>>,
    service: Service<Vec<f32>>,
}

impl Embedder {
    pub(crate) fn load(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let text = read_file(folder, "embedder.toml")?;
        let wrong =
            |reason: String| LoadError::Read { file: folder.join("embedder.toml").display().to_string(), reason };
        let manifest = EmbedderManifest::parse(&String::from_utf8_lossy(&text)).map_err(wrong)?;
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
        let unit_length = manifest.distance.unit_length;
        let decode = move |outputs: &[Array], _: usize, _: usize| {
            let embedding = embedding(outputs)?;
            Ok(if unit_length { unit(embedding) } else { embedding })
        };
        // Embeddings are computed now and then, where a detector sees every frame.
        let (service, first) = start_service(&spec, model, &device.with_single_worker(), |_| Ok(decode))?;
        let dimension = first.first().map_or(0, Vec::len);
        let centre = manifest.tracking.map(|tracking| tracking.centre);
        if let Some(centre) = centre.as_ref().filter(|c| c.len() != dimension || !c.iter().all(|v| v.is_finite())) {
            return Err(wrong(format!("tracking.centre: {} numbers, where rows have {dimension}", centre.len())));
        }
        Ok(Self {
            name: manifest.name,
            version: manifest.version,
            digest: digest(&text),
            id: manifest
                .embedding_id
                .unwrap_or_else(|| digest(EmbedderManifest::network(&String::from_utf8_lossy(&text)).as_bytes())),
            licence: manifest.licence,
            object_type: manifest.object_type,
            size: Size { width, height },
            order: manifest.input.order.unwrap_or(ChannelOrder::Rgb),
            landmarks: manifest.input.landmarks.map(|points| points.map(|[x, y]| Point { x, y })),
            dimension,
            same: manifest.distance.same,
            jump: manifest.distance.jump(),
            unit_length,
            centre,
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

    /// Name under which its embeddings are kept: only those under one name can be compared.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn object_type(&self) -> &ObjectType {
        &self.object_type
    }

    /// Dimension of its embeddings.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Size of its input, in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Positions, in pixels of the input, to which left eye, right eye, nose, left and right corner
    /// of the mouth have to be aligned; `None` where the input is a plain crop.
    pub fn landmarks(&self) -> Option<&[Point; 5]> {
        self.landmarks.as_ref()
    }

    /// Euclidean distance below which two embeddings count as one identity; positive.
    pub fn same(&self) -> f32 {
        self.same
    }

    /// Euclidean distance from which on two pictures of one track that follow on each other show
    /// two individuals; positive.
    pub fn jump(&self) -> f32 {
        self.jump
    }

    /// Whether [`Self::direction`] is defined, which takes a centre in the manifest, or embeddings
    /// of length 1.
    pub fn has_directions(&self) -> bool {
        self.centre.is_some() || self.unit_length
    }

    /// The unit vector from the centre of all embeddings to this one, for comparison by cosine.
    /// Embeddings of length 1 are their own direction where the manifest has no centre. Empty where
    /// there is no direction, or the embedding lies on the centre.
    pub fn direction(&self, embedding: &[f32]) -> Vec<f32> {
        let Some(centre) = &self.centre else {
            return if self.unit_length { embedding.to_vec() } else { Vec::new() };
        };
        let from_centre: Vec<f32> = embedding.iter().zip(centre).map(|(v, c)| v - c).collect();
        let length = from_centre.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length > 0.0 { from_centre.into_iter().map(|v| v / length).collect() } else { Vec::new() }
    }

    /// Computes the embeddings of pictures of [`Embedder::size`], RGB, in their order. Blocks until
    /// all are done; concurrent callers' pictures share batches on a GPU. The CPU time of the
    /// network's runs is added to `meter`.
    ///
    /// # Errors
    /// A picture of another size, or a network that fails.
    pub fn embed(&self, pictures: &[RgbImage], meter: &Arc<CpuMeter>) -> Result<Vec<Vec<f32>>, DetectError> {
        let failed = |reason: String| DetectError::new(&self.name, reason);
        let pictures = Picture::of_crops(pictures, self.size, self.order).map_err(failed)?;
        let outcomes = self.service.run(pictures, meter);
        outcomes.into_iter().map(|outcome| outcome.map_err(|e| failed(e.to_string()))).collect()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }
}

/// Decodes a network's outputs for one picture: one output, one embedding.
fn embedding(outputs: &[Array]) -> Result<Vec<f32>, String> {
    match outputs {
        // Some networks have the embedding as a picture of one pixel.
        [Array { dims, data }] if dims.iter().filter(|&&n| n != 1).count() <= 1 && is_row(data) => Ok(data.clone()),
        outputs => {
            let dims: Vec<_> = outputs.iter().map(|o| &o.dims).collect();
            Err(format!("outputs {dims:?} for a picture, where an embedder gives a row of numbers"))
        }
    }
}

fn is_row(data: &[f32]) -> bool {
    !data.is_empty() && data.iter().all(|v| v.is_finite())
}

/// Scales to length 1; zeros stay zeros.
fn unit(mut embedding: Vec<f32>) -> Vec<f32> {
    let length = embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 0.0 {
        embedding.iter_mut().for_each(|v| *v /= length);
    }
    embedding
}
