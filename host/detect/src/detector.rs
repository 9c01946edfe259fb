//! Detector: pictures in, boxes in the frame out.
//!
//! Owns a network, its family and the threads that run it, and is shared by all jobs. The threads
//! end when the detector is dropped.

use std::{path::Path, sync::Arc};

use ocellus_core::{
    ChannelOrder, CpuMeter, InputImage, InputSpec, Landmarks, ObjectType, Point, Rect, ScoreThresholds, Size, Stage,
};

use crate::{
    array::Array,
    detect_error::DetectError,
    device::Device,
    family::{Family, family},
    loading::{LoadError, checked_model, digest, read_file, start_service},
    manifest::{InputSize, Manifest},
    nms::{RawBox, suppress},
    service::{PendingOutcome, Picture, Service, ServiceSpec},
};

/// A box that a detector found. May reach beyond the frame's edges.
#[derive(Clone, Debug, PartialEq)]
pub struct RawDetection {
    /// One of [`Detector::types`].
    pub object_type: ObjectType,
    /// Pixels of the frame, not of the network's input.
    pub rect: Rect,
    /// The network's confidence, 0..=1.
    pub score: f32,
    /// Pixels of the frame; `None` where the family has none.
    pub landmarks: Option<Landmarks>,
}

/// A network with its family, shared by all jobs. Its threads end when it is dropped.
pub struct Detector {
    name: String,
    version: String,
    digest: String,
    licence: String,
    size: InputSize,
    /// By the group of a box.
    types: Vec<ObjectType>,
    iou: f32,
    scores: ScoreThresholds,
    /// Order of the channels, and the byte beside the scaled frame.
    format: (ChannelOrder, u8),
    service: Service<Vec<RawBox>>,
}

/// A picture in the queue of a detector, or in its network.
pub struct PendingDetection<'a> {
    detector: &'a Detector,
    outcome: PendingOutcome<Vec<RawBox>>,
    scale: f32,
}

impl PendingDetection<'_> {
    /// Blocks until the network has run, and returns what was found, best score first; weak boxes,
    /// too ([`Detector::scores`]).
    ///
    /// # Errors
    /// A network that fails.
    pub fn wait(self) -> Result<Vec<RawDetection>, DetectError> {
        let Self { detector, outcome, scale } = self;
        Ok(detector.detections(outcome.wait().map_err(|e| detector.failed(e))?, scale))
    }
}

