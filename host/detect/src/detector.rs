//! Detector: pictures in, boxes in the frame out.
//!
//! Owns a network, its family and the threads that run it, and is shared by all jobs. The threads
//! end when the detector is dropped.

use std::{path::Path, sync::Arc};

use ocellus_core::{
    ChannelOrder, CpuMeter, InputImage, InputSpec, Landmarks, ObjectType, Rect, Region, ScoreThresholds, Size, Stage,
};

use crate::{
    array::Array,
    detect_error::DetectError,
    device::Device,
    family::{Family, family},
    input_size::input_size,
    loading::{LoadError, checked_model, digest, read_file, start_service},
    manifest::{DeviceClass, Input, InputSize, Manifest, Tiles},
    nms::{RawBox, suppress, suppress_and_vote},
    service::{PendingOutcome, Picture, Service, ServiceSpec},
    tiles::merge,
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
    /// Object types by group of boxes.
    types: Vec<ObjectType>,
    iou: f32,
    /// Overlap above which boxes vote for the place of the best.
    vote: Option<f32>,
    scores: ScoreThresholds,
    /// Order of the channels, and the byte of the padding around the scaled frame.
    format: (ChannelOrder, u8),
    tiles: Option<Tiles>,
    service: Service<Vec<RawBox>>,
}

/// Inputs of a detector for one frame.
#[derive(Clone, Debug)]
pub struct FrameInput {
    /// The whole frame, made for [`Detector::input`].
    pub whole: InputImage,
    /// The parts of [`Detector::tiles`], each made for [`Detector::input`] of its size.
    pub tiles: Vec<(Region, InputImage)>,
}

impl From<InputImage> for FrameInput {
    fn from(whole: InputImage) -> Self {
        Self { whole, tiles: Vec::new() }
    }
}

/// A frame in the queue of a detector, or in its network.
pub struct PendingDetection<'a> {
    detector: &'a Detector,
    whole: PendingPicture,
    tiles: Vec<(Region, PendingPicture)>,
    frame: Size,
}

/// A picture in the queue or in the network.
struct PendingPicture {
    outcome: PendingOutcome<Vec<RawBox>>,
    scale: f32,
}

