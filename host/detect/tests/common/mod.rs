//! Fixtures that the tests of this crate share: folders, input, devices.

#![allow(dead_code, reason = "each suite uses some of it")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use ocellus_detect::{Array, Device, DeviceChoice};

/// The folder that `cargo xtask setup` fills.
pub(crate) fn detectors() -> PathBuf {
    let folder = env::var_os("OCELLUS_DETECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/detectors"), PathBuf::from);
    let there = folder.join("centerface/detector.toml").exists() && folder.join("yolox-nano/detector.toml").exists();
    assert!(there, "{}: no detectors there: run cargo xtask setup", folder.display());
    folder
}

/// The folder of embedders beside it.
pub(crate) fn embedders() -> PathBuf {
    let folder = detectors().join("../embedders");
    assert!(
        folder.join("dlib-face/dlib_face.onnx").exists(),
        "{}: no embedders there: run cargo xtask setup",
        folder.display()
    );
    folder
}

/// The input of the golden outputs, `[batch, 3, height, width]`: integers 0..=255, the top byte of
/// the index times Knuth's constant.
pub(crate) fn noise(batch: usize, width: usize, height: usize) -> Array {
    let count = batch * 3 * width * height;
    let data = (0..count as u64).map(|i| ((i * 2_654_435_761 % (1 << 32)) >> 24) as f32).collect();
    Array { dims: vec![batch, 3, height, width], data }
}

/// Runs an ignored test of this suite in a process in which SwiftShader is the only GPU; returns
/// false where it is not installed. SwiftShader is a GPU in software that Debian's
/// `chromium-common` brings; the Vulkan loader finds it by an environment variable.
pub(crate) fn in_software_gpu_process(test: &str, environment: &[(&str, &Path)]) -> bool {
    let driver = Path::new("/usr/lib/chromium/vk_swiftshader_icd.json");
    if !driver.exists() {
        assert!(
            !Path::new("/etc/debian_version").exists(),
            "{}: no SwiftShader there: run cargo xtask setup",
            driver.display()
        );
        println!("skipped: {} is only there on Debian", driver.display());
        return false;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("VK_DRIVER_FILES", driver)
        .env("CUBECL_AUTOTUNE_LEVEL", "minimal");
    command.envs(environment.iter().copied());
    assert!(command.status().unwrap().success());
    true
}

/// ONNX Runtime; `None` on platforms for which `cargo xtask setup` has no package of it.
pub(crate) fn onnxruntime() -> Option<Device> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/onnxruntime");
    let known = cfg!(any(
        all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")),
        all(target_os = "macos", target_arch = "aarch64")
    ));
    known.then(|| Device::choose(DeviceChoice::OnnxRuntime, Some(&folder)).expect("run cargo xtask setup"))
}

pub(crate) fn software_gpu() -> Device {
    let gpu = Device::choose(DeviceChoice::Wgpu, None).unwrap();
    assert!(gpu.describe().contains("SwiftShader"), "{}", gpu.describe());
    gpu
}
