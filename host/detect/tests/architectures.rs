//! Small networks of the architectures of user-supplied detectors, with the operators that their
//! exports use.
//!
//! Covers: RT-DETR and D-FINE (attention, selection of queries, deformable attention over several
//! levels, boxes that are refined) and SCRFD (a pyramid of levels, two anchors, nine outputs):
//! they load and run on burn and on ONNX Runtime, agree within 1e-4, and their families decode
//! them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;
mod onnx;

use std::fs;

use common::noise;
use ocellus_core::{InputImage, Size};
use ocellus_detect::{Array, Detectors, Device, DeviceChoice, InputShape, Network};
use onnx::{Onnx, float, integer, list, text};
use sha2::{Digest, Sha256};

const WIDTH: usize = 64;
const HEIGHT: usize = 32;

fn cpu() -> Device {
    Device::choose(DeviceChoice::Cpu, None).unwrap()
}

/// Channels of the transformer, its heads, and what each has.
const DIM: usize = 8;
const HEADS: usize = 2;
const EACH: usize = DIM / HEADS;
const QUERIES: usize = 5;
const CLASSES: usize = 3;
const POINTS: usize = 2;

fn layer_norm(net: &mut Onnx, x: &str) -> String {
    let (scale, bias) = (net.weights(&[DIM], 1), net.weights(&[DIM], 1));
    net.node("LayerNormalization", &[x, &scale, &bias], vec![integer("axis", -1), float("epsilon", 1e-5)])
}

/// Multi-head attention of `tokens` tokens to themselves, as exporters write it.
fn self_attention(net: &mut Onnx, x: &str, tokens: usize) -> String {
    let heads = |net: &mut Onnx, axes: &[usize]| {
        let projected = net.linear(x, (DIM, DIM));
        let split = net.reshape(&projected, &[1, tokens as i64, HEADS as i64, EACH as i64]);
        net.transpose(&split, axes)
    };
    let query = heads(net, &[0, 2, 1, 3]);
    let key = heads(net, &[0, 2, 3, 1]);
    let value = heads(net, &[0, 2, 1, 3]);
    let scores = net.node("MatMul", &[&query, &key], vec![]);
    let root = net.floats(&[1], &[(EACH as f32).sqrt()]);
    let scaled = net.node("Div", &[&scores, &root], vec![]);
    let weights = net.node("Softmax", &[&scaled], vec![integer("axis", -1)]);
    let mixed = net.node("MatMul", &[&weights, &value], vec![]);
    let rows = net.transpose(&mixed, &[0, 2, 1, 3]);
    let joined = net.reshape(&rows, &[1, tokens as i64, DIM as i64]);
    let projected = net.linear(&joined, (DIM, DIM));
    let sum = net.node("Add", &[x, &projected], vec![]);
    layer_norm(net, &sum)
}

/// Two linear layers with a GELU between, written with Erf.
fn feed_forward(net: &mut Onnx, x: &str) -> String {
    let wide = net.linear(x, (DIM, 2 * DIM));
    let root = net.floats(&[], &[std::f32::consts::SQRT_2]);
    let (one, half) = (net.floats(&[], &[1.0]), net.floats(&[], &[0.5]));
    let scaled = net.node("Div", &[&wide, &root], vec![]);
    let error = net.node("Erf", &[&scaled], vec![]);
    let shifted = net.node("Add", &[&error, &one], vec![]);
    let gated = net.node("Mul", &[&wide, &shifted], vec![]);
    let activated = net.node("Mul", &[&gated, &half], vec![]);
    let narrow = net.linear(&activated, (2 * DIM, DIM));
    let sum = net.node("Add", &[x, &narrow], vec![]);
    layer_norm(net, &sum)
}

/// Logarithm of the odds of values within 0 and 1.
fn inverse_sigmoid(net: &mut Onnx, x: &str) -> String {
    let (low, high, one) = (net.floats(&[], &[1e-5]), net.floats(&[], &[1.0 - 1e-5]), net.floats(&[], &[1.0]));
    let clipped = net.node("Clip", &[x, &low, &high], vec![]);
    let rest = net.node("Sub", &[&one, &clipped], vec![]);
    let odds = net.node("Div", &[&clipped, &rest], vec![]);
    net.node("Log", &[&odds], vec![])
}

