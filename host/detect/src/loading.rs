//! Loading of one network's folder: from files to a running [`Service`].
//!
//! Shared by all kinds of networks. Guarantees that the model file is the one that the manifest
//! names, whenever it is read, and that a network which loads has run once.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use crate::{
    array::InputShape,
    device::Device,
    manifest::{InputSize, ManifestError, Model},
    network::{Network, NetworkFile},
    network_error::NetworkError,
    service::{Decode, Picture, Scratch, Service, ServiceError, ServiceSpec, run_batch},
};

/// Reason why a folder is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("{file}: {reason}")]
    Read { file: String, reason: String },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{file} is not the file that the manifest names: sha256 {actual}, expected {expected}")]
    Changed { file: String, expected: String, actual: String },
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The network loads, but cannot process a picture.
    #[error("the first run: {0}")]
    FirstRun(String),
    /// The network has no output of a name that the manifest lists.
    #[error("{0}")]
    Outputs(String),
    #[error("all of its object types are already served by {0}")]
    Superseded(String),
    #[error("{by} already says {attribute} of its object type")]
    SameAttribute { attribute: String, by: String },
    #[error("another folder holds a detector named {0}")]
    SameName(String),
}

impl LoadError {
    /// The error of an invalid file in a folder.
    pub(crate) fn in_file(folder: &Path, file: &str, reason: String) -> Self {
        Self::Read { file: folder.join(file).display().to_string(), reason }
    }
}

/// Loads a network from what `model` returns, runs it once on grey pictures, and starts its
/// threads. `decode` makes the decoder of a network whose outputs have these names. Also returns
/// the results of the first run, one for each picture and at least one.
pub(crate) fn start_service<T: Send + 'static, D: Decode<T> + Clone + Send + 'static>(
    spec: &ServiceSpec<'_>,
    model: impl Fn() -> Result<NetworkFile, NetworkError> + Send + Sync + 'static,
    device: &Device,
    decode: impl FnOnce(&[String]) -> Result<D, String>,
) -> Result<(Service<T>, Vec<T>), LoadError> {
    // A CPU's workers take one picture each: a batch is no faster there.
    let max_batch = if device.is_gpu() { spec.max_batch } else { 1 };
    let (width, height) = match spec.input {
        InputSize::Fixed { width, height } => (Some(width as usize), Some(height as usize)),
        InputSize::Adaptive { .. } | InputSize::Budget { .. } => (None, None),
    };
    let shape = InputShape { batch: (max_batch == 1).then_some(1), width, height };
    let network = Network::open(spec.file, model, shape, device)?;
    let decode = decode(&network.output_names()?).map_err(LoadError::Outputs)?;
    let first =
        first_run(&network, &decode, spec, max_batch.min(2)).map_err(|error| LoadError::FirstRun(error.to_string()))?;
    let service = Service::start(spec, network, max_batch, decode)
        .map_err(|error| LoadError::FirstRun(format!("no thread: {error}")))?;
    Ok((service, first))
}

/// Runs grey pictures, so that a network which cannot run, does not take batches or is of another
/// family fails here and not in the middle of a job.
fn first_run<T>(
    network: &Network,
    decode: impl Decode<T>,
    spec: &ServiceSpec<'_>,
    batch: usize,
) -> Result<Vec<T>, ServiceError> {
    let (width, height) = match spec.input {
        InputSize::Fixed { width, height } => (width as usize, height as usize),
        // Not square, so that swapped rows and columns fail; small, since only shapes matter.
        InputSize::Adaptive { multiple, .. } | InputSize::Budget { multiple, .. } => {
            (4 * multiple as usize, 2 * multiple as usize)
        }
    };
    let grey = Picture { width, height, data: vec![128; width * height * 3] };
    run_batch(network, vec![grey; batch], spec.normalization, &mut Scratch::default(), decode)?.into_iter().collect()
}

/// Reads a file of a network's folder.
pub(crate) fn read_file(folder: &Path, name: &str) -> Result<Vec<u8>, LoadError> {
    fs::read(folder.join(name)).map_err(|e| LoadError::in_file(folder, name, e.to_string()))
}

/// Checks the model files and returns a function that reads them, now and later, and fails where
/// one has changed.
pub(crate) fn checked_model(
    folder: &Path,
    model: &Model,
) -> Result<impl Fn() -> Result<NetworkFile, NetworkError> + Send + Sync + use<>, LoadError> {
    read_model(folder, model)?;
    let (folder, model) = (folder.to_owned(), model.clone());
    Ok(move || {
        read_model(&folder, &model).map_err(|e| NetworkError::Read { file: model.file.clone(), reason: e.to_string() })
    })
}

fn read_model(folder: &Path, model: &Model) -> Result<NetworkFile, LoadError> {
    let network = read_checked(folder, &model.file, &model.sha256)?;
    Ok(match model.weights.as_deref().zip(model.weights_sha256.as_deref()) {
        Some((file, sha256)) => NetworkFile::OpenVino { xml: network, weights: read_checked(folder, file, sha256)? },
        None => NetworkFile::Onnx(network),
    })
}

fn read_checked(folder: &Path, file: &str, sha256: &str) -> Result<Vec<u8>, LoadError> {
    let bytes = read_file(folder, file)?;
    let actual = digest(&bytes);
    if actual != sha256 {
        let file = folder.join(file).display().to_string();
        return Err(LoadError::Changed { file, expected: sha256.to_owned(), actual });
    }
    Ok(bytes)
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
