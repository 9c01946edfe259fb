//! Outputs of a network, for writing a manifest or comparing engines: runs an ONNX file or an
//! OpenVINO network once on pseudo-random pixels, and prints the outputs.
//!
//! ```sh
//! cargo run --release -p ocellus-detect --example outputs -- network.xml 300 300 cpu
//! ```
//!
//! The last two arguments can be left out: the device (`cpu`, or the folder of ONNX Runtime's
//! library), and a folder into which each output is written, as 32-bit floats, little-endian.

use std::{error::Error, fs, io::Write, path::Path};

use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Network};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, width, height, rest @ ..] = arguments.as_slice() else {
        return Err("usage: outputs FILE WIDTH HEIGHT [cpu|FOLDER OF ONNX RUNTIME [FOLDER]]".into());
    };
    let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
    let device = match rest.first().map(String::as_str) {
        None | Some("cpu") => Device::choose(DeviceChoice::Cpu, None)?,
        Some(folder) => Device::choose(DeviceChoice::OnnxRuntime, Some(Path::new(folder)))?,
    };
    let network = Network::load(Path::new(file), InputShape::single(width, height), &device)?;
    // Integers 0 to 255: the top byte of the index times Knuth's constant.
    let values = (0..3 * width * height).map(|i| ((i as u64 * 2_654_435_761 % (1 << 32)) >> 24) as f32);
    let input = Array { dims: vec![1, 3, height, width], data: values.collect() };
    let mut out = std::io::stdout().lock();
    for (index, (name, Array { dims, data })) in network.run(input)?.into_iter().enumerate() {
        let (least, largest) = data.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        writeln!(out, "{name}: {dims:?}, {least} to {largest}")?;
        if let Some(folder) = rest.get(1) {
            let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
            fs::write(Path::new(folder).join(format!("{index}.f32")), bytes)?;
        }
    }
    Ok(())
}
