//! Neural networks for video: object detectors, and embedders that compare identities. Nothing else
//! in Ocellus knows burn, ONNX or a GPU.
//!
//! A detector is a folder with a manifest (`detector.toml`) and a network as its authors published
//! it, ONNX or OpenVINO; embedders and classifiers of attributes likewise. [`Detectors`],
//! [`Embedders`] and [`AttributeClassifiers`] load all of a folder, [`Detector`], [`Embedder`] and
//! [`AttributeClassifier`] run one network for all jobs, and [`Network`] runs any.
//!
//! The modules, each importing only those before it:
//!
//! * `array`, `network_error`, `detect_error`: arrays and input shapes, and errors;
//! * `parallelism`, `pool`: concurrent runs, and the memory of each;
//! * `onnxruntime`: networks on the CPU by ONNX Runtime;
//! * `device`: hardware and engine, chosen once at start;
//! * `manifest`, `nms`, `family`: the format of a network's input, and the decoding of its outputs;
//! * `onnx_file`, `graph`: the ONNX parser, and networks by burn, on the CPU or a GPU;
//! * `openvino`: OpenVINO networks, written as ONNX models;
//! * `network`: one network on either engine;
//! * `service`: its bounded queue, its threads, and batches across jobs;
//! * `loading`, `pending`, `network_set`: folders to running services, in the background;
//! * `detector`, `detectors`, `embedder`, `embedders`, `attributes`, `classifiers`: the above put
//!   together.
//!
//! Guarantees: a detector that is loaded has run once; neither a file nor a picture makes it panic;
//! the same pictures on the same device give the same boxes, independent of concurrent callers.
//!
//! # Example
//!
//! Faces in one frame. The caller scales the frame to the input of the detector; boxes are in
//! pixels of the frame.
//!
//! ```no_run
//! use ocellus_core::{InputImage, InputSpec, ObjectType, Size};
//! use ocellus_detect::{Detectors, Device, DeviceChoice};
//!
//! /// Scales the frame by `spec.fit`, into the top left corner of packed pixels.
//! fn scale(spec: InputSpec) -> Vec<u8> {
//!     vec![spec.fill; spec.width as usize * spec.height as usize * 3]
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let device = Device::choose(DeviceChoice::Auto, None)?;
//!     let detectors = Detectors::load("target/assets/detectors".as_ref(), &device)?;
//!     let frame = Size { width: 1920, height: 1080 };
//!     for detector in detectors.for_types(&[ObjectType::face()]) {
//!         let spec = detector.input(frame);
//!         let image = InputImage { spec, data: scale(spec), scale: spec.fit(frame).1, frame };
//!         for found in detector.detect(vec![image])?.concat() {
//!             println!("{} {:?} {:.2}", found.object_type.as_str(), found.rect, found.score);
//!         }
//!     }
//!     Ok(())
//! }
//! ```

#![warn(missing_docs)]

mod array;
mod attributes;
mod classifiers;
mod crop_network;
mod detect_error;
mod detector;
mod detectors;
mod device;
mod embedder;
mod embedders;
mod family;
mod graph;
mod input_size;
mod loading;
mod manifest;
mod network;
mod network_error;
mod network_set;
mod nms;
mod onnx_file;
mod onnxruntime;
mod openvino;
mod parallelism;
mod pending;
mod pool;
mod service;
mod tiles;

pub use array::{Array, InputShape};
pub use attributes::AttributeClassifier;
pub use classifiers::{AttributeClassifiers, AttributeReport, LoadedClassifier};
pub use detect_error::DetectError;
pub use detector::{Detector, FrameInput, PendingDetection, RawDetection};
pub use detectors::{DetectorReport, Detectors, LoadedDetector, Superseded};
pub use device::{Device, DeviceChoice, DeviceError, cache_autotune_in};
pub use embedder::Embedder;
pub use embedders::{EmbedderReport, Embedders, LoadedEmbedder};
pub use manifest::{
    Class, DeviceClass, FamilyName, GpuInput, Input, InputSize, Manifest, ManifestError, Model, Source, SourceKind,
    Thresholds, Tiles,
};
pub use network::{Network, NetworkFile};
pub use network_error::NetworkError;
pub use network_set::{FolderError, Refused};
