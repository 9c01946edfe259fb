//! Detectors of a folder.
//!
//! Covers: the included detectors load and declare their object types; a folder that cannot be used
//! is refused with a reason, without affecting the others; types are known before networks are
//! loaded; a released network is loaded again when it is used; concurrent callers with frames of
//! different shapes get the same boxes as one alone, on both engines of the CPU; tiles add small
//! boxes and nothing else.

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
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use common::{detectors, noise};
use ocellus_core::{ChannelOrder, InputImage, ObjectType, Rect, Region, Size};
use ocellus_detect::{Detector, Detectors, Device, DeviceChoice, FrameInput};
use tempfile::TempDir;

fn cpu() -> Device {
    Device::choose(DeviceChoice::Cpu, None).unwrap()
}

fn shipped() -> &'static Detectors {
    static LOADED: OnceLock<Detectors> = OnceLock::new();
    LOADED.get_or_init(|| Detectors::load(&detectors(), &cpu()).unwrap())
}

/// A folder with copies of detectors that ship, under other names.
fn folder(copies: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in copies {
        let (from, to) = (detectors().join(from), folder.path().join(to));
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    folder
}

fn edit(file: PathBuf, from: &str, to: &str) {
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from));
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// Why the folder `name` is refused.
fn refusal(folder: &Path, name: &str) -> String {
    let report = Detectors::load(folder, &cpu()).unwrap().report();
    let refused = report.refused.iter().find(|refused| refused.name == name);
    refused.unwrap_or_else(|| panic!("{report:?}")).reason.clone()
}

fn image(detector: &Detector, frame: Size, seed: usize) -> InputImage {
    let spec = detector.input(frame);
    let count = spec.width as usize * spec.height as usize * 3;
    let data = noise(1, spec.width as usize + seed, spec.height as usize)
        .data
        .iter()
        .skip(seed)
        .take(count)
        .map(|&v| v as u8)
        .collect();
    InputImage { spec, data, scale: spec.fit(frame).1, frame }
}

#[test]
fn one_pass_finds_bodies_and_cars() {
    assert_eq!(shipped().types(), [ObjectType::face(), ObjectType::body(), ObjectType::car()]);
    let both = shipped().for_types(&[ObjectType::body(), ObjectType::car()]);
    assert_eq!(both.iter().map(|d| d.name()).collect::<Vec<_>>(), ["yolox-nano"]);
    assert_eq!(shipped().for_types(&["drone".parse().unwrap()]).len(), 0);
    assert!(shipped().report().refused.is_empty());
}

#[test]
fn inputs_follow_the_network_or_the_frame() {
    let frame = Size { width: 1920, height: 1080 };
    let spec = |object_type| shipped().for_types(&[object_type])[0].input(frame);
    let (face, body) = (spec(ObjectType::face()), spec(ObjectType::body()));
    assert_eq!((face.width, face.height, face.order), (640, 384, ChannelOrder::Rgb));
    assert_eq!((body.width, body.height, body.order, body.fill), (544, 320, ChannelOrder::Bgr, 114));
}

#[test]
fn a_changed_or_missing_network_is_refused_and_the_others_are_used() {
    let folder = folder(&[("centerface", "centerface"), ("yolox-nano", "changed"), ("yolox-nano", "missing")]);
    let model = folder.path().join("changed/yolox_nano_416.onnx");
    let mut bytes = fs::read(&model).unwrap();
    bytes[1000] ^= 1;
    fs::write(model, bytes).unwrap();
    fs::remove_file(folder.path().join("missing/yolox_nano_416.onnx")).unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();

    let changed = refusal(folder.path(), "changed");
    let digest = "615e266100c341c28d62abe255f7a6d9d7e2b91c1b0b87fc24c5d9e53141a57b";
    assert!(
        changed.contains("yolox_nano_416.onnx") && changed.contains(digest) && changed.matches("sha256").count() == 1,
        "{changed}"
    );
    let missing = refusal(folder.path(), "missing");
    assert!(missing.contains("missing/yolox_nano_416.onnx"), "{missing}");
    let empty = refusal(folder.path(), "empty");
    assert!(empty.contains("empty/detector.toml"), "{empty}");
    assert_eq!(Detectors::load(folder.path(), &cpu()).unwrap().types(), [ObjectType::face()]);
}

