//! What the tests of this crate share.

use std::path::{Path, PathBuf};

use ocellus_detect::Array;

/// The folder that `cargo xtask setup` fills.
pub fn detectors() -> PathBuf {
    let folder = std::env::var_os("OCELLUS_DETECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/detectors"), PathBuf::from);
    let there = folder.join("centerface/detector.toml").exists() && folder.join("yolox-nano/detector.toml").exists();
    assert!(there, "{}: no detectors there: run cargo xtask setup", folder.display());
    folder
}

/// The input of the golden outputs: whole numbers 0..=255, the top byte of the index times Knuth's constant.
pub fn noise(batch: usize, width: usize, height: usize) -> Array {
    let count = batch * 3 * width * height;
    let data = (0..count as u64).map(|i| ((i * 2_654_435_761 % (1 << 32)) >> 24) as f32).collect();
    Array { dims: vec![batch, 3, height, width], data }
}
