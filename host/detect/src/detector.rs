//! A detector: pictures in, boxes in the frame out.

use std::{fs, path::Path, sync::Arc};

use ocellus_core::{
    CpuMeter, Error, ErrorKind, InputImage, InputSpec, Landmarks, ObjectType, Point, Rect, Size, Stage,
};
use sha2::{Digest, Sha256};

use crate::{
    Device,
    family::{Family, family},
    graph::{Array, InputShape, Network, NetworkError},
    manifest::{InputSize, Manifest, ManifestError, Model},
    nms::{Candidate, suppress},
    service::{Picture, Read, Scratch, Service, Waiting, run_batch},
};

/// A box that a detector found, in pixels of the frame. May reach over the frame's edge.
#[derive(Clone, Debug, PartialEq)]
pub struct RawDetection {
    pub object_type: ObjectType,
    pub rect: Rect,
    /// 0..=1, at least the manifest's threshold.
    pub score: f32,
    pub landmarks: Option<Landmarks>,
}

/// Why a detector's folder is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    #[error("{file}: {reason}")]
    Read { file: String, reason: String },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{file} is not the file that the manifest names: sha256 {actual}, expected {expected}")]
    Changed { file: String, expected: String, actual: String },
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// It loads, and a picture does not go through it.
    #[error("the first run: {0}")]
    FirstRun(String),
    #[error("all of its object types are already served by {0}")]
    Superseded(String),
}

/// Why pictures were not looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detector}: {reason}")]
pub struct DetectError {
    detector: String,
    reason: String,
}

impl DetectError {
    pub(crate) fn new(network: &str, reason: String) -> Self {
        Self { detector: network.to_owned(), reason }
    }

    /// The name of the detector or embedder.
    pub fn detector(&self) -> &str {
        &self.detector
    }
}

impl From<DetectError> for Error {
    fn from(error: DetectError) -> Self {
        Self::new(ErrorKind::Internal, format!("The detector {} failed.", error.detector)).because(error)
    }
}

/// A network with its family, shared by all jobs. Its threads end when the detector is dropped.
pub struct Detector {
    name: String,
    version: String,
    digest: String,
    licence: String,
    size: InputSize,
    /// By group.
    types: Vec<ObjectType>,
    iou: f32,
    family: Arc<dyn Family>,
    service: Service<Vec<Candidate>>,
}

/// A picture that a detector looks at.
pub struct PendingDetection<'a> {
    detector: &'a Detector,
    waiting: Waiting<Vec<Candidate>>,
    scale: f32,
}

impl PendingDetection<'_> {
    /// What was found, best first. Blocks until it is.
    ///
    /// # Errors
    /// A network that fails.
    pub fn wait(self) -> Result<Vec<RawDetection>, DetectError> {
        let Self { detector, waiting, scale } = self;
        Ok(detector.boxes(waiting.wait().map_err(|e| detector.failed(e))?, scale))
    }
}

