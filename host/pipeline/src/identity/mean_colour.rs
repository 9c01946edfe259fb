//! Embedder of mean colours, for tests: its three numbers are the mean red, green and blue of a
//! crop, 0..=255.

use ocellus_core::ObjectType;
use ocellus_detect::{Device, DeviceChoice, Embedders};
use sha2::{Digest, Sha256};

/// A field of a protocol buffer message with these bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128, "a length of one byte");
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// An ONNX file whose only node is a global average: `[n, 3, 8, 8]` to `[n, 3, 1, 1]`.
fn network() -> Vec<u8> {
    let value = |name: &[u8], side: u8| {
        let dims = [field(2, b"n"), vec![8, 3], vec![8, side], vec![8, side]];
        let shape: Vec<u8> = dims.iter().flat_map(|dim| field(1, dim)).collect();
        // A tensor of floats, type 1.
        let tensor = [vec![8, 1], field(2, &shape)].concat();
        [field(1, name), field(2, &field(1, &tensor))].concat()
    };
    let node = [field(1, b"x"), field(2, b"y"), field(4, b"GlobalAveragePool")].concat();
    let graph = [field(1, &node), field(2, b"g"), field(11, &value(b"x", 8)), field(12, &value(b"y", 1))].concat();
    // Version 8 of the format, version 16 of the operators.
    [vec![8, 8], field(7, &graph), field(8, &[field(1, b""), vec![16, 16]].concat())].concat()
}

/// An embedder of this type, for which colours nearer than `same` are of one identity; `distance`:
/// further keys of the manifest's section.
pub(crate) fn embedders(object_type: &ObjectType, same: f32, distance: &str) -> Embedders {
    let folder = tempfile::tempdir().unwrap();
    let embedder = folder.path().join("mean-colour");
    std::fs::create_dir(&embedder).unwrap();
    let network = network();
    let sha256: String = Sha256::digest(&network).iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(embedder.join("mean.onnx"), network).unwrap();
    let manifest = format!(
        "name = \"mean-colour\"\nversion = \"1\"\nlicence = \"CC0-1.0\"\nobject_type = \"{object_type}\"\n[model]\nfile = \
         \"mean.onnx\"\nsha256 = \"{sha256}\"\n[input]\nwidth = 8\nheight = 8\n[distance]\nsame = {same}\n{distance}\n"
    );
    std::fs::write(embedder.join("embedder.toml"), manifest).unwrap();
    let embedders = Embedders::load(folder.path(), &Device::choose(DeviceChoice::Cpu, None).unwrap()).unwrap();
    assert!(embedders.for_type(object_type).is_some(), "{:?}", embedders.report().refused);
    embedders
}
