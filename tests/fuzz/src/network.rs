//! Target `network`: networks of detectors, as files of ONNX, and of OpenVINO with weights that are
//! all zero.

use ocellus_detect::{Device, DeviceChoice, InputShape, Network, NetworkFile};

/// Bytes of the weights.
const WEIGHTS: usize = 4096;

pub(crate) fn run(bytes: &[u8]) {
    let file = if bytes.first() == Some(&b'<') {
        NetworkFile::OpenVino { xml: bytes.to_vec(), weights: vec![0; WEIGHTS] }
    } else {
        NetworkFile::Onnx(bytes.to_vec())
    };
    let device = Device::choose(DeviceChoice::Cpu, None).expect("there is a CPU");
    let _ = Network::parse("network", file, InputShape::single(6, 4), &device);
}
