//! OpenVINO networks that tests write, layer by layer.

#![allow(dead_code, reason = "each suite uses some of it")]

use std::fmt::Write;

use ocellus_detect::{Device, DeviceChoice, NetworkFile};

use crate::common;

/// Size of the picture that the suites' networks take, in pixels.
pub(crate) const WIDTH: usize = 6;
pub(crate) const HEIGHT: usize = 4;

pub(crate) fn cpu() -> Device {
    Device::choose(DeviceChoice::Cpu, None).unwrap()
}

/// The engines of this machine's CPU.
pub(crate) fn engines() -> Vec<Device> {
    [Some(cpu()), common::onnxruntime()].into_iter().flatten().collect()
}

/// A 1x1 window without padding.
pub(crate) const WINDOW: &str = "strides='1, 1' pads_begin='0, 0' pads_end='0, 0' dilations='1, 1' auto_pad='explicit'";

/// The output of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Value {
    pub(crate) layer: usize,
    pub(crate) port: usize,
}

/// A network of a picture.
#[derive(Clone)]
pub(crate) struct Ir {
    layers: String,
    edges: String,
    count: usize,
    weights: Vec<u8>,
}

impl Ir {
    pub(crate) fn new(width: usize, height: usize) -> Self {
        let mut ir = Self { layers: String::new(), edges: String::new(), count: 0, weights: Vec::new() };
        let shape = format!("element_type='f32' shape='1,3,{height},{width}'");
        ir.add("Parameter", "picture", 1, &shape, &[], &[&[1, 3, height, width]]);
        ir
    }

    pub(crate) fn input(&self) -> Value {
        Value { layer: 0, port: 0 }
    }

    fn add(&mut self, kind: &str, name: &str, opset: u32, data: &str, inputs: &[Value], outputs: &[&[usize]]) -> usize {
        let id = self.count;
        self.count += 1;
        let port = |id: usize, dims: &[usize]| {
            let dims: String = dims.iter().map(|n| format!("<dim>{n}</dim>")).collect();
            format!("<port id='{id}'>{dims}</port>")
        };
        let ins: String = (0..inputs.len()).map(|index| port(index, &[])).collect();
        // Ports of outputs are numbered after those of inputs.
        let outs: String = outputs.iter().enumerate().map(|(n, dims)| port(100 + n, dims)).collect();
        write!(
            self.layers,
            "<layer id='{id}' name='{name}' type='{kind}' version='opset{opset}'><data {data}/>\
             <input>{ins}</input><output>{outs}</output></layer>"
        )
        .unwrap();
        for (to, Value { layer, port }) in inputs.iter().enumerate() {
            let from = 100 + port;
            write!(self.edges, "<edge from-layer='{layer}' from-port='{from}' to-layer='{id}' to-port='{to}'/>")
                .unwrap();
        }
        id
    }

    /// A layer of operation set 1 with one output.
    pub(crate) fn layer(&mut self, kind: &str, data: &str, inputs: &[Value], dims: &[usize]) -> Value {
        self.versioned(kind, 1, data, inputs, dims)
    }

    pub(crate) fn versioned(&mut self, kind: &str, opset: u32, data: &str, inputs: &[Value], dims: &[usize]) -> Value {
        let name = format!("layer {}", self.count);
        Value { layer: self.add(kind, &name, opset, data, inputs, &[dims]), port: 0 }
    }

    /// A layer with several outputs.
    pub(crate) fn several(&mut self, kind: &str, data: &str, inputs: &[Value], outputs: &[&[usize]]) -> Vec<Value> {
        let name = format!("layer {}", self.count);
        let layer = self.add(kind, &name, 1, data, inputs, outputs);
        (0..outputs.len()).map(|port| Value { layer, port }).collect()
    }

    /// A layer with a name, which outputs take.
    pub(crate) fn named(&mut self, name: &str, kind: &str, data: &str, inputs: &[Value], dims: &[usize]) -> Value {
        Value { layer: self.add(kind, name, 1, data, inputs, &[dims]), port: 0 }
    }

    fn constant(&mut self, element: &str, dims: &[usize], bytes: &[u8]) -> Value {
        let shape: Vec<String> = dims.iter().map(usize::to_string).collect();
        let (offset, size) = (self.weights.len(), bytes.len());
        self.weights.extend_from_slice(bytes);
        let shape = shape.join(",");
        let data = format!("element_type='{element}' shape='{shape}' offset='{offset}' size='{size}'");
        self.layer("Const", &data, &[], dims)
    }

