//! Embedder: crops of objects in, embeddings out, by which identities are compared.
//!
//! An embedder is a folder with a manifest (`embedder.toml`) and a network of one input and one
//! output, `[batch, dimension]`. The smaller the Euclidean distance of two embeddings, the likelier
//! their objects are one identity.

use std::{path::Path, sync::Arc};

use ocellus_core::{CpuMeter, Point, RgbImage, Size};

use crate::{
    array::Array,
    crop_network::{CropNetwork, Loaded},
    detect_error::DetectError,
    device::Device,
    loading::{LoadError, digest},
    manifest::{EmbedderKeys, EmbedderManifest},
};

/// Name of its manifest.
const MANIFEST: &str = "embedder.toml";

/// A network that computes embeddings of one object type, shared by all jobs. Its threads end when
/// it is dropped.
pub struct Embedder {
    pub(crate) network: CropNetwork<Vec<f32>>,
    id: String,
    landmarks: Option<[Point; 5]>,
    dimension: usize,
    same: f32,
    jump: f32,
    /// Embeddings have length 1.
    unit_length: bool,
    /// Mean of many embeddings, of the same dimension.
    centre: Option<Vec<f32>>,
}

impl Embedder {
    pub(crate) fn load(folder: &Path, device: &Device) -> Result<Self, LoadError> {
        let decode = |keys: &EmbedderKeys, _: &[String]| {
            let unit_length = keys.distance.unit_length;
            Ok(move |outputs: &[Array], _: usize, _: usize| {
                let embedding = embedding(outputs)?;
                Ok(if unit_length { unit(embedding) } else { embedding })
            })
        };
        let Loaded { network, manifest, text, first } = CropNetwork::load(folder, MANIFEST, device, decode)?;
        let EmbedderKeys { distance, tracking, embedding_id, .. } = manifest.keys;
        let dimension = first.first().map_or(0, Vec::len);
        let centre = tracking.map(|tracking| tracking.centre);
        if let Some(centre) = centre.as_ref().filter(|c| c.len() != dimension || !c.iter().all(|v| v.is_finite())) {
            let reason = format!("tracking.centre: {} numbers, where rows have {dimension}", centre.len());
            return Err(LoadError::in_file(folder, MANIFEST, reason));
        }
        Ok(Self {
            network,
            id: embedding_id.unwrap_or_else(|| digest(EmbedderManifest::network(&text).as_bytes())),
            landmarks: manifest.input.landmarks.map(|points| points.map(|[x, y]| Point { x, y })),
            dimension,
            same: distance.same,
            jump: distance.jump(),
            unit_length: distance.unit_length,
            centre,
        })
    }

    /// As the manifest states it.
    pub fn name(&self) -> &str {
        &self.network.name
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.network.digest
    }

    /// Name under which its embeddings are kept: only those under one name can be compared.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Dimension of its embeddings.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension
    }

    /// Size of its input, in pixels.
    pub fn size(&self) -> Size {
        self.network.size
    }

    /// Side of a plain crop relative to that of the object's box, with the same centre; positive.
    pub fn scale(&self) -> f32 {
        self.network.scale
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

    /// Euclidean distance from which on two successive pictures of one track show two identities;
    /// positive.
    pub fn jump(&self) -> f32 {
        self.jump
    }

    /// Whether [`Self::direction`] is defined: with a centre in the manifest, or embeddings of
    /// length 1.
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
        self.network.run(pictures, meter)
    }
}

/// Decodes a network's outputs for one picture: one output, one embedding.
fn embedding(outputs: &[Array]) -> Result<Vec<f32>, String> {
    match outputs {
        // Some networks return the embedding as a picture of one pixel.
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