impl PendingDetection<'_> {
    /// Blocks until the network has run, and returns its detections, best score first, including
    /// weak boxes ([`Detector::scores`]).
    ///
    /// # Errors
    /// A network that fails.
    pub fn wait(self) -> Result<Vec<RawDetection>, DetectError> {
        let Self { detector, whole, tiles, frame } = self;
        let mut found = detector.boxes(whole)?;
        if let Some(manifest) = detector.tiles.filter(|_| !tiles.is_empty()) {
            for (tile, look) in tiles {
                let moved = detector.boxes(look)?.into_iter().map(|raw| raw.moved(tile));
                found.extend(moved.filter(|raw| manifest.keeps(&raw.rect, tile, frame)));
            }
            found = merge(found, detector.iou);
        }
        Ok(found.into_iter().filter_map(|raw| detector.detection(raw)).collect())
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
        let class = if device.is_gpu() { DeviceClass::Gpu } else { DeviceClass::Cpu };
        let size = manifest.input_size(class)?;
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
            digest: pinned(text, &manifest.input, class),
            licence: manifest.licence,
            size,
            types,
            iou: manifest.thresholds.iou,
            vote: manifest.thresholds.vote,
            scores: manifest.thresholds.scores(),
            format,
            tiles: manifest.tiles,
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

    /// Score thresholds of its detections.
    pub fn scores(&self) -> ScoreThresholds {
        self.scores
    }

    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal; where
    /// the input depends on the class of the device, of the manifest and the class. The same digest
    /// on the same device gives the same boxes, and on any device the same inputs.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The input to make of a frame of this size. Cheap.
    pub fn input(&self, frame: Size) -> InputSpec {
        let (order, fill) = self.format;
        let (width, height) = input_size(self.size, frame);
        InputSpec { width, height, order, fill }
    }

    /// Parts of a frame of this size that are processed beside the whole, in pixels of the frame:
    /// none without `[tiles]` in the manifest, or where the whole frame is not scaled down.
    pub fn tiles(&self, frame: Size) -> Vec<Region> {
        let is_reduced = self.input(frame).fit(frame).1 < 1.0;
        self.tiles.filter(|_| is_reduced).map_or_else(Vec::new, |tiles| tiles.of(frame))
    }

    /// Number of pictures to keep queued, so that its workers never wait.
    pub fn depth(&self) -> usize {
        self.service.capacity()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }

    /// Queues the pictures of a frame. Blocks while [`Self::depth`] pictures are queued; concurrent
    /// callers' pictures of one size share batches on a GPU. The CPU time of the network's runs is
    /// added to `meter`.
    ///
    /// # Errors
    /// A picture that was made for another input.
    pub fn begin(
        &self,
        input: impl Into<FrameInput>,
        meter: &Arc<CpuMeter>,
    ) -> Result<PendingDetection<'_>, DetectError> {
        let FrameInput { whole, tiles } = input.into();
        let frame = whole.frame;
        let whole = self.submit(whole, meter)?;
        let tiles = tiles.into_iter().map(|(tile, image)| Ok((tile, self.submit(image, meter)?)));
        Ok(PendingDetection { detector: self, whole, tiles: tiles.collect::<Result<_, _>>()?, frame })
    }

    fn submit(&self, image: InputImage, meter: &Arc<CpuMeter>) -> Result<PendingPicture, DetectError> {
        let InputImage { spec, data, scale, frame } = image;
        let (width, height) = (spec.width as usize, spec.height as usize);
        if spec != self.input(frame) || data.len() != width * height * 3 || scale.is_nan() || scale <= 0.0 {
            return Err(self.failed("a picture that was not made for it"));
        }
        Ok(PendingPicture { outcome: self.service.submit(Picture { width, height, data }, meter), scale })
    }

    /// Finds objects in pictures made for [`Detector::input`]; one list for each picture, best
    /// score first, without weak boxes, which are only useful for tracking. Blocks until all are
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

    /// Boxes of one picture, in pixels of the part of the frame that it shows.
    fn boxes(&self, PendingPicture { outcome, scale }: PendingPicture) -> Result<Vec<RawBox>, DetectError> {
        let found = outcome.wait().map_err(|e| self.failed(e))?;
        let kept = match self.vote {
            Some(vote) => suppress_and_vote(found, self.iou, vote),
            None => suppress(found, self.iou),
        };
        Ok(kept.into_iter().map(|raw| raw.scaled(scale)).collect())
    }

    fn detection(&self, raw: RawBox) -> Option<RawDetection> {
        let RawBox { rect, score, group, landmarks } = raw;
        let object_type = self.types.get(group)?.clone();
        Some(RawDetection { object_type, rect, score, landmarks })
    }

    fn failed(&self, reason: impl ToString) -> DetectError {
        DetectError::new(&self.name, reason)
    }
}

/// [`Detector::digest`].
fn pinned(mut manifest: Vec<u8>, input: &Input, class: DeviceClass) -> String {
    if input.gpu.is_some() && class == DeviceClass::Gpu {
        manifest.extend_from_slice(b"\ngpu");
    }
    digest(&manifest)
}

/// Object types that another detector reports, each with its name.
pub(crate) type Taken = Vec<(ObjectType, String)>;

/// Classes of a network, grouped by the object type that they are reported as.
struct Groups {
    /// Object types by group.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_includes_the_device_class_where_the_input_depends_on_it() {
        let text = include_str!("../detectors/yolox-nano/detector.toml");
        let pinned = |text: &str, class| {
            let manifest = Manifest::parse(text).unwrap();
            pinned(text.as_bytes().to_vec(), &manifest.input, class)
        };
        let of = |text: &str| [DeviceClass::Cpu, DeviceClass::Gpu].map(|class| pinned(text, class));
        let [cpu, gpu] = of(text);
        assert_eq!(cpu, digest(text.as_bytes()));
        assert_ne!(cpu, gpu);
        let [cpu, gpu] = of(include_str!("../detectors/centerface/detector.toml"));
        assert_eq!(cpu, gpu);
    }
}