    /// `element` is f16, f32 or f64.
    pub(crate) fn floats(&mut self, element: &str, dims: &[usize], values: &[f32]) -> Value {
        let bytes: Vec<u8> = match element {
            // Values of up to three significant bits and no infinities, which halves hold exactly.
            "f16" => values.iter().flat_map(|v| half(*v).to_le_bytes()).collect(),
            "f64" => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.constant(element, dims, &bytes)
    }

    /// `element` is i32 or i64.
    pub(crate) fn integers(&mut self, element: &str, dims: &[usize], values: &[i64]) -> Value {
        let bytes: Vec<u8> = match element {
            "i32" => values.iter().flat_map(|v| i32::try_from(*v).unwrap().to_le_bytes()).collect(),
            _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        self.constant(element, dims, &bytes)
    }

    pub(crate) fn bytes(&mut self, dims: &[usize], values: &[i8]) -> Value {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant("i8", dims, &bytes)
    }

    /// Declares an output of the network.
    pub(crate) fn result(mut self, value: Value) -> Self {
        let name = format!("result {}", self.count);
        self.add("Result", &name, 1, "", &[value], &[]);
        self
    }

    pub(crate) fn xml(&self) -> String {
        let Self { layers, edges, .. } = self;
        format!(
            "<?xml version=\"1.0\"?><net name=\"net\" version=\"11\">\
             <layers>{layers}</layers><edges>{edges}</edges></net>"
        )
    }

    pub(crate) fn weights(&self) -> &[u8] {
        &self.weights
    }

    pub(crate) fn file(&self) -> NetworkFile {
        NetworkFile::OpenVino { xml: self.xml().into_bytes(), weights: self.weights.clone() }
    }
}

/// The bits of a normal half-precision number that is exactly representable.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let exponent = (bits >> 23) & 0xff;
    if exponent == 0 { sign } else { sign | (((exponent - 112) << 10) | ((bits >> 13) & 0x3ff)) as u16 }
}

/// An SSD detector: two prior boxes of 2x4 pixels side by side, whose offsets are the first eight
/// values of the picture, and whose scores (background, object) are the next four.
pub(crate) fn ssd(width: usize, height: usize) -> Ir {
    let mut ir = Ir::new(width, height);
    let all = 3 * width * height;
    let shape = ir.integers("i64", &[2], &[1, -1]);
    let flat = ir.layer("Reshape", "special_zero='true'", &[ir.input(), shape], &[1, all]);
    let lengths = ir.integers("i64", &[3], &[8, 4, all as i64 - 12]);
    let axis = ir.integers("i64", &[], &[1]);
    let parts = ir.several("VariadicSplit", "", &[flat, axis, lengths], &[&[1, 8], &[1, 4], &[1, all - 12]]);
    let cells = ir.integers("i64", &[2], &[1, 2]);
    let picture = ir.layer("ShapeOf", "output_type='i64'", &[ir.input()], &[4]);
    let begin = ir.integers("i64", &[1], &[2]);
    let (end, step) = (ir.integers("i64", &[1], &[4]), ir.integers("i64", &[1], &[1]));
    let masks = "begin_mask='0' end_mask='1' new_axis_mask='0' shrink_axis_mask='0' ellipsis_mask='0'";
    let size = ir.layer("StridedSlice", masks, &[picture, begin, end, step], &[2]);
    let data = format!(
        "width='2' height='4' clip='false' step='0' step_w='{}' step_h='{height}' offset='0.5' \
         variance='0.1,0.1,0.2,0.2'",
        width / 2
    );
    let priors = ir.layer("PriorBoxClustered", &data, &[cells, size], &[2, 8]);
    let zero = ir.integers("i64", &[1], &[0]);
    let priors = ir.layer("Unsqueeze", "", &[priors, zero], &[1, 2, 8]);
    let data = "num_classes='2' code_type='caffe.PriorBoxParameter.CENTER_SIZE' share_location='true' \
                variance_encoded_in_target='false' normalized='true' nms_threshold='0.45'";
    let found = ir.versioned("DetectionOutput", 8, data, &[parts[0], parts[1], priors], &[1, 1, 2, 7]);
    ir.result(found)
}