impl Detector {
    /// Loads a detector's folder, without the object types that `taken` gives another detector for,
    /// and runs it once. Gives those types, too.
    pub(crate) fn load(
        folder: &Path,
        taken: &dyn Fn(&ObjectType) -> Option<String>,
        device: &Device,
    ) -> Result<(Self, Taken), LoadError> {
        let text = read_file(folder, "detector.toml")?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&text))?;
        let model = checked_model(folder, &manifest.model)?;
        let Groups { types, classes, superseded } = Groups::new(&manifest, taken)?;
        let size = manifest.input_size()?;
        // A CPU's workers take one picture each.
        let max_batch = if device.is_gpu() { manifest.input.max_batch } else { 1 };
        let (width, height) = match size {
            InputSize::Fixed { width, height } => (Some(width as usize), Some(height as usize)),
            InputSize::Adaptive { .. } => (None, None),
        };
        let shape = InputShape { batch: (max_batch == 1).then_some(1), width, height };
        let network = Network::open(&manifest.model.file, model, shape, device)?;
        let family: Arc<dyn Family> = family(&manifest, classes).into();
        let read = {
            let family = Arc::clone(&family);
            move |outputs: &[Array], width, height| family.decode(outputs, width, height).map_err(|e| e.to_string())
        };
        first_run(&network, &read, size, max_batch.min(2)).map_err(LoadError::FirstRun)?;

        let service = Service::start(&manifest.name, network, max_batch, Stage::Detect, read)
            .map_err(|e| LoadError::FirstRun(format!("no thread: {e}")))?;
        let detector = Self {
            name: manifest.name,
            version: manifest.version,
            digest: hexadecimal(&Sha256::digest(&text)),
            licence: manifest.licence,
            size,
            types,
            iou: manifest.thresholds.iou,
            family,
            service,
        };
        Ok((detector, superseded))
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// Of the weights, as an SPDX expression.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// What it reports; none that an earlier detector reports.
    pub fn types(&self) -> &[ObjectType] {
        &self.types
    }

    /// SHA-256 of the manifest, which holds that of the network: the same digest finds the same
    /// boxes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What to make of frames of this size. Asking for it is cheap.
    pub fn input(&self, frame: Size) -> InputSpec {
        let (order, fill) = self.family.picture();
        let (width, height) = input_size(self.size, frame);
        InputSpec { width, height, order, fill }
    }

    /// Pictures to have under way at once, so that it never waits for the next.
    pub fn depth(&self) -> usize {
        self.service.capacity()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }

    /// Begins to look for objects in a picture made for [`Detector::input`]. Waits only where
    /// [`Self::depth`] pictures wait already; called from many threads at once, whose pictures then
    /// share batches. What the network's run takes is added to `meter`.
    ///
    /// # Errors
    /// A picture that was not made for it.
    pub fn begin(&self, image: InputImage, meter: &Arc<CpuMeter>) -> Result<PendingDetection<'_>, DetectError> {
        let InputImage { spec, data, scale, frame } = image;
        let (width, height) = (spec.width as usize, spec.height as usize);
        if spec != self.input(frame) || data.len() != width * height * 3 || scale.is_nan() || scale <= 0.0 {
            return Err(self.failed("a picture that was not made for it"));
        }
        Ok(PendingDetection {
            detector: self,
            waiting: self.service.submit(Picture { width, height, data }, meter),
            scale,
        })
    }

    /// Finds objects in pictures; one list for each picture, best first. Blocks until all are done.
    ///
    /// # Errors
    /// As [`Detector::begin`], or a network that fails.
    pub fn detect(&self, images: Vec<InputImage>) -> Result<Vec<Vec<RawDetection>>, DetectError> {
        let nobodys = Arc::default();
        let looking = images.into_iter().map(|image| self.begin(image, &nobodys)).collect::<Result<Vec<_>, _>>()?;
        looking.into_iter().map(PendingDetection::wait).collect()
    }

    fn boxes(&self, found: Vec<Candidate>, scale: f32) -> Vec<RawDetection> {
        suppress(found, self.iou).into_iter().filter_map(|candidate| self.in_frame(candidate, scale)).collect()
    }

    fn in_frame(&self, candidate: Candidate, scale: f32) -> Option<RawDetection> {
        let Candidate { rect, score, group, landmarks } = candidate;
        let point = |p: Point| Point { x: p.x / scale, y: p.y / scale };
        let rect = Rect::new(rect.left / scale, rect.top / scale, rect.right / scale, rect.bottom / scale);
        let object_type = self.types.get(group)?.clone();
        Some(RawDetection { object_type, rect, score, landmarks: landmarks.map(|points| points.map(point)) })
    }

    fn failed(&self, reason: impl ToString) -> DetectError {
        DetectError::new(&self.name, reason.to_string())
    }
}

pub(crate) fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    let path = folder.join(name);
    fs::read(&path).map_err(|e| LoadError::Read { file: path.display().to_string(), reason: e.to_string() })
}

/// Reads the network that a manifest names, unless it is another file by then; it is the right one
/// now.
pub(crate) fn checked_model(
    folder: &Path,
    model: &Model,
) -> Result<impl Fn() -> Result<Vec<u8>, NetworkError> + Send + Sync + use<>, LoadError> {
    read_model(folder, model)?;
    let (folder, model) = (folder.to_owned(), model.clone());
    Ok(move || {
        read_model(&folder, &model).map_err(|e| NetworkError::Read { file: model.file.clone(), reason: e.to_string() })
    })
}

fn read_model(folder: &Path, model: &Model) -> Result<Vec<u8>, LoadError> {
    let bytes = read_file(folder, &model.file)?;
    let actual = hexadecimal(&Sha256::digest(&bytes));
    if actual != model.sha256 {
        let file = folder.join(&model.file).display().to_string();
        return Err(LoadError::Changed { file, expected: model.sha256.clone(), actual });
    }
    Ok(bytes)
}