#[test]
fn a_network_of_another_family_is_refused() {
    let folder = folder(&[("yolox-nano", "wrong")]);
    edit(folder.path().join("wrong/detector.toml"), "family = \"yolox\"", "family = \"centerface\"");
    let reason = refusal(folder.path(), "wrong");
    // The cells of an input of 128x64.
    assert!(reason.contains("centerface") && reason.contains("168"), "{reason}");
}

#[test]
fn the_first_detector_of_a_type_wins_and_the_report_says_so() {
    let folder = folder(&[("yolox-nano", "a"), ("yolox-nano", "b"), ("yolox-nano", "c")]);
    edit(folder.path().join("b/detector.toml"), "name = \"yolox-nano\"", "name = \"second\"");
    edit(folder.path().join("b/detector.toml"), "object_type = \"car\"", "object_type = \"lorry\"");
    let loaded = Detectors::load(folder.path(), &cpu()).unwrap();
    let report = loaded.report();
    assert_eq!(report.detectors.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["yolox-nano", "second"]);
    assert_eq!(report.detectors[1].types, ["lorry".parse().unwrap()]);
    let superseded: Vec<_> =
        report.superseded.iter().map(|s| (s.name.as_str(), s.object_type.as_str(), s.by.as_str())).collect();
    assert_eq!(superseded, [("second", "body", "yolox-nano"), ("second", "car", "yolox-nano")]);
    assert_eq!(report.refused[0].name, "c");
    assert!(report.refused[0].reason.contains("yolox-nano"), "{}", report.refused[0].reason);
}

#[test]
fn the_error_of_a_missing_folder_says_what_to_do() {
    let error = Detectors::load("no/such/folder".as_ref(), &cpu()).err().unwrap().to_string();
    assert!(error.contains("no/such/folder") && error.contains("cargo xtask setup"), "{error}");
}

#[test]
fn pictures_made_for_another_input_are_refused() {
    let detector = &shipped().for_types(&[ObjectType::face()])[0];
    let good = image(detector, Size { width: 96, height: 64 }, 0);
    let wrong = [
        InputImage { data: vec![0; 5], ..good.clone() },
        InputImage { scale: 0.0, ..good.clone() },
        InputImage { scale: f32::NAN, ..good.clone() },
        InputImage { frame: Size { width: 9600, height: 64 }, ..good.clone() },
    ];
    for image in wrong {
        assert!(detector.detect(vec![image]).is_err());
    }
    assert_eq!(detector.detect(vec![]).unwrap(), Vec::<Vec<_>>::new());
}

#[test]
fn declared_types_are_known_before_networks_are_loaded() {
    let (detectors, load) = Detectors::open(&common::detectors(), &cpu()).unwrap();
    let declared = detectors.types();
    assert!(
        !detectors.are_loaded()
            && detectors.report().loading
            && detectors.report().device.starts_with("cpu")
            && !detectors.wait_unless(|| true)
    );
    thread::scope(|scope| {
        let waiting = scope.spawn(|| detectors.for_types(&[ObjectType::face()]).len());
        load();
        assert_eq!(waiting.join().unwrap(), 1);
    });
    assert!(detectors.are_loaded() && !detectors.report().loading);
    assert_eq!(detectors.types(), declared);

    let (detectors, load) = Detectors::open(&common::detectors(), &cpu()).unwrap();
    drop(load);
    assert_eq!(detectors.for_types(&[ObjectType::face()]).len(), 0, "nobody waits for networks that are not loaded");
}

#[test]
fn a_released_network_is_loaded_again_when_it_is_used() {
    let folder = folder(&[("centerface", "centerface"), ("yolox-nano", "yolox-nano")]);
    edit(folder.path().join("centerface/detector.toml"), "score = 0.5", "score = 0.001");
    let loaded = Detectors::load(folder.path(), &cpu()).unwrap();
    let faces = &loaded.for_types(&[ObjectType::face()])[0];
    let detect = || faces.detect(vec![image(faces, Size { width: 96, height: 64 }, 0)]);
    assert!(loaded.make_room(&[ObjectType::face()]), "the network of bodies is released");
    assert!(!loaded.make_room(&[ObjectType::face()]), "it was released before");
    assert!(loaded.make_room(&[]), "that of faces is released, too");
    let found = detect().unwrap();
    assert!(!found[0].is_empty());
    assert!(!loaded.make_room(&[]), "it was used a moment ago");
    assert_eq!(detect().unwrap(), found);

    // The file has changed when it is read again.
    let bodies = &loaded.for_types(&[ObjectType::body()])[0];
    fs::write(folder.path().join("yolox-nano/yolox_nano_416.onnx"), "something else").unwrap();
    let error = bodies.detect(vec![image(bodies, Size { width: 96, height: 64 }, 0)]).unwrap_err().to_string();
    assert!(error.contains("yolox_nano_416.onnx") && error.contains("sha256"), "{error}");
}