/// Deformable attention of the queries to two levels of `sizes` (rows, columns): each head samples
/// each level at points near the query's box. The locations have rank 6, as RT-DETR exports them.
fn deformable_attention(net: &mut Onnx, target: &str, boxes: &str, memory: &str, sizes: [[usize; 2]; 2]) -> String {
    let tokens: Vec<i64> = sizes.iter().map(|[h, w]| (h * w) as i64).collect();
    let (heads, each, queries, points) = (HEADS as i64, EACH as i64, QUERIES as i64, POINTS as i64);
    let value = net.linear(memory, (DIM, DIM));
    let value = net.reshape(&value, &[1, tokens.iter().sum(), heads, each]);
    let value = net.transpose(&value, &[0, 2, 3, 1]);
    let value = net.reshape(&value, &[heads, each, -1]);
    let lengths = net.integers(&tokens);
    let levels = net.several("Split", &[&value, &lengths], 2, vec![integer("axis", 2)]);

    let offsets = net.linear(target, (DIM, HEADS * 2 * POINTS * 2));
    let offsets = net.reshape(&offsets, &[1, queries, heads, 2, points, 2]);
    let bounds = [[0], [2], [4], [2]].map(|values| net.integers(&values));
    let centres = net.node("Slice", &[boxes, &bounds[0], &bounds[1], &bounds[3]], vec![]);
    let extents = net.node("Slice", &[boxes, &bounds[1], &bounds[2], &bounds[3]], vec![]);
    let [centres, extents] = [centres, extents].map(|part| net.reshape(&part, &[1, queries, 1, 1, 1, 2]));
    let reach = net.node("Mul", &[&offsets, &extents], vec![]);
    let locations = net.node("Add", &[&centres, &reach], vec![]);
    let (two, one) = (net.floats(&[], &[2.0]), net.floats(&[], &[1.0]));
    let doubled = net.node("Mul", &[&locations, &two], vec![]);
    let grid = net.node("Sub", &[&doubled, &one], vec![]);
    let grid = net.transpose(&grid, &[0, 2, 1, 3, 4, 5]);
    let grid = net.reshape(&grid, &[heads, queries, 2, points, 2]);
    let grids = net.several("Split", &[&grid], 2, vec![integer("axis", 2)]);
    let axis = net.integers(&[2]);
    let sampled: Vec<String> = levels
        .iter()
        .zip(&grids)
        .zip(sizes)
        .map(|((level, grid), [h, w])| {
            let level = net.reshape(level, &[heads, each, h as i64, w as i64]);
            let grid = net.node("Squeeze", &[grid, &axis], vec![]);
            let modes = vec![text("mode", "bilinear"), text("padding_mode", "zeros"), integer("align_corners", 0)];
            net.node("GridSample", &[&level, &grid], modes)
        })
        .collect();
    let sampled = net.node("Concat", &[&sampled[0], &sampled[1]], vec![integer("axis", -1)]);

    let weights = net.linear(target, (DIM, HEADS * 2 * POINTS));
    let weights = net.reshape(&weights, &[1, queries, heads, 2 * points]);
    let weights = net.node("Softmax", &[&weights], vec![integer("axis", -1)]);
    let weights = net.transpose(&weights, &[0, 2, 1, 3]);
    let weights = net.reshape(&weights, &[heads, 1, queries, 2 * points]);
    let weighted = net.node("Mul", &[&sampled, &weights], vec![]);
    let last = net.integers(&[-1]);
    let mixed = net.node("ReduceSum", &[&weighted, &last], vec![integer("keepdims", 0)]);
    let mixed = net.reshape(&mixed, &[1, DIM as i64, queries]);
    let mixed = net.transpose(&mixed, &[0, 2, 1]);
    let projected = net.linear(&mixed, (DIM, DIM));
    let sum = net.node("Add", &[target, &projected], vec![]);
    layer_norm(net, &sum)
}

