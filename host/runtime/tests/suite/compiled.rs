//! Covers: the cache of compiled components. The second start compiles nothing; damaged, truncated
//! and foreign files are compiled again; no unverified file is left where wasmtime would find it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use ocellus_runtime::{Limits, Plugins, Role, Setup, State};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{at, component, folder, frame, rebuilt, stream};

const COMPONENTS: [&str; 2] = ["plugins/simple-iou.wasm", "plugins/quality.wasm"];

struct Place {
    shipped: TempDir,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { shipped: folder(&COMPONENTS), dir: TempDir::new().unwrap() }
    }

    fn compiled(&self) -> PathBuf {
        self.dir.path().join("compiled")
    }

    /// Opens the plugins, which have to serve.
    fn start(&self) -> Plugins {
        let setup = Setup { compiled: Some(self.compiled()), ..Setup::from(self.shipped.path()) };
        let plugins = Plugins::open(setup, Limits::default()).unwrap();
        assert!(plugins.list().iter().all(|info| info.state == State::Ready), "{:#?}", plugins.list());
        let mut tracker = plugins.tracker("simple_iou", &json!({}), &stream()).unwrap();
        assert_eq!(tracker.update(&frame(0), &[at(0.0, 0.0), at(90.0, 0.0)]).unwrap().ids.len(), 2);
        plugins
    }

    /// Each file of kept code with its inode, to detect replaced files.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let code = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "code");
        let paths = fs::read_dir(self.compiled()).unwrap().map(|entry| entry.unwrap().path()).filter(code);
        paths.map(|path| (path.clone(), fs::metadata(path).unwrap().ino())).collect()
    }
}

/// All files below a folder.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

#[test]
fn the_second_start_compiles_nothing() {
    let place = Place::new();
    place.start();
    let first = place.files();
    assert_eq!(first.len(), COMPONENTS.len());
    place.start();
    assert_eq!(place.files(), first);
    let left = below(&place.compiled().join("loading"));
    assert!(left.iter().all(|path| path.extension().is_some_and(|ending| ending == "stats")), "{left:?}");
}

#[test]
fn damaged_code_is_compiled_again() {
    let place = Place::new();
    place.start();
    let sound: BTreeMap<_, _> = place.files().into_keys().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    // In the checksum, in the name, at the beginning of the code, in it, and at its end.
    for at in [0.0, 0.0001, 0.001, 0.5, 1.0] {
        let before = place.files();
        for (path, bytes) in &sound {
            let mut bytes = bytes.clone();
            let index = ((bytes.len() - 1) as f64 * at) as usize;
            bytes[index] ^= 0x10;
            fs::write(path, bytes).unwrap();
        }
        place.start();
        assert!(place.files().keys().eq(before.keys()));
        for (path, bytes) in &sound {
            assert!(fs::read(path).unwrap() == *bytes, "{} is not what it was", path.display());
        }
    }
    for bytes in [&b""[..], b"not code at all"] {
        for path in sound.keys() {
            fs::write(path, bytes).unwrap();
        }
        place.start();
        assert!(sound.iter().all(|(path, bytes)| fs::read(path).unwrap() == *bytes));
    }
}

#[test]
fn foreign_files_are_not_loaded() {
    let place = Place::new();
    place.start();
    // A file where wasmtime's cache expects code, and kept code under the name of another
    // component.
    let (loading, files) = (place.compiled().join("loading"), place.files());
    let (one, other) = (files.keys().next().unwrap(), files.keys().last().unwrap());
    let sealed = fs::read(one).unwrap();
    let end = sealed.iter().skip(32).position(|b| *b == b'\n').unwrap() + 32;
    let path = loading.join(std::str::from_utf8(&sealed[32..end]).unwrap());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"forged").unwrap();
    fs::write(other, &sealed).unwrap();
    place.start();
    assert!(!path.exists());
}

#[test]
fn code_of_an_installed_plugin_is_kept() {
    let place = Place::new();
    let newer = rebuilt(&component("plugins/quality.wasm"), 1);
    place.start().install("quality", Role::Active, &newer).unwrap();
    let files = place.files();
    assert_eq!(files.len(), COMPONENTS.len() + 1);
    place.start();
    assert_eq!(place.files(), files);
}

#[test]
fn plugins_run_without_the_folder_of_compiled_code() {
    let place = Place::new();
    fs::write(place.compiled(), "a file in its place").unwrap();
    place.start();
    assert_eq!(fs::read(place.compiled()).unwrap(), b"a file in its place");
}
