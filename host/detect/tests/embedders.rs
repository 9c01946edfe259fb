//! Embedders of a folder.
//!
//! Covers: the embeddings of faces agree with those of ONNX Runtime (written by
//! tests/golden/make.py), for one picture and for several; the autotune cache of a GPU serves the
//! next process; folders that are not embedders are refused with a reason, and the others are used.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use common::{detectors, embedders, noise};
use ocellus_core::{ObjectType, RgbImage, Size};
use ocellus_detect::{Device, DeviceChoice, Embedder, Embedders};

fn load(folder: &Path) -> Embedders {
    Embedders::load(folder, &Device::choose(DeviceChoice::Cpu, None).unwrap()).unwrap()
}

fn faces(embedders: &Embedders) -> Arc<Embedder> {
    embedders.for_type(&ObjectType::face()).expect("no embedder of faces").clone()
}

/// The input of the golden outputs, as a packed picture.
fn picture(side: u32) -> RgbImage {
    let planes = noise(1, side as usize, side as usize).data;
    let pixels = (side * side) as usize;
    let data = (0..pixels).flat_map(|at| [0, 1, 2].map(|plane| planes[plane * pixels + at] as u8)).collect();
    RgbImage { width: side, height: side, data }
}

/// Embeddings of the golden picture, of a grey one, and of the golden one again.
fn embeddings(embedder: &Embedder) -> Vec<Vec<f32>> {
    let grey = RgbImage { width: 150, height: 150, data: vec![128; 150 * 150 * 3] };
    embedder.embed(&[picture(150), grey, picture(150)], &Arc::default()).unwrap()
}

fn assert_agrees(embedder: &Embedder) {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/dlib-face.json")).unwrap();
    let golden: Vec<f32> =
        golden["outputs"][0]["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect();
    let embeddings = embeddings(embedder);
    // The two may have been in batches of different sizes.
    for embedding in [&embeddings[0], &embeddings[2]] {
        let largest = embedding.iter().zip(&golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("dlib-face: {largest:e}");
        assert!(embedding.len() == 128 && golden.len() == 128 && largest < 1e-4, "{largest}");
    }
    assert_ne!(embeddings[0], embeddings[1]);
}

#[test]
fn embeddings_agree_with_onnx_runtime() {
    let embedder = faces(&load(&embedders()));
    assert_eq!(embedder.size(), Size { width: 150, height: 150 });
    assert!(embedder.landmarks().is_some() && embedder.same() > 0.0);
    assert_agrees(&embedder);
}

#[test]
fn embeddings_by_onnx_runtime_agree_with_it() {
    let Some(device) = common::onnxruntime() else {
        return println!("skipped: no package of ONNX Runtime is known for this machine");
    };
    assert_agrees(&faces(&Embedders::load(&embedders(), &device).unwrap()));
}

/// Takes most of its time to compile GPU kernels for a CPU.
#[test]
fn embeddings_agree_on_a_software_gpu() {
    common::in_software_gpu_process("on_a_software_gpu", &[]);
}

#[test]
#[ignore = "run by embeddings_agree_on_a_software_gpu"]
fn on_a_software_gpu() {
    // Three pictures at once: a GPU runs them in batches.
    assert_agrees(&faces(&Embedders::load(&embedders(), &common::software_gpu()).unwrap()));
}

const AUTOTUNE_CACHE: &str = "OCELLUS_TEST_AUTOTUNE_CACHE";

#[test]
fn the_autotune_cache_serves_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        common::in_software_gpu_process("loading_on_a_software_gpu", &[(AUTOTUNE_CACHE, folder.path())])
            .then(|| files(folder.path()))
    };
    let Some((first, second)) = run().zip(run()) else { return };
    // An empty database is a few pages.
    assert!(first.values().map(Vec::len).sum::<usize>() > 256 << 10, "nothing was cached: {:?}", sizes(&first));
    assert!(first == second, "the second start measured again: {:?}, then {:?}", sizes(&first), sizes(&second));
}

