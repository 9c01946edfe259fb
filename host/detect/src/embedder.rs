//! An embedder: pictures of single things in, numbers out by which identities are told apart.
//!
//! It is data, as a detector is: a folder with a manifest (`embedder.toml`) and an ONNX file of one
//! input and one output, a row for each picture. The smaller the Euclidean distance of two rows,
//! the likelier they are of one identity.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use ocellus_core::{CpuMeter, ObjectType, Point, RgbImage, Size, Stage};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    array::{Array, InputShape},
    detector::{DetectError, LoadError, checked_model, hexadecimal, read_file},
    device::Device,
    manifest::Model,
    network::Network,
    pending::Pending,
    registry::{FolderError, Refused, sub_folders},
    service::{Picture, Scratch, Service, ServiceError, run_batch},
};

/// The most pictures that may go through at once, and the longest side of one, in pixels.
const MAX_BATCH: usize = 64;
const MAX_SIDE: u32 = 1024;

/// `embedder.toml`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    version: String,
    #[serde(default)]
    #[allow(dead_code, reason = "for people")]
    description: String,
    /// Of the weights, as an SPDX expression.
    licence: String,
    object_type: ObjectType,
    model: Model,
    input: Input,
    distance: Distance,
    tracking: Option<Tracking>,
    /// Where `cargo xtask setup` gets the model from.
    #[serde(default)]
    #[allow(dead_code, reason = "for the set-up")]
    source: Option<toml::Table>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    width: u32,
    height: u32,
    #[serde(default = "one")]
    max_batch: usize,
    /// Where the picture has left eye, right eye, nose, left and right corner of the mouth; absent
    /// for what has no landmarks.
    landmarks: Option<[[f32; 2]; 5]>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Distance {
    /// Two pictures whose rows are nearer than this are held to be of one identity.
    same: f32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tracking {
    /// The mean row of many identities.
    centre: Vec<f32>,
}

fn one() -> usize {
    1
}

/// A network that tells identities of one object type apart, shared by all jobs. Its threads end
/// with it.
pub struct Embedder {
    name: String,
    digest: String,
    object_type: ObjectType,
    size: Size,
    landmarks: Option<[Point; 5]>,
    same: f32,
    centre: Option<Vec<f32>>,
    service: Service<Vec<f32>>,
}

impl Embedder {
    fn load(folder: &Path, device: &Device) -> Result<(Self, LoadedEmbedder), LoadError> {
        let text = read_file(folder, "embedder.toml")?;
        let wrong =
            |reason: String| LoadError::Read { file: folder.join("embedder.toml").display().to_string(), reason };
        let manifest: Manifest =
            toml::from_str(&String::from_utf8_lossy(&text)).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        let Input { width, height, max_batch, landmarks } = manifest.input;
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(wrong(format!(
                "input: {max_batch} pictures of {width}x{height}: 1 to {MAX_BATCH}, of at most {MAX_SIDE} a side"
            )));
        }
        if !(manifest.distance.same > 0.0 && manifest.distance.same.is_finite()) {
            return Err(wrong(format!("distance.same: {}: a positive number", manifest.distance.same)));
        }
        manifest.model.check()?;
        let model = checked_model(folder, &manifest.model)?;
        let max_batch = if device.is_gpu() { max_batch } else { 1 };
        let (columns, rows) = (width as usize, height as usize);
        let shape = InputShape { batch: (max_batch == 1).then_some(1), width: Some(columns), height: Some(rows) };
        let network = Network::open(&manifest.model.file, model, shape, &device.with_single_worker())?;
        let grey = Picture { width: columns, height: rows, data: vec![128; columns * rows * 3] };
        let first_run = || -> Result<usize, ServiceError> {
            let rows = run_batch(&network, vec![grey; max_batch.min(2)], &mut Scratch::default(), row)?;
            Ok(rows.into_iter().collect::<Result<Vec<_>, _>>()?.first().map_or(0, Vec::len))
        };
        let numbers = first_run().map_err(|e| LoadError::FirstRun(e.to_string()))?;
        let centre = manifest.tracking.map(|t| t.centre);
        if let Some(centre) = centre.as_ref().filter(|c| c.len() != numbers || !c.iter().all(|v| v.is_finite())) {
            return Err(wrong(format!("tracking.centre: {} numbers, where rows have {numbers}", centre.len())));
        }
        let service = Service::start(&manifest.name, network, max_batch, Stage::Embed, row)
            .map_err(|e| LoadError::FirstRun(format!("no thread: {e}")))?;
        let loaded = LoadedEmbedder {
            name: manifest.name.clone(),
            version: manifest.version,
            object_type: manifest.object_type.clone(),
            numbers,
            digest: hexadecimal(&Sha256::digest(&text)),
            licence: manifest.licence,
        };
        let embedder = Self {
            name: manifest.name,
            digest: loaded.digest.clone(),
            object_type: manifest.object_type,
            size: Size { width, height },
            landmarks: landmarks.map(|points| points.map(|[x, y]| Point { x, y })),
            same: manifest.distance.same,
            centre,
            service,
        };
        Ok((embedder, loaded))
    }
}

/// The row among a network's outputs for one picture.
fn row(outputs: &[Array], _width: usize, _height: usize) -> Result<Vec<f32>, String> {
    match outputs {
        [Array { dims, data }] if dims.len() == 1 && !data.is_empty() && data.iter().all(|v| v.is_finite()) => {
            Ok(data.clone())
        }
        outputs => {
            let dims: Vec<_> = outputs.iter().map(|o| &o.dims).collect();
            Err(format!("outputs {dims:?} for a picture, where an embedder gives a row of numbers"))
        }
    }
}

