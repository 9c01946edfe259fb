//! OpenVINO networks that cannot be read.
//!
//! Covers: layers without a translation are all named at once; mistakes in a file are errors with
//! the reason; damaged files are errors, and cause neither panics nor large allocations.

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

use common::noise;
use ir::{HEIGHT, Ir, WIDTH, cpu};
use ocellus_detect::{InputShape, Network, NetworkError, NetworkFile};
use proptest::prelude::*;

fn open(ir: &Ir) -> Result<Network, NetworkError> {
    Network::parse("net.xml", ir.file(), InputShape::single(WIDTH, HEIGHT), &cpu())
}

#[test]
fn unknown_layers_are_named_all_at_once() {
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let a = ir.layer("RegionYolo", "", &[ir.input()], &[1, 3, HEIGHT, WIDTH]);
    let b = ir.layer("ReLU", "", &[a], &[1, 3, HEIGHT, WIDTH]);
    let c = ir.layer("CTCGreedyDecoder", "", &[b], &[1, 3, HEIGHT, WIDTH]);
    let d = ir.layer("Pad", "pad_mode='reflect'", &[c], &[1, 3, HEIGHT, WIDTH]);
    let Err(NetworkError::Unsupported { file, operators }) = open(&ir.result(d)) else { panic!("it loads") };
    assert_eq!(file, "net.xml");
    assert_eq!(operators.len(), 3, "{operators:?}");
    assert!(operators.iter().any(|o| o.starts_with("RegionYolo of opset1") && o.ends_with("layer 1")), "{operators:?}");
}

/// The error of a network whose XML has this text in place of another.
fn refused(ir: &Ir, from: &str, to: &str) -> String {
    let NetworkFile::OpenVino { xml, weights } = ir.file() else { unreachable!() };
    let text = String::from_utf8(xml).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    let file = NetworkFile::OpenVino { xml: text.replacen(from, to, 1).into_bytes(), weights };
    Network::parse("net.xml", file, InputShape::single(WIDTH, HEIGHT), &cpu()).err().unwrap().to_string()
}

#[test]
fn mistakes_are_errors_that_say_what_is_wrong() {
    let ir = ir::ssd(WIDTH, HEIGHT);
    assert!(refused(&ir, "version=\"11\"", "version=\"7\"").contains("IR version 7"));
    assert!(refused(&ir, "<net ", "<model ").contains("net.xml: not a network that can be read"));
    assert!(refused(&ir, "opset8", "opset15").contains("opset15"));
    assert!(refused(&ir, "offset='0'", "offset='9999'").contains("bytes 9999 to"));
    assert!(refused(&ir, "offset='0'", "offset='18446744073709551615'").contains("18446744073709551615"));
    assert!(refused(&ir, "shape='1'", "shape='4000000000,4000000000'").contains("4000000000"));
    assert!(refused(&ir, "shape='1'", "shape='100000000'").contains("larger than the file of weights"));
    assert!(refused(&ir, "shape='1'", "shape='2'").contains("bytes for [2]"));
    assert!(refused(&ir, "<dim>1</dim>", "<dim>-1</dim>").contains("fixed input shape"));
    assert!(refused(&ir, "<dim>4</dim>", "<dim>5</dim>").contains("takes one size"));
    assert!(refused(&ir, "from-layer='0'", "from-layer='77'").contains("layer 77"));
    assert!(refused(&ir, "element_type='i64'", "element_type='u1'").contains("u1"));

    let deep = [b"<net version=\"11\">".to_vec(), b"<a>".repeat(100_000)].concat();
    let file = NetworkFile::OpenVino { xml: deep, weights: vec![] };
    assert!(Network::parse("net.xml", file, InputShape::single(WIDTH, HEIGHT), &cpu()).is_err());
}

#[test]
fn oversized_values_are_refused_before_allocation() {
    let dims = [1, 3, HEIGHT, WIDTH];
    let window = "strides='1, 1' dilations='1, 1' auto_pad='explicit' pads_end='0, 0'";
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let kernel = ir.floats("f32", &[1, 3, 1, 1], &[1.0; 3]);
    let data = format!("{window} pads_begin='4000000000, 4000000000'");
    let padded = ir.layer("Convolution", &data, &[ir.input(), kernel], &dims);
    let mut other = Ir::new(WIDTH, HEIGHT);
    let kernel = other.floats("f32", &[3, 1, 1, 1], &[1.0; 3]);
    let data = "strides='60000, 60000' dilations='1, 1' auto_pad='explicit'";
    let enlarged = other.layer("ConvolutionBackpropData", data, &[other.input(), kernel], &dims);
    let mut third = Ir::new(WIDTH, HEIGHT);
    let (begin, end) = (third.integers("i64", &[4], &[0; 4]), third.integers("i64", &[4], &[0, 0, 1 << 40, 0]));
    let wide = third.layer("Pad", "pad_mode='constant'", &[third.input(), begin, end], &dims);
    let mut claimed = Ir::new(WIDTH, HEIGHT);
    let large = claimed.layer("ReLU", "", &[claimed.input()], &[1, 3, 1 << 20, 1 << 20]);
    for ir in [ir.result(padded), other.result(enlarged), third.result(wide), claimed.result(large)] {
        let error = open(&ir).err().unwrap().to_string();
        assert!(error.contains("of at most"), "{error}");
    }
}

#[test]
fn layers_in_a_circle_are_an_error() {
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let a = ir.layer("Add", "", &[ir.input(), ir::Value { layer: 2, port: 0 }], &[1, 3, HEIGHT, WIDTH]);
    let b = ir.layer("ReLU", "", &[a], &[1, 3, HEIGHT, WIDTH]);
    let error = open(&ir.result(b)).err().unwrap().to_string();
    assert!(error.contains("wait for each other"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damaged files are errors, or networks that run or fail without a panic.
    #[test]
    fn damaged_files_are_errors(
        cut in prop::option::of(0f64..1.0),
        weights_cut in prop::option::of(0f64..1.0),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        digits in prop::collection::vec((any::<prop::sample::Index>(), any::<i64>()), 0..3),
    ) {
        let NetworkFile::OpenVino { xml, mut weights } = ir::ssd(WIDTH, HEIGHT).file() else { unreachable!() };
        let mut text = String::from_utf8(xml).unwrap();
        for (at, number) in digits {
            // Another number in place of one.
            let starts: Vec<usize> = text.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(i, _)| i).collect();
            let start = starts[at.index(starts.len())];
            text.replace_range(start..=start, &number.to_string());
        }
        let mut xml = text.into_bytes();
        for (at, value) in flips {
            let at = at.index(xml.len());
            xml[at] = value;
        }
        if let Some(part) = cut {
            xml.truncate((xml.len() as f64 * part) as usize);
        }
        if let Some(part) = weights_cut {
            weights.truncate((weights.len() as f64 * part) as usize);
        }
        let file = NetworkFile::OpenVino { xml, weights };
        if let Ok(network) = Network::parse("net.xml", file, InputShape::single(WIDTH, HEIGHT), &cpu()) {
            let _ = network.run(noise(1, WIDTH, HEIGHT));
        }
    }
}
