//! Common parts of the tests: components built by `cargo xtask build`, and frames.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use ocellus_core::{Detection, ObjectType, Rect, Size};
use ocellus_runtime::{FrameInfo, Limits, Plugins, StreamInfo};
use tempfile::TempDir;

pub(crate) const SIZE: Size = Size { width: 640, height: 480 };

/// A built component: `plugins/simple-iou.wasm`, `guests/hostile-tracker.wasm`.
pub(crate) fn component(path: &str) -> Vec<u8> {
    let assets = std::env::var_os("OCELLUS_ASSETS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets"), PathBuf::from);
    let path = assets.join(path);
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}: run cargo xtask build", path.display()))
}

/// Another build of the same component, with an additional custom section.
pub(crate) fn rebuilt(bytes: &[u8], number: usize) -> Vec<u8> {
    let name = format!("build{number:06}");
    [bytes, &[0, name.len() as u8 + 1, name.len() as u8], name.as_bytes()].concat()
}

/// A plugins folder with these components in it.
pub(crate) fn folder(components: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for path in components {
        fs::write(folder.path().join(Path::new(path).file_name().unwrap()), component(path)).unwrap();
    }
    folder
}

/// The shipped plugins; prints the digest of each, to know the build under test.
pub(crate) fn shipped() -> &'static Plugins {
    static SHIPPED: OnceLock<(Plugins, TempDir)> = OnceLock::new();
    let (plugins, _) = SHIPPED.get_or_init(|| {
        let all = ["simple-iou", "deep-sort", "quality", "size", "roi", "track-length", "http", "json"]
            .map(|name| format!("plugins/{name}.wasm"));
        let folder = folder(&all.each_ref().map(String::as_str));
        let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
        for info in plugins.list() {
            println!("under test: {} {:?} {:?}", info.file, info.digest, info.state);
        }
        (plugins, folder)
    });
    plugins
}

pub(crate) fn stream() -> StreamInfo {
    StreamInfo { object_type: ObjectType::face(), size: SIZE, frame_rate: Some(10.0) }
}

/// A frame, at ten per second.
pub(crate) fn frame(index: u64) -> FrameInfo {
    FrameInfo { index, time: index as f64 / 10.0, size: SIZE, cut: false }
}

/// A box of 20 by 30 pixels.
pub(crate) fn at(left: f32, top: f32) -> Detection {
    Detection {
        rect: Rect::new(left, top, left + 20.0, top + 30.0),
        score: 0.9,
        quality: 0.5,
        landmarks: None,
        appearance: vec![],
    }
}