/// There are no objects in noise, but with these thresholds the networks report some.
const LOW: [(&str, &str, &str); 2] =
    [("centerface", "score = 0.5", "score = 0.001"), ("yolox-nano", "score = 0.3", "score = 0.00001")];

fn with_low_thresholds(device: &Device, more: &str) -> (TempDir, Detectors) {
    let folder = folder(&LOW.map(|(name, _, _)| (name, name)));
    for (name, from, to) in LOW {
        let manifest = folder.path().join(name).join("detector.toml");
        edit(manifest.clone(), from, to);
        edit(manifest, "[thresholds]", &format!("{more}[thresholds]"));
    }
    let loaded = Detectors::load(folder.path(), device).unwrap();
    (folder, loaded)
}

#[test]
fn concurrent_callers_get_the_same_boxes_as_one_alone() {
    for device in [Some(cpu()), common::onnxruntime()].into_iter().flatten() {
        let (_folder, loaded) = with_low_thresholds(&device, "");
        for object_type in [ObjectType::face(), ObjectType::body()] {
            compare_callers(&loaded.for_types(&[object_type])[0]);
        }
    }
}

fn compare_callers(detector: &Detector) {
    let sizes = [Size { width: 96, height: 64 }, Size { width: 64, height: 96 }, Size { width: 128, height: 128 }];
    let alone: Vec<_> = (0..6).map(|i| detector.detect(vec![image(detector, sizes[i % 3], i)]).unwrap()).collect();
    assert!(alone.iter().any(|boxes| boxes[0].len() > 1), "{}", detector.name());
    thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|i| {
                scope
                    .spawn(move || detector.detect((0..3).map(|_| image(detector, sizes[i % 3], i)).collect()).unwrap())
            })
            .collect();
        for (caller, alone) in callers.into_iter().zip(&alone) {
            for boxes in caller.join().unwrap() {
                assert_eq!(boxes, alone[0]);
            }
        }
    });
}

#[test]
fn tiles_add_small_boxes_and_nothing_else() {
    let (_folder, loaded) = with_low_thresholds(&cpu(), "[tiles]\nper_side = 2\noverlap = 0.25\n\n");
    let detector = &loaded.for_types(&[ObjectType::body()])[0];
    let (frame, small) = (Size { width: 1750, height: 980 }, Size { width: 300, height: 168 });
    assert!(detector.tiles(small).is_empty(), "nothing is gained where the whole frame is not scaled down");
    let tiles = detector.tiles(frame);
    assert_eq!(tiles.iter().map(|t| (t.x, t.y)).collect::<Vec<_>>(), [(0, 0), (750, 0), (0, 420), (750, 420)]);

    let whole = image(detector, frame, 0);
    let alone = detector.detect(vec![whole.clone()]).unwrap().remove(0);
    let of_tile =
        |(n, tile): (usize, &Region)| (*tile, image(detector, Size { width: tile.width, height: tile.height }, n + 1));
    let input = FrameInput { whole, tiles: tiles.iter().enumerate().map(of_tile).collect() };
    let found = detector.begin(input, &Arc::default()).unwrap().wait().unwrap();
    let (old, new): (Vec<_>, Vec<_>) = found.iter().partition(|detection| alone.contains(detection));
    assert!(!old.is_empty() && !new.is_empty(), "{} of the whole, {} of tiles", old.len(), new.len());
    let is_small = |rect: &Rect| rect.width() <= 250.0 && rect.height() <= 140.0;
    assert!(new.iter().all(|detection| is_small(&detection.rect)));
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
}