/// Loading runs a network once, with the same batch in each process.
#[test]
#[ignore = "run by the_autotune_cache_serves_the_next_process"]
fn loading_on_a_software_gpu() {
    assert!(ocellus_detect::cache_autotune_in(env::var_os(AUTOTUNE_CACHE).unwrap().as_ref()));
    faces(&Embedders::load(&embedders(), &common::software_gpu()).unwrap());
}

/// Contents of all files below, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, leaves): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let here = leaves.into_iter().map(|file| (file.clone(), fs::read(file).unwrap()));
    here.chain(folders.iter().flat_map(|folder| files(folder))).collect()
}

fn sizes(files: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<(&Path, usize)> {
    files.iter().map(|(path, bytes)| (path.as_path(), bytes.len())).collect()
}

#[test]
fn directions_have_length_one() {
    let embedder = faces(&load(&embedders()));
    for embedding in embeddings(&embedder) {
        let direction = embedder.direction(&embedding);
        let length = direction.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!(direction.len() == embedding.len() && (length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn a_picture_of_another_size_is_an_error() {
    let error = faces(&load(&embedders())).embed(&[picture(64)], &Arc::default()).unwrap_err().to_string();
    assert!(error.contains("64x64") && error.contains("150x150"), "{error}");
}

#[test]
fn folders_that_are_not_embedders_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str, change: &dyn Fn(String) -> String| {
        let to = folder.path().join(name);
        fs::create_dir(&to).unwrap();
        let from = embedders().join("dlib-face");
        let manifest = fs::read_to_string(from.join("embedder.toml")).unwrap();
        fs::write(to.join("embedder.toml"), change(manifest)).unwrap();
        for model in [from.join("dlib_face.onnx"), detectors().join("yolox-nano/yolox_nano_416.onnx")] {
            fs::copy(&model, to.join(model.file_name().unwrap())).unwrap();
        }
    };
    let network = "202a26d0bfb75b0d100df20ede9654f5c3aff9bf7ff5ce76575a09a1984e16da";
    let detector = "615e266100c341c28d62abe255f7a6d9d7e2b91c1b0b87fc24c5d9e53141a57b";
    copy("b-good", &|m| m);
    copy("c-second", &|m| m);
    copy("d-other-file", &|m| m.replace(network, detector));
    copy("e-detector", &|m| {
        m.replace(network, detector).replace("dlib_face.onnx", "yolox_nano_416.onnx").replace("= 150", "= 416")
    });
    copy("f-misspelt", &|m| m.replace("max_batch", "max_bach"));
    copy("g-size", &|m| m.replace("width = 150", "width = 100000"));
    copy("h-distance", &|m| m.replace("same = 0.52", "same = -1.0"));
    copy("i-elsewhere", &|m| m.replace("dlib_face.onnx", "../b-good/dlib_face.onnx"));
    fs::create_dir(folder.path().join("j-empty")).unwrap();
    copy("k-centre", &|m| m.replace("centre = [", "centre = [1.0,"));

    let embedders = load(folder.path());
    let report = embedders.report();
    assert_eq!(report.embedders.iter().map(|e| (e.name.as_str(), e.numbers)).collect::<Vec<_>>(), [("dlib-face", 128)]);
    let reasons: Vec<_> = report.refused.iter().map(|r| (r.name.as_str(), r.reason.as_str())).collect();
    for (name, why) in [
        ("c-second", "already served by dlib-face"),
        ("d-other-file", "is not the file that the manifest names"),
        ("e-detector", "where an embedder gives a row of numbers"),
        ("f-misspelt", "max_bach"),
        ("g-size", "100000x150"),
        ("h-distance", "-1: a positive number"),
        ("i-elsewhere", "the name of a file in this folder"),
        ("j-empty", "embedder.toml"),
        ("k-centre", "129 numbers, where rows have 128"),
    ] {
        let reported =
            reasons.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name} is used: {reasons:#?}"));
        assert!(reported.1.contains(why), "{name}: {}", reported.1);
    }
    assert_eq!(reasons.len(), 9);
}
