//! Benchmark of networks: milliseconds a picture of each network that ships, by device.
//!
//! *Alone* is one picture after the other; *together* is as many at a time as the device has
//! workers, as for jobs; in batches on a GPU. Both are compared with ONNX Runtime in Python.
//!
//! `cargo xtask bench networks` measures the CPU, and a GPU where there is one; it passes a Python
//! that has ONNX Runtime in `OCELLUS_PEER`. `OCELLUS_DEVICE=wgpu` also accepts a software GPU,
//! whose times say nothing about real ones.

#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::{collections::HashMap, path::PathBuf, process::Command, thread, time::Instant};

use ocellus_bench_report::{Figure, Unit, percentile};
use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Manifest, Network, NetworkError};
use serde_json::Value;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let assets = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets"));
    let detectors = std::env::var_os("OCELLUS_DETECTORS").map_or_else(|| assets.join("detectors"), PathBuf::from);
    let runs: usize = std::env::var("OCELLUS_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(40);
    let peer = peer(&detectors)?;
    let mut devices = Vec::new();
    let wanted =
        std::env::var("OCELLUS_DEVICE").ok().and_then(|choice| choice.parse().ok()).unwrap_or(DeviceChoice::Auto);
    for choice in [DeviceChoice::Cpu, DeviceChoice::OnnxRuntime, wanted] {
        match Device::choose(choice, Some(&assets.join("onnxruntime"))) {
            Ok(device) if devices.iter().all(|other: &Device| other.describe() != device.describe()) => {
                devices.push(device)
            }
            Ok(_) => {}
            Err(error) => println!("{error}"),
        }
    }
    // The second is the input of a recording of 16:9.
    for (name, sizes) in [("yolox-nano", &[(416, 416), (544, 320)][..]), ("centerface", &[(640, 384)])] {
        let manifest = Manifest::parse(&std::fs::read_to_string(detectors.join(name).join("detector.toml"))?)?;
        let file = detectors.join(name).join(&manifest.model.file);
        for device in &devices {
            let batches: &[usize] = if device.describe().starts_with("wgpu") { &[1, 8] } else { &[1] };
            for &batch in batches {
                // Loaded for any size, as detectors load them.
                let shape = InputShape { batch: (batch == 1).then_some(1), ..InputShape::default() };
                let network = Network::load(&file, shape, device)?;
                for (n, &(width, height)) in sizes.iter().enumerate() {
                    let theirs = peer.get(name).filter(|_| n == 0).copied();
                    let size = Size { batch, width, height, runs };
                    measure(&format!("{name} {width}x{height}, {}", device.describe()), &network, &size, theirs)?;
                }
            }
        }
    }
    Ok(())
}

struct Size {
    batch: usize,
    width: usize,
    height: usize,
    runs: usize,
}

fn measure(name: &str, network: &Network, size: &Size, theirs: Option<(f64, f64)>) -> Result<(), Failure> {
    let &Size { batch, width, height, runs } = size;
    let input = Array { dims: vec![batch, 3, height, width], data: vec![128.0; batch * 3 * width * height] };
    let label = |how: &str| if batch == 1 { format!("{name}, {how}") } else { format!("{name}, {batch} {how}") };
    let first = time(|| network.run(input.clone()).map(drop))?;
    let again = || again(network, &input, runs);
    Figure::new(label("first"), first, Unit::Milliseconds).report();
    let alone = percentile(&again()?, 0.5) / batch as f64;
    compare(label("alone"), alone, theirs.map(|t| t.0)).report();
    let workers = network.workers();
    if workers > 1 {
        let all = time(|| {
            thread::scope(|scope| {
                let running: Vec<_> = (0..workers).map(|_| scope.spawn(again)).collect();
                running
                    .into_iter()
                    .try_for_each(|r| r.join().map_err(|_| "a run panicked")?.map(drop).map_err(|_| "a run failed"))
            })
        })?;
        compare(label("together"), all / (workers * runs * batch) as f64, theirs.map(|t| t.1)).report();
    }
    Ok(())
}

/// Milliseconds of each of `runs`, one after the other with reused memory, as in a worker.
fn again(network: &Network, input: &Array, runs: usize) -> Result<Vec<f64>, NetworkError> {
    let (mut reused, mut outputs) = (Array::default(), Vec::new());
    let run = |_| {
        time(|| {
            // burn consumes the input; ONNX Runtime leaves it.
            if reused.data.is_empty() {
                reused.clone_from(input);
            }
            network.run_into(&mut reused, &mut outputs)
        })
    };
    (0..runs).map(run).collect()
}

fn compare(name: String, ours: f64, theirs: Option<f64>) -> Figure {
    let figure = Figure::new(name, ours, Unit::Milliseconds);
    match theirs {
        Some(theirs) => figure.beside("ONNX Runtime in Python", theirs),
        None => figure,
    }
}

/// Milliseconds that `work` takes.
fn time<E>(work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

/// Milliseconds of ONNX Runtime in Python by network, alone and together; empty where no Python is
/// passed.
fn peer(detectors: &PathBuf) -> Result<HashMap<String, (f64, f64)>, Failure> {
    let Some(python) = std::env::var_os("OCELLUS_PEER") else { return Ok(HashMap::new()) };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/peer/networks.py");
    let output = Command::new(python).arg(script).arg(detectors).output()?;
    let measured: HashMap<String, Value> = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("{script}: {e}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let figure = |figures: &Value, name| figures.get(name).and_then(Value::as_f64).ok_or("a figure is missing");
    measured
        .into_iter()
        .map(|(name, figures)| Ok((name, (figure(&figures, "alone")?, figure(&figures, "together")?))))
        .collect()
}
