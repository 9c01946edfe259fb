//! Operators of the graph runner.
//!
//! Covers: the output of each operator agrees with that of ONNX Runtime (written by
//! tests/golden/make.py); unsupported operators and settings are all named when the network is
//! loaded; malformed files are errors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::OnceLock;

use common::noise;
use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Network, NetworkError};
use onnx_ir::{Message, ModelProto, NodeProto};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    /// An ONNX file in hexadecimal.
    model: String,
    dims: Vec<usize>,
    values: Vec<f32>,
}

impl Case {
    fn model(&self) -> Vec<u8> {
        self.model
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
            .collect()
    }
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| serde_json::from_str(include_str!("golden/operators.json")).unwrap())
}

fn cpu() -> Device {
    Device::choose(DeviceChoice::Cpu, None).unwrap()
}

/// Runs a case and compares its output.
fn check(case: &Case, shape: InputShape, device: &Device) -> Result<(), String> {
    let network = Network::parse(&case.name, case.model(), shape, device).map_err(|e| e.to_string())?;
    let Array { dims, data } = noise(1, 6, 4);
    let input = Array { dims, data: data.iter().map(|v| v / 127.5 - 1.0).collect() };
    let mut outputs = network.run(input).map_err(|e| format!("{}: {e}", case.name))?;
    let (_, output) = outputs.pop().ok_or("no output")?;
    if output.dims != case.dims {
        return Err(format!("{}: {:?}, expected {:?}", case.name, output.dims, case.dims));
    }
    let pairs = output.data.iter().zip(&case.values);
    let off = pairs.map(|(have, want)| (have - want).abs() / want.abs().max(1.0)).fold(0.0, f32::max);
    if off < 1e-4 { Ok(()) } else { Err(format!("{}: off by {off}", case.name)) }
}

#[test]
fn operators_agree_with_onnx_runtime() {
    let wrong: Vec<_> = cases().iter().filter_map(|case| check(case, InputShape::single(6, 4), &cpu()).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn operators_agree_where_the_shape_is_open() {
    // Which side gets the odd pixel of padding depends on the size; onnx-ir refuses that.
    let open = cases().iter().filter(|case| case.name != "Conv, SAME_LOWER");
    let wrong: Vec<_> = open.filter_map(|case| check(case, InputShape::default(), &cpu()).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn operators_agree_on_a_software_gpu() {
    common::in_software_gpu_process("on_a_software_gpu", &[]);
}

#[test]
#[ignore = "run by operators_agree_on_a_software_gpu"]
fn on_a_software_gpu() {
    let gpu = common::software_gpu();
    let wrong: Vec<_> = cases().iter().filter_map(|case| check(case, InputShape::single(6, 4), &gpu).err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A network that runs operators one after another.
fn chain(operators: &[(&str, &str)]) -> Vec<u8> {
    let mut model = ModelProto::parse_from_bytes(&cases()[0].model()).unwrap();
    let graph = model.graph.mut_or_insert_default();
    graph.node.clear();
    for (index, (domain, operator)) in operators.iter().enumerate() {
        let name = |i: usize| {
            if i == 0 {
                "x".to_owned()
            } else if i == operators.len() {
                "y".to_owned()
            } else {
                format!("v{i}")
            }
        };
        graph.node.push(NodeProto {
            op_type: (*operator).to_owned(),
            domain: (*domain).to_owned(),
            name: format!("node{index}"),
            input: vec![name(index)],
            output: vec![name(index + 1)],
            ..NodeProto::default()
        });
    }
    model.write_to_bytes().unwrap()
}

#[test]
fn unsupported_operators_are_named_all_at_once() {
    let bytes = chain(&[("", "Relu"), ("", "Sin"), ("com.example", "Warp"), ("", "Sin"), ("", "Exp")]);
    let Err(NetworkError::Unsupported { operators, .. }) =
        Network::parse("net", bytes, InputShape::single(6, 4), &cpu())
    else {
        panic!("it loads");
    };
    assert_eq!(operators.len(), 2, "{operators:?}");
    assert!(operators[0].starts_with("Sin "), "{operators:?}");
    assert!(operators[1].starts_with("com.example.Warp "), "{operators:?}");
}

#[test]
fn unsupported_settings_are_refused_and_not_ignored() {
    let case = cases().iter().find(|case| case.name == "Resize, linear, half_pixel").unwrap();
    for (attribute, value) in [
        ("mode", "cubic"),
        ("coordinate_transformation_mode", "asymmetric"),
        ("coordinate_transformation_mode", "tf_crop_and_resize"),
    ] {
        let mut model = ModelProto::parse_from_bytes(&case.model()).unwrap();
        let node = &mut model.graph.mut_or_insert_default().node[0];
        node.attribute.iter_mut().find(|a| a.name == attribute).unwrap().s = value.as_bytes().to_vec().into();
        let bytes = model.write_to_bytes().unwrap();
        let refused = Network::parse("net", bytes, InputShape::single(6, 4), &cpu());
        assert!(matches!(&refused, Err(NetworkError::Unsupported { .. })), "{value}: {:?}", refused.err());
    }
}

#[test]
fn errors_name_the_file_that_is_not_a_network() {
    for bytes in [&b""[..], b"not a network", &[0xff; 64]] {
        let error = Network::parse("some.onnx", bytes.to_vec(), InputShape::default(), &cpu()).err().unwrap();
        assert!(matches!(error, NetworkError::Malformed { .. }), "{error}");
        assert!(error.to_string().starts_with("some.onnx: "), "{error}");
    }
    let missing = Network::load("no/such.onnx".as_ref(), InputShape::default(), &cpu()).err().unwrap();
    assert!(matches!(missing, NetworkError::Read { .. }), "{missing}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// A corrupted file is an error, or a network that runs or fails without a panic.
    #[test]
    fn corrupted_files_are_errors(
        case in 0usize..1000,
        cut in 0f64..1.0,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<bool>(),
    ) {
        let mut bytes = cases()[case % cases().len()].model();
        if !keep {
            bytes.truncate((bytes.len() as f64 * cut) as usize);
        }
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if let Ok(network) = Network::parse("net", bytes, InputShape::single(6, 4), &cpu()) {
            let _ = network.run(noise(1, 6, 4));
        }
    }
}
