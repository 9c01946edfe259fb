//! Device choice.
//!
//! Covers: ONNX Runtime without its library is an error that says so, and is not chosen
//! automatically.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking")]

mod common;

use std::fs;

use ocellus_detect::{Device, DeviceChoice};

#[test]
fn without_its_library_onnx_runtime_is_refused_and_not_chosen() {
    let empty = tempfile::tempdir().unwrap();
    let refused = |folder| Device::choose(DeviceChoice::OnnxRuntime, folder).map(|_| ()).unwrap_err().to_string();
    assert_eq!(refused(None), "ONNX Runtime cannot be used: there is no folder of its library");
    let reason = refused(Some(empty.path()));
    assert!(reason.contains("there is no file") && reason.contains("onnxruntime"), "{reason}");

    let library = format!("{}onnxruntime{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    fs::write(empty.path().join(library), b"no library").unwrap();
    let reason = refused(Some(empty.path()));
    assert!(reason.starts_with("ONNX Runtime cannot be used: failed to load"), "{reason}");

    let chosen = Device::choose(DeviceChoice::Auto, Some(empty.path())).unwrap();
    assert!(!chosen.describe().contains("ONNX"), "{}", chosen.describe());

    // A library that does not load is no obstacle to one that does.
    let Some(device) = common::onnxruntime() else {
        return println!("skipped: no package of ONNX Runtime is known for this machine");
    };
    assert!(device.describe().starts_with("cpu (ONNX Runtime"), "{}", device.describe());
}
