//! OpenVINO networks.
//!
//! Covers: layers agree with plain loops over their definition, on both engines; folded shapes and
//! weights, prior boxes and the boxes of a DetectionOutput.

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
use ir::{HEIGHT, Ir, WIDTH, engines};
use ocellus_detect::{Array, Device, InputShape, Network};

/// The input of all networks here: values from -1 to 1.
fn input() -> Array {
    let Array { dims, data } = noise(1, WIDTH, HEIGHT);
    Array { dims, data: data.iter().map(|v| v / 127.5 - 1.0).collect() }
}

fn open(ir: &Ir, device: &Device) -> Network {
    Network::parse("net.xml", ir.file(), InputShape::single(WIDTH, HEIGHT), device).unwrap()
}

/// Runs a network on each engine and compares its only output.
fn check(name: &str, ir: &Ir, dims: &[usize], wanted: &[f32]) {
    for device in engines() {
        let network = open(ir, &device);
        let mut outputs = network.run(input()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(outputs.len(), 1, "{name}");
        let (_, output) = outputs.remove(0);
        compare(&format!("{name} on {}", device.describe()), &output, dims, wanted);
    }
}

fn compare(name: &str, output: &Array, dims: &[usize], wanted: &[f32]) {
    assert_eq!(output.dims, dims, "{name}");
    assert_eq!(output.data.len(), wanted.len(), "{name}");
    for (at, (have, want)) in output.data.iter().zip(wanted).enumerate() {
        assert!((have - want).abs() <= 1e-4 * want.abs().max(1.0), "{name}: {have} at {at}, expected {want}");
    }
}

/// Values that a formula gives, from -1 to 1.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 37 % 64) as f32 / 32.0) - 1.0).collect()
}

/// x at a channel, row and column; 0 outside.
fn at(x: &[f32], channel: usize, row: isize, column: isize) -> f32 {
    let inside = (0..HEIGHT as isize).contains(&row) && (0..WIDTH as isize).contains(&column);
    if inside { x[(channel * HEIGHT + row as usize) * WIDTH + column as usize] } else { 0.0 }
}

/// A layer, its attributes, and the formula of one value.
type Case = (&'static str, &'static str, fn(f32) -> f32);

#[test]
fn element_wise_layers() {
    let x = input();
    let cases: [Case; 10] = [
        ("ReLU", "", |v| v.max(0.0)),
        ("Sigmoid", "", |v| 1.0 / (1.0 + (-v).exp())),
        ("Tanh", "", f32::tanh),
        ("Exp", "", f32::exp),
        ("Abs", "", f32::abs),
        ("Clamp", "min='-0.5' max='0.25'", |v| v.clamp(-0.5, 0.25)),
        ("Elu", "alpha='0.5'", |v| if v < 0.0 { 0.5 * (v.exp() - 1.0) } else { v }),
        ("Swish", "", |v| v / (1.0 + (-v).exp())),
        ("HSwish", "", |v| v * (v + 3.0).clamp(0.0, 6.0) / 6.0),
        ("Mish", "", |v| v * (1.0 + v.exp()).ln().tanh()),
    ];
    for (kind, data, formula) in cases {
        let mut ir = Ir::new(WIDTH, HEIGHT);
        let y = ir.layer(kind, data, &[ir.input()], &x.dims);
        let ir = ir.result(y);
        check(kind, &ir, &x.dims, &x.data.iter().map(|&v| formula(v)).collect::<Vec<_>>());
    }
}

#[test]
fn arithmetic_with_constants_of_each_float_type() {
    let x = input();
    let factor = [0.5, 2.0, -1.0];
    let plane = WIDTH * HEIGHT;
    let by_channel = |operation: fn(f32, f32) -> f32| {
        x.data.iter().enumerate().map(|(i, &v)| operation(v, factor[i / plane])).collect::<Vec<_>>()
    };
    for (kind, operation) in [
        ("Add", (|a, b| a + b) as fn(f32, f32) -> f32),
        ("Subtract", |a, b| a - b),
        ("Multiply", |a, b| a * b),
        ("Divide", |a, b| a / b),
        ("Maximum", f32::max),
        ("Minimum", f32::min),
    ] {
        for element in ["f16", "f32", "f64"] {
            let mut ir = Ir::new(WIDTH, HEIGHT);
            let constant = ir.floats(element, &[1, 3, 1, 1], &factor);
            let y = ir.layer(kind, "auto_broadcast='numpy'", &[ir.input(), constant], &x.dims);
            let ir = ir.result(y);
            check(kind, &ir, &x.dims, &by_channel(operation));
        }
    }
}