/// Object types, each with the detector that finds it already.
pub(crate) type Taken = Vec<(ObjectType, String)>;

/// The classes of a network, by what they are reported as.
struct Groups {
    /// A group's object type.
    types: Vec<ObjectType>,
    /// A class's index in the network's output, and its group.
    classes: Vec<(usize, usize)>,
    superseded: Taken,
}

impl Groups {
    fn new(manifest: &Manifest, taken: &dyn Fn(&ObjectType) -> Option<String>) -> Result<Self, LoadError> {
        let mut groups = Self { types: vec![], classes: vec![], superseded: vec![] };
        for class in &manifest.classes {
            let object_type = &class.object_type;
            if let Some(by) = taken(object_type) {
                if !groups.superseded.iter().any(|(seen, _)| seen == object_type) {
                    groups.superseded.push((object_type.clone(), by));
                }
                continue;
            }
            let group = groups.types.iter().position(|t| t == object_type).unwrap_or_else(|| {
                groups.types.push(object_type.clone());
                groups.types.len() - 1
            });
            groups.classes.push((class.index, group));
        }
        match groups.superseded.first() {
            Some((_, by)) if groups.types.is_empty() => Err(LoadError::Superseded(by.clone())),
            _ => Ok(groups),
        }
    }
}

/// Sends grey pictures through: a network that cannot run, that takes no batch, or that is of
/// another family is found out here and not in the middle of a job.
fn first_run(network: &Network, read: impl Read<Vec<Candidate>>, size: InputSize, batch: usize) -> Result<(), String> {
    let (width, height) = match size {
        InputSize::Fixed { width, height } => (width as usize, height as usize),
        // Not square, so that rows and columns are told apart; small, since only shapes matter.
        InputSize::Adaptive { multiple, .. } => (4 * multiple as usize, 2 * multiple as usize),
    };
    let grey = Picture { width, height, data: vec![128; width * height * 3] };
    let outcomes = run_batch(network, vec![grey; batch], &mut Scratch::default(), read).map_err(|e| e.to_string())?;
    outcomes.into_iter().try_for_each(|outcome| outcome.map(drop)).map_err(|e| e.to_string())
}

fn input_size(size: InputSize, frame: Size) -> (u32, u32) {
    match size {
        InputSize::Fixed { width, height } => (width, height),
        InputSize::Adaptive { max_side, multiple } => {
            // A small frame is not blown up: that costs time and shows nothing more.
            let longer = frame.width.max(frame.height).max(1);
            let scale = (f64::from(max_side) / f64::from(longer)).min(1.0);
            let side = |n: u32| ((f64::from(n) * scale).round() as u32).clamp(1, max_side).next_multiple_of(multiple);
            (side(frame.width), side(frame.height))
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use ocellus_core::ChannelOrder;
    use proptest::prelude::*;

    use super::*;

    const ADAPTIVE: InputSize = InputSize::Adaptive { max_side: 640, multiple: 32 };

    #[test]
    fn adaptive_inputs_keep_the_aspect_and_do_not_blow_up() {
        let of = |width, height| input_size(ADAPTIVE, Size { width, height });
        assert_eq!(of(1920, 1080), (640, 384));
        assert_eq!(of(1080, 1920), (384, 640));
        assert_eq!(of(960, 540), (640, 384));
        assert_eq!(of(640, 480), (640, 480));
        assert_eq!(of(176, 144), (192, 160));
        assert_eq!(of(5000, 1), (640, 32));
    }

    proptest! {
        #[test]
        fn a_frame_fits_into_its_input(width in 1u32..8000, height in 1u32..8000) {
            let frame = Size { width, height };
            let (w, h) = input_size(ADAPTIVE, frame);
            prop_assert!(w % 32 == 0 && h % 32 == 0 && w <= 640 && h <= 640);
            let spec = InputSpec { width: w, height: h, order: ChannelOrder::Rgb, fill: 0 };
            let (shown, scale) = spec.fit(frame);
            prop_assert!(shown.width <= w && shown.height <= h);
            // A box that spans the picture spans the frame: letterboxing and its inverse agree to a
            // pixel of the input.
            prop_assert!((shown.width as f32 / scale - width as f32).abs() <= 1.0 / scale);
            prop_assert!((shown.height as f32 / scale - height as f32).abs() <= 1.0 / scale);
        }
    }
}