impl Embedder {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the manifest, which holds that of the network: rows of another digest cannot be
    /// compared.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Of the pictures that it takes.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Where its pictures have left eye, right eye, nose, left and right corner of the mouth, if it
    /// wants them aligned.
    pub fn landmarks(&self) -> Option<&[Point; 5]> {
        self.landmarks.as_ref()
    }

    /// The Euclidean distance below which two rows are held to be of one identity.
    pub fn same(&self) -> f32 {
        self.same
    }

    /// Whether there are [`Self::direction`]s.
    pub fn has_directions(&self) -> bool {
        self.centre.is_some()
    }

    /// Where a row lies from the middle of all rows, of length 1, for those who compare by cosine;
    /// empty where the manifest does not say where that is.
    pub fn direction(&self, row: &[f32]) -> Vec<f32> {
        let Some(centre) = &self.centre else { return Vec::new() };
        let from_centre: Vec<f32> = row.iter().zip(centre).map(|(v, c)| v - c).collect();
        let length = from_centre.iter().map(|v| v * v).sum::<f32>().sqrt();
        if length > 0.0 { from_centre.into_iter().map(|v| v / length).collect() } else { Vec::new() }
    }

    /// A row of numbers for each picture of [`Embedder::size`]. Blocks until all are done; pictures
    /// of callers that wait share batches. What the network's runs take is added to `meter`.
    ///
    /// # Errors
    /// A picture of another size, or a network that fails.
    pub fn embed(&self, pictures: &[RgbImage], meter: &Arc<CpuMeter>) -> Result<Vec<Vec<f32>>, DetectError> {
        let failed = |reason: String| DetectError::new(&self.name, reason);
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        if let Some(p) = pictures.iter().find(|p| (p.width, p.height) != (self.size.width, self.size.height)) {
            return Err(failed(format!("a picture of {}x{}, where it takes {width}x{height}", p.width, p.height)));
        }
        let outcomes =
            self.service.run(pictures.iter().map(|p| Picture { width, height, data: p.data.clone() }).collect(), meter);
        outcomes.into_iter().map(|outcome| outcome.map_err(|e| failed(e.to_string()))).collect()
    }
}

/// The embedders of a folder. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Embedders(Arc<Pending<Set>>);

#[derive(Default)]
struct Set {
    embedders: Vec<Arc<Embedder>>,
    report: EmbedderReport,
}

/// What was loaded and what was not, for the operator.
#[derive(Clone, Debug, Default, Serialize)]
pub struct EmbedderReport {
    /// The networks are not ready yet; who needs one waits for it.
    pub loading: bool,
    pub embedders: Vec<LoadedEmbedder>,
    pub refused: Vec<Refused>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LoadedEmbedder {
    pub name: String,
    pub version: String,
    pub object_type: ObjectType,
    /// In a row.
    pub numbers: usize,
    pub digest: String,
    pub licence: String,
}

impl Default for Embedders {
    fn default() -> Self {
        Self(Pending::promised().0)
    }
}

impl Embedders {
    /// Loads every sub-folder of `folder`, in the order of their names; of two for one object type
    /// the first is used. A folder that cannot be used is reported and does not keep the others
    /// from being used.
    pub fn load(folder: &Path, device: &Device) -> Result<Self, FolderError> {
        let (embedders, load) = Self::open(folder, device)?;
        load();
        Ok(embedders)
    }

    /// Reads what there is to load. The loading is left to the caller, on whatever thread; where it
    /// is not done, there are none.
    pub fn open(folder: &Path, device: &Device) -> Result<(Self, impl FnOnce() + Send + use<>), FolderError> {
        let folders = sub_folders(folder).map_err(|source| FolderError::new(folder, source))?;
        let (loaded, promise) = Pending::promised();
        let device = device.clone();
        Ok((Self(loaded), move || promise.keep(Set::load(&folders, &device))))
    }

    /// The one that tells identities of this type apart, if any. Waits until all are loaded.
    pub fn for_type(&self, object_type: &ObjectType) -> Option<&Arc<Embedder>> {
        self.0.wait().embedders.iter().find(|e| e.object_type == *object_type)
    }

    /// As [`Detectors::make_room`](crate::Detectors::make_room).
    pub fn make_room(&self, wanted: &[ObjectType]) -> bool {
        let embedders = self.0.get().into_iter().flat_map(|set| &set.embedders);
        // All are asked: each lets go of its own.
        embedders.filter(|e| !wanted.contains(&e.object_type)).filter(|e| e.service.release_if_idle()).count() > 0
    }

    /// What was loaded and what was not; nothing yet while it is being loaded.
    pub fn report(&self) -> EmbedderReport {
        self.0
            .get()
            .map_or_else(|| EmbedderReport { loading: true, ..EmbedderReport::default() }, |set| set.report.clone())
    }
}

impl Set {
    fn load(folders: &[(String, PathBuf)], device: &Device) -> Self {
        let mut embedders: Vec<Arc<Embedder>> = Vec::new();
        let mut report = EmbedderReport::default();
        for (name, path) in folders {
            let reason = match Embedder::load(path, device) {
                Ok((embedder, loaded)) => match embedders.iter().find(|e| e.object_type == embedder.object_type) {
                    None => {
                        report.embedders.push(loaded);
                        embedders.push(Arc::new(embedder));
                        continue;
                    }
                    Some(first) => LoadError::Superseded(first.name.clone()).to_string(),
                },
                Err(error) => error.to_string(),
            };
            tracing::warn!(embedder = name, reason, "an embedder is not used");
            report.refused.push(Refused { name: name.clone(), reason });
        }
        Self { embedders, report }
    }
}