#[test]
fn weights_that_are_stored_as_bytes_and_scaled_are_folded() {
    // (i8 as float - zero point) * scale, as compressed networks have it.
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let stored = ir.bytes(&[2, 3, 1, 1], &[-128, 0, 127, 1, 2, 3]);
    let floats = ir.layer("Convert", "destination_type='f32'", &[stored], &[2, 3, 1, 1]);
    let zero = ir.floats("f16", &[1], &[1.0]);
    let shifted = ir.layer("Subtract", "", &[floats, zero], &[2, 3, 1, 1]);
    let scale = ir.floats("f32", &[2, 1, 1, 1], &[0.5, 0.25]);
    let scaled = ir.layer("Multiply", "", &[shifted, scale], &[2, 3, 1, 1]);
    let x = ir.input();
    let y = ir.layer("Convolution", ir::WINDOW, &[x, scaled], &[1, 2, HEIGHT, WIDTH]);
    let ir = ir.result(y);
    let (x, plane) = (input().data, WIDTH * HEIGHT);
    let weights = [[-64.5, -0.5, 63.0], [0.0, 0.25, 0.5]];
    let wanted: Vec<f32> = weights
        .iter()
        .flat_map(|w| (0..plane).map(|i| (0..3).map(|c| w[c] * x[c * plane + i]).sum::<f32>()).collect::<Vec<_>>())
        .collect();
    check("folded weights", &ir, &[1, 2, HEIGHT, WIDTH], &wanted);
}

/// A convolution by plain loops: weights `[out, in of a group, 3, 3]`, padding 1, stride 2.
fn convolved(x: &[f32], weights: &[f32], outputs: usize, groups: usize) -> Vec<f32> {
    let per_group = 3 / groups;
    let mut y = Vec::new();
    for out in 0..outputs {
        let first = out / (outputs / groups) * per_group;
        for row in 0..HEIGHT / 2 {
            for column in 0..WIDTH / 2 {
                let mut sum = 0.0;
                for c in 0..per_group {
                    for (k, weight) in weights[(out * per_group + c) * 9..][..9].iter().enumerate() {
                        let (dy, dx) = (k as isize / 3 - 1, k as isize % 3 - 1);
                        sum += weight * at(x, first + c, 2 * row as isize + dy, 2 * column as isize + dx);
                    }
                }
                y.push(sum);
            }
        }
    }
    y
}

#[test]
fn convolutions_and_their_biases() {
    let (x, dims) = (input().data, [1, 6, HEIGHT / 2, WIDTH / 2]);
    let bias: Vec<f32> = weights(6);
    for (kind, shape, groups) in [("Convolution", vec![6, 3, 3, 3], 1), ("GroupConvolution", vec![3, 2, 1, 3, 3], 3)] {
        let values = weights(shape.iter().product());
        // The upper padding of `same_upper` is 0 at stride 2, so it is given explicitly.
        let window = "strides='2, 2' pads_begin='1, 1' pads_end='1, 1' dilations='1, 1' auto_pad='explicit'";
        let mut ir = Ir::new(WIDTH, HEIGHT);
        let kernel = ir.floats("f32", &shape, &values);
        let y = ir.layer(kind, window, &[ir.input(), kernel], &dims);
        let offset = ir.floats("f32", &[1, 6, 1, 1], &bias);
        let sum = ir.layer("Add", "", &[y, offset], &dims);
        let ir = ir.result(sum);
        let wanted = convolved(&x, &values, 6, groups);
        let wanted: Vec<f32> = wanted.iter().enumerate().map(|(i, v)| v + bias[i / 6]).collect();
        check(kind, &ir, &dims, &wanted);
    }
}

