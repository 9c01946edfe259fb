//! Folders whose networks are OpenVINO files.
//!
//! Covers: a detector of the family ssd, with normalised pixels in the order of its manifest; an
//! embedder whose embeddings have length 1; classifiers of attributes, their labels and the outputs
//! that their manifests name, several of one type, liveness; weights that are not those of the
//! manifest.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;
mod ir;

use std::{fs, path::Path, sync::Arc};

use ir::{HEIGHT, Ir, WIDTH, engines};
use ocellus_core::{ChannelOrder, Feature, InputImage, ObjectType, Rect, RgbImage, Size};
use ocellus_detect::{AttributeClassifiers, Detectors, Device, Embedders};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder of networks with one, described by `manifest` and the keys of its files.
fn folder(file: &str, manifest: &str, ir: &Ir) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    fs::create_dir(&one).unwrap();
    fs::write(one.join("net.xml"), ir.xml()).unwrap();
    fs::write(one.join("net.bin"), ir.weights()).unwrap();
    let model = format!(
        "[model]\nfile = \"net.xml\"\nsha256 = \"{}\"\nweights = \"net.bin\"\nweights_sha256 = \"{}\"\n",
        sha256(ir.xml().as_bytes()),
        sha256(ir.weights()),
    );
    fs::write(one.join(file), format!("name = \"one\"\nversion = \"1\"\nlicence = \"MIT\"\n{manifest}\n{model}"))
        .unwrap();
    folder
}

const DETECTOR: &str = r#"
family = "ssd"
input = { width = 6, height = 4, mean = [0.0, 0.0, 0.0], std = [255.0, 255.0, 255.0] }
thresholds = { score = 0.5, iou = 0.45 }
classes = [{ index = 1, name = "thing", object_type = "thing" }]
"#;

fn detect(folder: &Path, device: &Device) -> (ChannelOrder, Vec<Rect>) {
    let detectors = Detectors::load(folder, device).unwrap();
    assert!(detectors.report().refused.is_empty(), "{:?}", detectors.report().refused);
    let detector = &detectors.for_types(&["thing".parse().unwrap()])[0];
    let frame = Size { width: WIDTH as u32, height: HEIGHT as u32 };
    let spec = detector.input(frame);
    // The values 8 to 11 of the first channel are the scores: of the first box 0 and 1, of the
    // second 0 and .4. All others are 0, so that boxes are where the prior boxes are.
    let mut data = vec![0; 3 * WIDTH * HEIGHT];
    (data[3 * 9], data[3 * 11]) = (255, 102);
    let found = detector.detect(vec![InputImage { spec, data, scale: 1.0, frame }]).unwrap().concat();
    (spec.order, found.iter().map(|found| found.rect).collect())
}

#[test]
fn a_detector() {
    for device in engines() {
        let (order, found) = detect(folder("detector.toml", DETECTOR, &ir::ssd(WIDTH, HEIGHT)).path(), &device);
        assert_eq!(order, ChannelOrder::Bgr, "that of the family");
        let [found] = found.as_slice() else { panic!("{found:?}") };
        for (have, want) in [(found.left, 0.5), (found.top, 0.0), (found.right, 2.5), (found.bottom, 4.0)] {
            assert!((have - want).abs() < 1e-4, "{found:?}");
        }
        let rgb = DETECTOR.replace("height = 4,", "height = 4, order = \"rgb\",");
        let (order, found) = detect(folder("detector.toml", &rgb, &ir::ssd(WIDTH, HEIGHT)).path(), &device);
        assert_eq!((order, found.len()), (ChannelOrder::Rgb, 1));
    }
}

#[test]
fn a_detector_whose_weights_are_others_is_refused() {
    let folder = folder("detector.toml", DETECTOR, &ir::ssd(WIDTH, HEIGHT));
    fs::write(folder.path().join("one/net.bin"), [0; 8]).unwrap();
    let detectors = Detectors::load(folder.path(), &engines()[0]).unwrap();
    let [refused] = detectors.report().refused.try_into().unwrap();
    assert!(refused.reason.contains("net.bin is not the file that the manifest names"), "{}", refused.reason);
}

/// The mean of each channel, `[1, 3, 1, 1]`.
fn means() -> (Ir, ir::Value) {
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let axes = ir.integers("i64", &[2], &[2, 3]);
    let means = ir.named("means", "ReduceMean", "keep_dims='true'", &[ir.input(), axes], &[1, 3, 1, 1]);
    (ir, means)
}

fn crop(pixel: [u8; 3]) -> RgbImage {
    RgbImage { width: WIDTH as u32, height: HEIGHT as u32, data: pixel.repeat(WIDTH * HEIGHT) }
}

#[test]
fn an_embedder() {
    let manifest = r#"
object_type = "body"
input = { width = 6, height = 4, order = "bgr" }
distance = { same = 0.5, unit_length = true }
"#;
    let (ir, means) = means();
    let folder = folder("embedder.toml", manifest, &ir.result(means));
    for device in engines() {
        let embedders = Embedders::load(folder.path(), &device).unwrap();
        let embedder = embedders.for_type(&ObjectType::body()).expect("it loads");
        let embeddings = embedder.embed(&[crop([10, 20, 20]), crop([0, 0, 0])], &Arc::default()).unwrap();
        // Blue, green, red, over the length of (20, 20, 10).
        for (have, want) in embeddings[0].iter().zip([2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0]) {
            assert!((have - want).abs() < 1e-5, "{embeddings:?}");
        }
        assert_eq!(embeddings[1], [0.0; 3]);
        assert!(embedder.has_directions(), "cosines need no centre here");
        assert_eq!(embedder.direction(&embeddings[0]), embeddings[0]);
    }
}