/// A network of RT-DETR's architecture: two levels, one encoder and one decoder layer.
fn detr() -> Vec<u8> {
    let mut net = Onnx::new(WIDTH, HEIGHT);
    let fine = net.convolution("picture", (3, DIM), 8);
    let coarse = net.convolution(&fine, (DIM, DIM), 2);
    let sizes = [[HEIGHT / 8, WIDTH / 8], [HEIGHT / 16, WIDTH / 16]];
    let tokens: usize = sizes.iter().map(|[h, w]| h * w).sum();
    let flat = [fine, coarse].map(|level| {
        let flat = net.reshape(&level, &[1, DIM as i64, -1]);
        net.transpose(&flat, &[0, 2, 1])
    });
    let memory = net.node("Concat", &[&flat[0], &flat[1]], vec![integer("axis", 1)]);
    let memory = self_attention(&mut net, &memory, tokens);
    let memory = feed_forward(&mut net, &memory);

    // The tokens with the highest scores become queries, with their boxes.
    let scores = net.linear(&memory, (DIM, CLASSES));
    let best = net.node("ReduceMax", &[&scores], vec![list_of("axes", &[-1]), integer("keepdims", 0)]);
    let count = net.integers(&[QUERIES as i64]);
    let chosen = net.several("TopK", &[&best, &count], 2, vec![integer("axis", 1)]);
    let last = net.integers(&[-1]);
    let places = net.node("Unsqueeze", &[&chosen[1], &last], vec![]);
    let boxes = net.linear(&memory, (DIM, 4));
    let times = net.integers(&[1, 1, 4]);
    let at = net.node("Tile", &[&places, &times], vec![]);
    let boxes = net.node("GatherElements", &[&boxes, &at], vec![integer("axis", 1)]);
    let boxes = net.node("Sigmoid", &[&boxes], vec![]);
    let shape = net.integers(&[1, QUERIES as i64, DIM as i64]);
    let at = net.node("Expand", &[&places, &shape], vec![]);
    let target = net.node("GatherElements", &[&memory, &at], vec![integer("axis", 1)]);

    let target = self_attention(&mut net, &target, QUERIES);
    let target = deformable_attention(&mut net, &target, &boxes, &memory, sizes);
    let target = feed_forward(&mut net, &target);
    let logits = net.linear(&target, (DIM, CLASSES));
    let moved = net.linear(&target, (DIM, 4));
    let from = inverse_sigmoid(&mut net, &boxes);
    let sum = net.node("Add", &[&moved, &from], vec![]);
    let boxes = net.node("Sigmoid", &[&sum], vec![]);
    net.file(&[(&logits, "logits", 3), (&boxes, "boxes", 3)])
}

fn list_of(name: &str, values: &[i64]) -> onnx_ir::AttributeProto {
    onnx_ir::AttributeProto { ints: values.to_vec(), ..list(name, &[]) }
}

/// A network of SCRFD's architecture: three levels that are joined from the coarsest on, and a head
/// for each, which all levels share.
fn scrfd() -> Vec<u8> {
    const ANCHORS: usize = 2;
    let mut net = Onnx::new(WIDTH, HEIGHT);
    let fine = net.convolution("picture", (3, DIM), 8);
    let middle = net.convolution(&fine, (DIM, DIM), 2);
    let coarse = net.convolution(&middle, (DIM, DIM), 2);
    let scales = net.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let join = |net: &mut Onnx, own: &str, coarser: &str| {
        let modes = [("mode", "nearest"), ("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")];
        let enlarged =
            net.node("Resize", &[coarser, "", &scales], modes.iter().map(|(name, mode)| text(name, mode)).collect());
        net.node("Add", &[own, &enlarged], vec![])
    };
    let middle = join(&mut net, &middle, &coarse);
    let fine = join(&mut net, &fine, &middle);
    let [mut scores, mut boxes, mut points] = [(); 3].map(|()| Vec::new());
    let (share, pointwise) = (net.weights(&[DIM, 1, 3, 3], 9), net.weights(&[DIM, DIM, 1, 1], DIM));
    for (level, factor) in [fine, middle, coarse].iter().zip([0.5, 0.75, 1.25]) {
        let depthwise = vec![list("pads", &[1; 4]), integer("group", DIM as i64), list("kernel_shape", &[3; 2])];
        let x = net.node("Conv", &[level, &share], depthwise);
        let x = net.node("Conv", &[&x, &pointwise], vec![list("kernel_shape", &[1; 2])]);
        let x = net.node("Relu", &[&x], vec![]);
        for (values, outputs) in [(1, &mut scores), (4, &mut boxes), (10, &mut points)] {
            let weights = net.weights(&[ANCHORS * values, DIM, 1, 1], DIM);
            let out = net.node("Conv", &[&x, &weights], vec![list("kernel_shape", &[1; 2])]);
            let rows = net.transpose(&out, &[0, 2, 3, 1]);
            let rows = net.reshape(&rows, &[-1, values as i64]);
            outputs.push(if values == 1 {
                net.node("Sigmoid", &[&rows], vec![])
            } else {
                let factor = net.floats(&[1], &[factor]);
                net.node("Mul", &[&rows, &factor], vec![])
            });
        }
    }
    let values: Vec<String> = [scores, boxes, points].concat();
    let names: Vec<String> = (0..values.len()).map(|n| format!("{}", 400 + n)).collect();
    net.file(&values.iter().zip(&names).map(|(value, name)| (value.as_str(), name.as_str(), 2)).collect::<Vec<_>>())
}