#[test]
fn a_convolution_with_other_consumers_keeps_its_value() {
    let (x, dims) = (input().data, [1, 3, HEIGHT, WIDTH]);
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let kernel = ir.floats("f32", &[3, 3, 1, 1], &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let same = ir.layer("Convolution", ir::WINDOW, &[ir.input(), kernel], &dims);
    let bias = ir.floats("f32", &[1, 3, 1, 1], &[1.0, 1.0, 1.0]);
    let more = ir.layer("Add", "", &[same, bias], &dims);
    let product = ir.layer("Multiply", "", &[same, more], &dims);
    check("shared", &ir.result(product), &dims, &x.iter().map(|v| v * (v + 1.0)).collect::<Vec<_>>());
}

#[test]
fn pooling_with_windows_partly_outside() {
    let x = input().data;
    // Windows of 3 at stride 2: over 4 rows one fits, and rounding up makes it two; over 6 columns
    // two fit, and three.
    let window = "kernel='3, 3' strides='2, 2' pads_begin='0, 0' pads_end='0, 0' auto_pad='explicit'";
    for (kind, rounding, rows, columns) in
        [("MaxPool", "ceil", 2, 3), ("MaxPool", "floor", 1, 2), ("AvgPool", "ceil", 2, 3), ("AvgPool", "floor", 1, 2)]
    {
        let data = format!("{window} rounding_type='{rounding}' exclude-pad='true'");
        let mut ir = Ir::new(WIDTH, HEIGHT);
        let y = ir.layer(kind, &data, &[ir.input()], &[1, 3, rows, columns]);
        let mut wanted = Vec::new();
        for (channel, row, column) in
            (0..3).flat_map(|c| (0..rows).flat_map(move |r| (0..columns).map(move |w| (c, r, w))))
        {
            let inside = (2 * row..(2 * row + 3).min(HEIGHT))
                .flat_map(|r| (2 * column..(2 * column + 3).min(WIDTH)).map(move |c| (r, c)));
            let values: Vec<f32> = inside.map(|(r, c)| at(&x, channel, r as isize, c as isize)).collect();
            wanted.push(if kind == "MaxPool" {
                values.iter().copied().fold(f32::MIN, f32::max)
            } else {
                values.iter().sum::<f32>() / values.len() as f32
            });
        }
        check(&format!("{kind}, {rounding}"), &ir.result(y), &[1, 3, rows, columns], &wanted);
    }
}

#[test]
fn slopes_of_prelu_of_any_rank() {
    let (x, plane) = (input(), WIDTH * HEIGHT);
    let slopes = [0.5, -0.25, 2.0];
    let by_channel: Vec<f32> =
        x.data.iter().enumerate().map(|(i, &v)| if v < 0.0 { v * slopes[i / plane] } else { v }).collect();
    // A list is one slope for each channel, unlike in ONNX.
    for dims in [&[3][..], &[1, 3, 1, 1], &[3, 1, 1]] {
        let mut ir = Ir::new(WIDTH, HEIGHT);
        let slope = ir.floats("f16", dims, &slopes);
        let y = ir.layer("PReLU", "", &[ir.input(), slope], &x.dims);
        check(&format!("slopes {dims:?}"), &ir.result(y), &x.dims, &by_channel);
    }
    // Rank 3, with a slope of rank 2.
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let shape = ir.integers("i64", &[3], &[1, 3, -1]);
    let flat = ir.layer("Reshape", "special_zero='true'", &[ir.input(), shape], &[1, 3, plane]);
    let slope = ir.floats("f32", &[1, 1], &[0.5]);
    let y = ir.layer("PReLU", "", &[flat, slope], &[1, 3, plane]);
    let wanted: Vec<f32> = x.data.iter().map(|&v| if v < 0.0 { v / 2.0 } else { v }).collect();
    check("rank 3", &ir.result(y), &[1, 3, plane], &wanted);
}

#[test]
fn normalization_and_reductions() {
    let (x, plane) = (input(), WIDTH * HEIGHT);
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let axes = |ir: &mut Ir| ir.integers("i64", &[2], &[2, 3]);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let along = axes(&mut ir);
    let data = "eps='0.01' normalize_variance='true' eps_mode='INSIDE_SQRT'";
    let y = ir.versioned("MVN", 6, data, &[ir.input(), along], &x.dims);
    let wanted: Vec<f32> = x
        .data
        .chunks(plane)
        .flat_map(|part| {
            let variance = mean(&part.iter().map(|v| (v - mean(part)).powi(2)).collect::<Vec<_>>());
            part.iter().map(|v| (v - mean(part)) / (variance + 0.01).sqrt()).collect::<Vec<_>>()
        })
        .collect();
    check("MVN", &ir.result(y), &x.dims, &wanted);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let along = axes(&mut ir);
    let y = ir.layer("ReduceMean", "keep_dims='true'", &[ir.input(), along], &[1, 3, 1, 1]);
    check("ReduceMean", &ir.result(y), &[1, 3, 1, 1], &x.data.chunks(plane).map(mean).collect::<Vec<_>>());

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let along = axes(&mut ir);
    let y = ir.layer("ReduceSum", "keep_dims='false'", &[ir.input(), along], &[1, 3]);
    let sums: Vec<f32> = x.data.chunks(plane).map(|part| part.iter().sum()).collect();
    check("ReduceSum", &ir.result(y), &[1, 3], &sums);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let along = ir.integers("i32", &[1], &[1]);
    let y = ir.layer("NormalizeL2", "eps='1e-3' eps_mode='add'", &[ir.input(), along], &x.dims);
    let length = |i: usize| ((0..3).map(|c| x.data[c * plane + i].powi(2)).sum::<f32>() + 1e-3).sqrt();
    let wanted: Vec<f32> = x.data.iter().enumerate().map(|(i, v)| v / length(i % plane)).collect();
    check("NormalizeL2", &ir.result(y), &x.dims, &wanted);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let y = ir.layer("SoftMax", "axis='1'", &[ir.input()], &x.dims);
    let sum = |i: usize| (0..3).map(|c| x.data[c * plane + i].exp()).sum::<f32>();
    let wanted: Vec<f32> = x.data.iter().enumerate().map(|(i, v)| v.exp() / sum(i % plane)).collect();
    check("SoftMax", &ir.result(y), &x.dims, &wanted);
}

#[test]
fn shapes_are_computed_when_the_network_is_read() {
    // Reshape to [channels, -1, 1]: the shape of the input, its second number, with constants.
    let (x, plane) = (input(), WIDTH * HEIGHT);
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let shape = ir.layer("ShapeOf", "output_type='i64'", &[ir.input()], &[4]);
    let (begin, end, one) =
        (ir.integers("i64", &[1], &[1]), ir.integers("i64", &[1], &[0]), ir.integers("i64", &[1], &[1]));
    // The end is masked: the slice is [channels, height, width].
    let masks = "begin_mask='0' end_mask='1' new_axis_mask='0' shrink_axis_mask='0' ellipsis_mask='0'";
    let rest = ir.layer("StridedSlice", masks, &[shape, begin, end, one], &[3]);
    let (first, axis) = (ir.integers("i32", &[1], &[0]), ir.integers("i32", &[], &[0]));
    let channels = ir.versioned("Gather", 8, "batch_dims='0'", &[rest, first, axis], &[1]);
    let (open, last) = (ir.integers("i64", &[1], &[-1]), ir.integers("i64", &[1], &[1]));
    let wanted = ir.layer("Concat", "axis='0'", &[channels, open, last], &[3]);
    let y = ir.layer("Reshape", "special_zero='false'", &[ir.input(), wanted], &[3, plane, 1]);
    check("a computed shape", &ir.result(y), &[3, plane, 1], &x.data);
}

#[test]
fn layers_that_rearrange_values() {
    let (x, plane) = (input(), WIDTH * HEIGHT);
    let channel = |c: usize| &x.data[c * plane..][..plane];

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let (indices, axis) = (ir.integers("i32", &[3], &[2, 1, -3]), ir.integers("i32", &[1], &[1]));
    let y = ir.versioned("Gather", 8, "batch_dims='0'", &[ir.input(), indices, axis], &x.dims);
    check("Gather", &ir.result(y), &x.dims, &[channel(2), channel(1), channel(0)].concat());

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let order = ir.integers("i64", &[4], &[0, 2, 3, 1]);
    let y = ir.layer("Transpose", "", &[ir.input(), order], &[1, HEIGHT, WIDTH, 3]);
    let wanted: Vec<f32> = (0..plane).flat_map(|i| (0..3).map(move |c| (c, i))).map(|(c, i)| channel(c)[i]).collect();
    check("Transpose", &ir.result(y), &[1, HEIGHT, WIDTH, 3], &wanted);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let y = ir.layer("Concat", "axis='-3'", &[ir.input(), ir.input()], &[1, 6, HEIGHT, WIDTH]);
    check("Concat", &ir.result(y), &[1, 6, HEIGHT, WIDTH], &[x.data.clone(), x.data.clone()].concat());

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let bounds = [[0, 1, 1, 0], [0, 2, 4, 5], [1, 1, 2, 1]].map(|b| ir.integers("i64", &[4], &b));
    let [begin, end, step] = bounds;
    let masks = "begin_mask='0,0,0,1' end_mask='1,0,0,0' new_axis_mask='' shrink_axis_mask='0,1,0,0' ellipsis_mask=''";
    let y = ir.layer("StridedSlice", masks, &[ir.input(), begin, end, step], &[1, 2, 5]);
    let wanted = [&channel(1)[WIDTH..WIDTH + 5], &channel(1)[3 * WIDTH..3 * WIDTH + 5]].concat();
    check("StridedSlice", &ir.result(y), &[1, 2, 5], &wanted);

    let mut ir = Ir::new(WIDTH, HEIGHT);
    let axis = ir.integers("i64", &[], &[1]);
    let lengths = ir.integers("i64", &[2], &[1, 2]);
    let x0 = ir.input();
    let parts =
        ir.several("VariadicSplit", "", &[x0, axis, lengths], &[&[1, 1, HEIGHT, WIDTH], &[1, 2, HEIGHT, WIDTH]]);
    let y = ir.layer("Concat", "axis='1'", &[parts[1], parts[0]], &x.dims);
    check("VariadicSplit", &ir.result(y), &x.dims, &[channel(1), channel(2), channel(0)].concat());
}

#[test]
fn products_of_matrices() {
    // [1, 3, 24] by [2, 24] transposed.
    let (x, plane) = (input(), WIDTH * HEIGHT);
    let matrix = weights(2 * plane);
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let shape = ir.integers("i64", &[2], &[3, -1]);
    let flat = ir.layer("Reshape", "special_zero='true'", &[ir.input(), shape], &[3, plane]);
    let right = ir.floats("f32", &[2, plane], &matrix);
    let y = ir.layer("MatMul", "transpose_a='false' transpose_b='true'", &[flat, right], &[3, 2]);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let wanted: Vec<f32> =
        x.data.chunks(plane).flat_map(|row| matrix.chunks(plane).map(move |column| dot(row, column))).collect();
    check("MatMul", &ir.result(y), &[3, 2], &wanted);
}

#[test]
fn scaling_up_and_quantisation() {
    let x = input();
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let (sizes, scales, axes) = (
        ir.integers("i64", &[2], &[2 * HEIGHT as i64, 2 * WIDTH as i64]),
        ir.floats("f32", &[2], &[2.0, 2.0]),
        ir.integers("i64", &[2], &[2, 3]),
    );
    let data = "mode='nearest' shape_calculation_mode='sizes' coordinate_transformation_mode='asymmetric' \
                nearest_mode='floor' antialias='false'";
    let dims = [1, 3, 2 * HEIGHT, 2 * WIDTH];
    let y = ir.versioned("Interpolate", 4, data, &[ir.input(), sizes, scales, axes], &dims);
    let wanted: Vec<f32> = (0..3 * 4 * WIDTH * HEIGHT)
        .map(|i| {
            let (channel, row, column) = (i / (4 * WIDTH * HEIGHT), i / (2 * WIDTH) % (2 * HEIGHT), i % (2 * WIDTH));
            at(&x.data, channel, row as isize / 2, column as isize / 2)
        })
        .collect();
    check("Interpolate", &ir.result(y), &dims, &wanted);

    // Five levels from -0.5 to 0.5, which become -1 to 1.
    let mut ir = Ir::new(WIDTH, HEIGHT);
    let limits = [-0.5, 0.5, -1.0, 1.0].map(|limit| ir.floats("f32", &[], &[limit]));
    let inputs: Vec<_> = [ir.input()].into_iter().chain(limits).collect();
    let y = ir.layer("FakeQuantize", "levels='5' auto_broadcast='numpy'", &inputs, &x.dims);
    let wanted: Vec<f32> =
        x.data.iter().map(|v| ((v.clamp(-0.5, 0.5) + 0.5) * 4.0).round_ties_even() / 2.0 - 1.0).collect();
    check("FakeQuantize", &ir.result(y), &x.dims, &wanted);
}

#[test]
fn boxes_of_a_detection_output() {
    // Two cells of one row, one prior box of 2x4 pixels in each, centred at (1.5, 2) and (4.5, 2).
    let ir = ir::ssd(WIDTH, HEIGHT);
    let x = input();
    for device in engines() {
        let outputs = open(&ir, &device).run(x.clone()).unwrap();
        let [(_, boxes), (_, scores)] = outputs.as_slice() else { panic!("{} outputs", outputs.len()) };
        let mut wanted = Vec::new();
        for (prior, centre) in [1.5f32, 4.5].into_iter().enumerate() {
            let offset = |i: usize| x.data[4 * prior + i];
            let (width, height) = (2.0 / 6.0, 4.0 / 4.0);
            let (cx, cy) = (0.1 * offset(0) * width + centre / 6.0, 0.1 * offset(1) * height + 0.5);
            let (w, h) = ((0.2 * offset(2)).exp() * width / 2.0, (0.2 * offset(3)).exp() * height / 2.0);
            wanted.extend([cx - w, cy - h, cx + w, cy + h]);
        }
        compare("boxes", boxes, &[1, 2, 4], &wanted);
        compare("scores", scores, &[1, 2, 2], &x.data[8..12]);
    }
}