#[test]
fn a_classifier_of_attributes() {
    let manifest = r#"
object_type = "car"
input = { width = 6, height = 4 }
attributes = [
    { name = "colour", output = "means", labels = ["red", "green", "blue"], logits = true },
    { name = "type", output = "odds", labels = ["car", "van", "bus"], min_confidence = 0.6 },
]
"#;
    let (mut ir, means) = means();
    let scale = ir.floats("f32", &[1], &[1.0 / 64.0]);
    let odds = ir.named("odds", "Multiply", "", &[means, scale], &[1, 3, 1, 1]);
    // In another order than the manifest has them.
    let ir = ir.result(odds).result(means);
    let networks = folder("attributes.toml", manifest, &ir);
    for device in engines() {
        let classifiers = AttributeClassifiers::load(networks.path(), &device).unwrap();
        let report = classifiers.report();
        assert_eq!(report.classifiers.len(), 1, "{:?}", report.refused);
        assert_eq!(report.classifiers[0].attributes, ["colour", "type"]);
        let classifier = classifiers.for_type(&"car".parse().unwrap()).next().unwrap();
        assert!(!classifiers.has_liveness() && classifiers.for_type(&ObjectType::face()).next().is_none());
        let found = classifier.classify(&[crop([1, 48, 2]), crop([1, 32, 2])], &Arc::default()).unwrap();
        let of = |found: &[Feature]| -> Vec<(String, String)> {
            found.iter().map(|a| (a.name.clone(), a.label.clone())).collect()
        };
        let pair = |name: &str, label: &str| (name.to_owned(), label.to_owned());
        assert_eq!(of(&found[0]), [pair("colour", "green"), pair("type", "van")]);
        assert!((found[0][0].confidence - 1.0).abs() < 1e-5 && (found[0][1].confidence - 0.75).abs() < 1e-5);
        assert_eq!(of(&found[1]), [pair("colour", "green")], "32 / 64 is less than the manifest's .6");
        let small = RgbImage { width: 1, height: 1, data: vec![0; 3] };
        assert!(classifier.classify(&[small], &Arc::default()).is_err());
    }

    let networks = folder("attributes.toml", &manifest.replace("\"odds\"", "\"kind\""), &ir);
    let report = AttributeClassifiers::load(networks.path(), &engines()[0]).unwrap().report();
    assert_eq!(report.refused[0].reason, "no output \"kind\"; the network has odds, means");
}

/// Adds a classifier like that of `folder`, with another name and a changed manifest.
fn beside(folder: &TempDir, name: &str, change: impl Fn(String) -> String) {
    let (from, to) = (folder.path().join("one"), folder.path().join(name));
    fs::create_dir(&to).unwrap();
    for file in ["net.xml", "net.bin"] {
        fs::copy(from.join(file), to.join(file)).unwrap();
    }
    let manifest = fs::read_to_string(from.join("attributes.toml")).unwrap();
    fs::write(to.join("attributes.toml"), change(manifest.replacen("\"one\"", &format!("{name:?}"), 1))).unwrap();
}

#[test]
fn classifiers_of_one_type_have_different_attributes() {
    let manifest = r#"
object_type = "face"
input = { width = 6, height = 4 }
attributes = [{ name = "hair", output = "means", labels = ["red", "green", "blue"], logits = true }]
"#;
    let (ir, means) = means();
    let networks = folder("attributes.toml", manifest, &ir.result(means));
    beside(&networks, "same", |manifest| manifest);
    beside(&networks, "of-cars", |manifest| manifest.replace("\"face\"", "\"car\""));
    beside(&networks, "spoof", |manifest| {
        format!("{}\n[liveness]\nlive = \"green\"\n", manifest.replace("hair", "liveness"))
    });
    let (pending, load) = AttributeClassifiers::open(networks.path(), &engines()[0]).unwrap();
    assert!(pending.has_liveness() && pending.report().loading, "its manifest promises it");
    load();
    let report = pending.report();
    let used: Vec<_> = report.classifiers.iter().map(|c| (c.name.as_str(), c.liveness)).collect();
    assert_eq!(used, [("of-cars", false), ("one", false), ("spoof", true)], "{:?}", report.refused);
    assert_eq!(report.refused[0].reason, "one already says hair of its object type");
    assert!(pending.has_liveness());
    let spoof = pending.for_type(&ObjectType::face()).find(|c| c.is_liveness()).unwrap();
    let found = spoof.classify(&[crop([0, 50, 0]), crop([50, 0, 0])], &Arc::default()).unwrap().concat();
    assert_eq!(found, [Feature::liveness(1.0, 0.674), Feature::liveness(0.0, 0.674)]);
    assert_eq!(found.iter().map(|f| f.label.as_str()).collect::<Vec<_>>(), ["real", "fake"]);

    // One that cannot be read promises nothing.
    fs::write(networks.path().join("spoof/net.bin"), [1; 8]).unwrap();
    assert!(!AttributeClassifiers::load(networks.path(), &engines()[0]).unwrap().has_liveness());
}
