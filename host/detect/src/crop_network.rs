//! Network whose inputs are crops of objects: from its folder to results.
//!
//! Shared by embedders and classifiers of attributes: the manifest's head, the checks of its files,
//! the first run, and runs through the [`Service`]. Its threads end when it is dropped.

use std::{path::Path, sync::Arc};

use ocellus_core::{ChannelOrder, CpuMeter, ObjectType, RgbImage, Size, Stage};

use crate::{
    detect_error::DetectError,
    device::Device,
    loading::{LoadError, checked_model, digest, read_file, start_service},
    manifest::{CropKeys, CropManifest, InputSize},
    service::{Decode, Picture, Service, ServiceSpec},
};

pub(crate) struct CropNetwork<T> {
    /// Name and version in the manifest.
    pub(crate) name: String,
    pub(crate) version: String,
    /// SHA-256 of the manifest, which holds that of the network, in lower-case hexadecimal.
    pub(crate) digest: String,
    /// Of the weights, as an SPDX expression.
    pub(crate) licence: String,
    pub(crate) object_type: ObjectType,
    /// Size of its input, in pixels.
    pub(crate) size: Size,
    /// Side of a crop relative to that of the object's box.
    pub(crate) scale: f32,
    order: ChannelOrder,
    service: Service<T>,
}

/// A network that was loaded.
pub(crate) struct Loaded<T, K> {
    pub(crate) network: CropNetwork<T>,
    pub(crate) manifest: CropManifest<K>,
    /// Text of the manifest.
    pub(crate) text: String,
    /// Results of the first run, at least one.
    pub(crate) first: Vec<T>,
}

impl<T: Send + 'static> CropNetwork<T> {
    /// Loads the network that the manifest `file` of a folder describes. `decode` makes the decoder
    /// of a network whose outputs have these names.
    pub(crate) fn load<K: CropKeys, D: Decode<T> + Clone + Send + 'static>(
        folder: &Path,
        file: &str,
        device: &Device,
        decode: impl FnOnce(&K, &[String]) -> Result<D, String>,
    ) -> Result<Loaded<T, K>, LoadError> {
        let bytes = read_file(folder, file)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let wrong = |reason: String| LoadError::in_file(folder, file, reason);
        let manifest = CropManifest::<K>::parse(&text).map_err(wrong)?;
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
        let decode = |outputs: &[String]| decode(&manifest.keys, outputs);
        // Used for each object, not for each frame as a detector.
        let (service, first) = start_service(&spec, model, &device.with_single_worker(), decode)?;
        let network = Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: digest(&bytes),
            licence: manifest.licence.clone(),
            object_type: manifest.object_type.clone(),
            size: Size { width, height },
            scale: manifest.input.scale(),
            order: manifest.input.order.unwrap_or(ChannelOrder::Rgb),
            service,
        };
        Ok(Loaded { network, manifest, text, first })
    }

    /// Runs pictures of [`Self::size`], RGB; results in their order. Blocks until all are done. The
    /// CPU time of the network's runs is added to `meter`.
    pub(crate) fn run(&self, pictures: &[RgbImage], meter: &Arc<CpuMeter>) -> Result<Vec<T>, DetectError> {
        let failed = |reason: String| DetectError::new(&self.name, reason);
        let pictures = Picture::of_crops(pictures, self.size, self.order).map_err(failed)?;
        let outcomes = self.service.run(pictures, meter);
        outcomes.into_iter().map(|outcome| outcome.map_err(|e| failed(e.to_string()))).collect()
    }

    pub(crate) fn release_if_idle(&self) -> bool {
        self.service.release_if_idle()
    }
}
