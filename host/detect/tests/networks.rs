//! Networks of detectors.
//!
//! Covers: the outputs of the networks that ship agree with those of ONNX Runtime (written by
//! tests/golden/make.py), on the CPU and, where there is one, on a software GPU; batches agree with
//! single pictures; a network that is loaded for any size gives the same as one that is loaded for
//! a size, on both engines of the CPU; inputs of another shape are errors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use common::{detectors, noise};
use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Network, NetworkError};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    model: String,
    width: usize,
    height: usize,
    outputs: Vec<GoldenOutput>,
}

#[derive(Deserialize)]
struct GoldenOutput {
    name: String,
    dims: Vec<usize>,
    /// Every `step`-th value is kept.
    step: usize,
    values: Vec<f32>,
}

const CENTERFACE: &str = include_str!("golden/centerface.json");
const YOLOX: &str = include_str!("golden/yolox-nano.json");

fn cpu() -> Device {
    Device::choose(DeviceChoice::Cpu, None).unwrap()
}

/// The largest difference from the golden outputs, absolute up to 1 and relative above.
fn difference(folder: &str, golden: &str, device: &Device) -> f32 {
    let golden: Golden = serde_json::from_str(golden).unwrap();
    let file = detectors().join(folder).join(&golden.model);
    let network = Network::load(&file, InputShape::single(golden.width, golden.height), device).unwrap();
    let outputs = network.run(noise(1, golden.width, golden.height)).unwrap();
    assert_eq!(outputs.len(), golden.outputs.len());
    let mut largest = 0f32;
    for ((name, output), golden) in outputs.iter().zip(&golden.outputs) {
        assert_eq!((name, &output.dims), (&golden.name, &golden.dims));
        let sample = output.data.iter().step_by(golden.step);
        assert_eq!(sample.len(), golden.values.len());
        for (have, want) in sample.zip(&golden.values) {
            assert!(have.is_finite());
            largest = largest.max((have - want).abs() / want.abs().max(1.0));
        }
    }
    println!("{folder} on {}: {largest:e}", device.describe());
    largest
}

#[test]
fn centerface_agrees_with_onnx_runtime() {
    assert!(difference("centerface", CENTERFACE, &cpu()) < 1e-4);
}

#[test]
fn yolox_agrees_with_onnx_runtime() {
    assert!(difference("yolox-nano", YOLOX, &cpu()) < 1e-4);
}

#[test]
fn networks_by_onnx_runtime_agree_with_it() {
    let Some(device) = common::onnxruntime() else {
        return println!("skipped: no package of ONNX Runtime is known for this machine");
    };
    assert!(difference("centerface", CENTERFACE, &device) < 1e-4);
    assert!(difference("yolox-nano", YOLOX, &device) < 1e-4);
}

/// Takes minutes, nearly all of them to compile GPU kernels for a CPU; the suite `operators` has
/// what fits into every run.
#[test]
#[ignore = "minutes"]
fn networks_agree_on_a_software_gpu() {
    common::in_software_gpu_process("on_a_software_gpu", &[]);
}

#[test]
#[ignore = "run by networks_agree_on_a_software_gpu"]
fn on_a_software_gpu() {
    let gpu = common::software_gpu();
    assert!(difference("centerface", CENTERFACE, &gpu) < 1e-4);
    assert!(difference("yolox-nano", YOLOX, &gpu) < 1e-4);
}

/// A network loaded for any size and batch, as for an adaptive detector on a GPU, agrees with one
/// loaded for that size.
#[test]
fn open_shapes_and_batches_change_nothing() {
    for (folder, file, shape, width, height) in [
        ("centerface", "centerface.onnx", InputShape::default(), 96, 64),
        ("yolox-nano", "yolox_nano_416.onnx", InputShape::default(), 128, 96),
    ] {
        let file = detectors().join(folder).join(file);
        let single = Network::load(&file, InputShape::single(width, height), &cpu()).unwrap();
        let open = Network::load(&file, shape, &cpu()).unwrap();
        let both = open.run(noise(2, width, height)).unwrap();
        let pictures = noise(2, width, height);
        for (index, picture) in pictures.data.chunks(pictures.data.len() / 2).enumerate() {
            let alone = single.run(Array { dims: vec![1, 3, height, width], data: picture.to_vec() }).unwrap();
            for ((name, alone), (_, both)) in alone.iter().zip(&both) {
                assert_eq!(both.dims[0], 2, "{name}");
                let part = &both.data[index * alone.data.len()..][..alone.data.len()];
                let largest =
                    alone.data.iter().zip(part).map(|(a, b)| (a - b).abs() / a.abs().max(1.0)).fold(0.0, f32::max);
                assert!(largest < 1e-4, "{folder} {name}: {largest}");
            }
        }
    }
}

#[test]
fn networks_run_with_any_size() {
    for device in [Some(cpu()), common::onnxruntime()].into_iter().flatten() {
        for (file, sizes) in [
            ("centerface/centerface.onnx", [(96, 64), (64, 96), (96, 64)]),
            ("yolox-nano/yolox_nano_416.onnx", [(128, 64), (96, 160), (128, 64)]),
        ] {
            let file = detectors().join(file);
            let shape = InputShape { batch: Some(1), ..InputShape::default() };
            let open = Network::load(&file, shape, &device).unwrap();
            for (width, height) in sizes {
                let fixed = Network::load(&file, InputShape::single(width, height), &device).unwrap();
                let (want, have) = (fixed.run(noise(1, width, height)), open.run(noise(1, width, height)));
                for ((name, want), (_, have)) in want.unwrap().iter().zip(&have.unwrap()) {
                    assert_eq!(want.dims, have.dims, "{name}");
                    let apart = want.data.iter().zip(&have.data).map(|(a, b)| (a - b).abs() / a.abs().max(1.0));
                    let largest = apart.fold(0.0, f32::max);
                    assert!(largest < 1e-4, "{name} at {width}x{height} on {}: {largest}", device.describe());
                }
            }
        }
    }
}

#[test]
fn inputs_of_another_shape_are_refused() {
    let file = detectors().join("yolox-nano/yolox_nano_416.onnx");
    let network = Network::load(&file, InputShape::single(416, 416), &cpu()).unwrap();
    for wrong in
        [noise(1, 32, 416), noise(2, 416, 416), Array { dims: vec![1, 3, 416, 416], data: vec![] }, Array::default()]
    {
        assert!(matches!(network.run(wrong), Err(NetworkError::Input { .. })));
    }
}

#[test]
fn a_size_that_the_network_does_not_take_is_an_error_and_no_panic() {
    // Shapes are constants of the file, so either loading fails or the first run.
    let file = detectors().join("yolox-nano/yolox_nano_416.onnx");
    let ran =
        Network::load(&file, InputShape::single(50, 50), &cpu()).and_then(|network| network.run(noise(1, 50, 50)));
    assert!(ran.is_err());
}