/// Outputs of a network for noise from -1 to 1.
fn outputs(network: &[u8], device: &Device) -> Vec<(String, Array)> {
    let Array { dims, data } = noise(1, WIDTH, HEIGHT);
    let picture = Array { dims, data: data.iter().map(|v| v / 127.5 - 1.0).collect() };
    let network = Network::parse("net.onnx", network.to_vec(), InputShape::single(WIDTH, HEIGHT), device).unwrap();
    network.run(picture).unwrap()
}

/// burn and ONNX Runtime give the same.
fn assert_engines_agree(network: &[u8]) {
    let ours = outputs(network, &cpu());
    assert!(ours.iter().all(|(_, array)| array.data.iter().all(|v| v.is_finite())), "{ours:?}");
    let Some(device) = common::onnxruntime() else {
        return println!("compared with nothing: no package of ONNX Runtime is known for this machine");
    };
    let theirs = outputs(network, &device);
    assert_eq!(ours.len(), theirs.len());
    for ((name, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        assert_eq!(ours.dims, theirs.dims, "{name}");
        let largest = ours.data.iter().zip(&theirs.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("{name}: {largest:e}");
        assert!(largest < 1e-4, "{name}: {largest}");
        let spread = theirs.data.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        assert!(spread.1 - spread.0 > 1e-3, "{name} is the same everywhere: {spread:?}");
    }
}

/// Detections of a network as a detector of this family, on each engine.
fn assert_is_decoded(network: &[u8], family: &str) {
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one");
    fs::create_dir(&one).unwrap();
    fs::write(one.join("net.onnx"), network).unwrap();
    let sha256: String = Sha256::digest(network).iter().map(|byte| format!("{byte:02x}")).collect();
    let manifest = format!(
        "name = \"one\"\nversion = \"1\"\nlicence = \"MIT\"\nfamily = \"{family}\"\n\
         classes = [{{ index = 0, name = \"face\", object_type = \"face\" }}]\n\
         thresholds = {{ score = 0.01, iou = 0.9 }}\n\
         [input]\nwidth = {WIDTH}\nheight = {HEIGHT}\nmean = [127.5, 127.5, 127.5]\nstd = [127.5, 127.5, 127.5]\n\
         [model]\nfile = \"net.onnx\"\nsha256 = \"{sha256}\"\n"
    );
    fs::write(one.join("detector.toml"), manifest).unwrap();
    for device in [Some(cpu()), common::onnxruntime()].into_iter().flatten() {
        let detectors = Detectors::load(folder.path(), &device).unwrap();
        assert!(detectors.report().refused.is_empty(), "{:?}", detectors.report().refused);
        let detector = &detectors.for_types(&["face".parse().unwrap()])[0];
        let frame = Size { width: WIDTH as u32, height: HEIGHT as u32 };
        let data = (0..3 * WIDTH * HEIGHT).map(|at| (at * 97 % 251) as u8).collect();
        let input = InputImage { spec: detector.input(frame), data, scale: 1.0, frame };
        assert!(!detector.detect(vec![input]).unwrap().concat().is_empty(), "{family} on {}", device.describe());
    }
}

#[test]
fn rt_detr_and_d_fine() {
    let network = detr();
    assert_engines_agree(&network);
    assert_is_decoded(&network, "detr");
}

#[test]
fn scrfd_with_landmarks() {
    let network = scrfd();
    assert_engines_agree(&network);
    assert_is_decoded(&network, "scrfd");
}
