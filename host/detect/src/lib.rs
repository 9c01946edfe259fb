//! Finds objects in pictures and tells them apart. Nothing else in Ocellus knows burn.
//!
//! A detector is data: a folder with a manifest (`detector.toml`) and an ONNX file as its authors
//! published it. The modules, from the device up:
//!
//! * `device` chooses where networks run, once at start;
//! * `graph` runs an ONNX network with burn tensors;
//! * `family` knows what a family of networks wants to see and what its numbers mean; `nms` removes
//!   doubles;
//! * `service` owns a network and the threads that run the pictures of all jobs through it, in
//!   batches;
//! * `detector` puts these together, `manifest` reads what it is to be, `registry` loads all
//!   detectors of a folder, `pending` lets others wait for them;
//! * `embedder` does the same for networks that tell identities apart.
//!
//! Guarantees: a detector that is loaded has run once; neither a file nor a picture makes it panic;
//! the same pictures on the same device give the same boxes, whoever else uses the detector.
//!
//! ```no_run
//! use ocellus_core::{InputImage, ObjectType, Size};
//! use ocellus_detect::{Detectors, Device, DeviceChoice};
//!
//! # fn scaled(_: ocellus_core::InputSpec) -> Vec<u8> { vec![] }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = Device::choose(DeviceChoice::Auto, None)?;
//! let detectors = Detectors::load("target/assets/detectors".as_ref(), &device)?;
//! let frame = Size { width: 1920, height: 1080 };
//! for detector in detectors.for_types(&[ObjectType::face()]) {
//!     let spec = detector.input(frame);
//!     let image = InputImage { spec, data: scaled(spec), scale: spec.fit(frame).1, frame };
//!     for found in detector.detect(vec![image])?.concat() {
//!         println!("{:?} {:?} {}", found.object_type, found.rect, found.score);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod array;
mod detect_error;
mod detector;
mod detectors;
mod device;
mod embedder;
mod embedders;
mod family;
mod graph;
mod loading;
mod manifest;
mod network;
mod network_error;
mod network_set;
mod nms;
mod onnx_file;
mod onnxruntime;
mod parallelism;
mod pending;
mod pool;
mod service;

pub use array::{Array, InputShape};
pub use detect_error::DetectError;
pub use detector::{Detector, PendingDetection, RawDetection};
pub use detectors::{DetectorReport, Detectors, LoadedDetector, Superseded};
pub use device::{Device, DeviceChoice, DeviceError, cache_autotune_in};
pub use embedder::Embedder;
pub use embedders::{EmbedderReport, Embedders, LoadedEmbedder};
pub use manifest::{
    Class, FamilyName, Input, InputSize, Manifest, ManifestError, Model, Source, SourceKind, Thresholds,
};
pub use network::Network;
pub use network_error::NetworkError;
pub use network_set::{FolderError, Refused};