impl Detector {
    /// Loads a detector's folder and runs the network once. Object types for which `taken` names
    /// another detector are left out and returned.
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
        let family: Arc<dyn Family> = family(&manifest, classes).into();
        let (order, fill) = family.input_format();
        let format = (manifest.input.order.unwrap_or(order), fill);
        let decode =
            move |outputs: &[Array], width, height| family.decode(outputs, width, height).map_err(|e| e.to_string());
        let spec = ServiceSpec {
            name: &manifest.name,
            file: &manifest.model.file,
            input: size,
            max_batch: manifest.input.max_batch,
            normalization: manifest.normalization()?,
            stage: Stage::Detect,
        };
        let (service, _) = start_service(&spec, model, device, |_| Ok(decode))?;
        let detector = Self {
            name: manifest.name,
            version: manifest.version,
            digest: digest(&text),
            licence: manifest.licence,
            size,
            types,
            iou: manifest.thresholds.iou,
            scores: manifest.thresholds.scores(),
            format,
            service,
        };
        Ok((detector, superseded))
    }

    /// Unique among the detectors of a folder; lower case, digits and `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As the manifest states it.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Licence of the weights, as an SPDX expression.
    pub fn licence(&self) -> &str {
        &self.licence
    }

    /// Object types that it reports; none that an earlier detector reports.
    pub fn types(&self) -> &[ObjectType] {
        &self.types
    }

    /// Scores from which on what it finds counts.
    pub fn scores(&self) -> ScoreThresholds {
        self.scores
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal. The
    /// same digest on the same device gives the same boxes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The input to make of a frame of this size. Cheap.
    pub fn input(&self, frame: Size) -> InputSpec {
        let (order, fill) = self.format;
        let (width, height) = input_size(self.size, frame);
        InputSpec { width, height, order, fill }
    }

    /// Pictures to keep in its queue, so that its workers never wait for the next.
    pub fn depth(&self) -> usize {
        self.service.capacity()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }

    /// Queues a picture made for [`Detector::input`]. Blocks while [`Self::depth`] pictures are
    /// queued; concurrent callers' pictures share batches on a GPU. The CPU time of the network's
    /// run is added to `meter`.
    ///
    /// # Errors
    /// A picture that was made for another input.
    pub fn begin(&self, image: InputImage, meter: &Arc<CpuMeter>) -> Result<PendingDetection<'_>, DetectError> {
        let InputImage { spec, data, scale, frame } = image;
        let (width, height) = (spec.width as usize, spec.height as usize);
        if spec != self.input(frame) || data.len() != width * height * 3 || scale.is_nan() || scale <= 0.0 {
            return Err(self.failed("a picture that was not made for it"));
        }
        let outcome = self.service.submit(Picture { width, height, data }, meter);
        Ok(PendingDetection { detector: self, outcome, scale })
    }

    /// Finds objects in pictures made for [`Detector::input`]; one list for each picture, best
    /// score first, without weak boxes, which say nothing of a single picture. Blocks until all are
    /// done. CPU time is not metered.
    ///
    /// # Errors
    /// As [`Detector::begin`], or a network that fails.
    pub fn detect(&self, images: Vec<InputImage>) -> Result<Vec<Vec<RawDetection>>, DetectError> {
        let unmetered = Arc::default();
        let pending = images.into_iter().map(|image| self.begin(image, &unmetered)).collect::<Result<Vec<_>, _>>()?;
        let found = |pending: PendingDetection<'_>| {
            let mut all = pending.wait()?;
            all.retain(|found| found.score >= self.scores.min);
            Ok(all)
        };
        pending.into_iter().map(found).collect()
    }

    fn detections(&self, found: Vec<RawBox>, scale: f32) -> Vec<RawDetection> {
        suppress(found, self.iou).into_iter().filter_map(|raw| self.in_frame(raw, scale)).collect()
    }

    /// Maps a box from the network's input to the frame.
    fn in_frame(&self, raw: RawBox, scale: f32) -> Option<RawDetection> {
        let RawBox { rect, score, group, landmarks } = raw;
        let point = |p: Point| Point { x: p.x / scale, y: p.y / scale };
        let rect = Rect::new(rect.left / scale, rect.top / scale, rect.right / scale, rect.bottom / scale);
        let object_type = self.types.get(group)?.clone();
        Some(RawDetection { object_type, rect, score, landmarks: landmarks.map(|points| points.map(point)) })
    }

    fn failed(&self, reason: impl ToString) -> DetectError {
        DetectError::new(&self.name, reason)
    }
}

/// Object types that are left to another detector, each with its name.
pub(crate) type Taken = Vec<(ObjectType, String)>;

/// Classes of a network, grouped by the object type that they are reported as.
struct Groups {
    /// By group.
    types: Vec<ObjectType>,
    /// Index in the network's output, and group.
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

/// Width and height in pixels of the input for a frame.
fn input_size(size: InputSize, frame: Size) -> (u32, u32) {
    match size {
        InputSize::Fixed { width, height } => (width, height),
        InputSize::Adaptive { max_side, multiple } => {
            // Small frames are not enlarged: that costs time and adds no detail.
            let longer = frame.width.max(frame.height).max(1);
            let scale = (f64::from(max_side) / f64::from(longer)).min(1.0);
            let side = |n: u32| ((f64::from(n) * scale).round() as u32).clamp(1, max_side).next_multiple_of(multiple);
            (side(frame.width), side(frame.height))
        }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::ChannelOrder;
    use proptest::prelude::*;

    use super::*;

    const ADAPTIVE: InputSize = InputSize::Adaptive { max_side: 640, multiple: 32 };

    #[test]
    fn adaptive_inputs_keep_the_aspect_ratio_and_do_not_enlarge() {
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
            // Letterboxing and its inverse agree to a pixel of the input.
            prop_assert!((shown.width as f32 / scale - width as f32).abs() <= 1.0 / scale);
            prop_assert!((shown.height as f32 / scale - height as f32).abs() <= 1.0 / scale);
        }
    }
}
