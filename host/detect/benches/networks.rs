//! Milliseconds per picture of each network that ships, by device and batch: the median of a few runs.
//!
//! `cargo bench -p ocellus-detect` measures the CPU, and a GPU where there is one. `OCELLUS_DEVICE=wgpu` takes a software
//! GPU, too, which says nothing about real ones.

use std::{path::PathBuf, time::Instant};

use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Manifest, Network};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "its purpose")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::var_os("OCELLUS_DETECTORS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets/detectors")), PathBuf::from);
    let runs: usize = std::env::var("OCELLUS_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(15);
    let mut devices = vec![Device::choose(DeviceChoice::Cpu, None)?];
    let library = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets/onnxruntime");
    match Device::choose(DeviceChoice::OnnxRuntime, Some(library.as_ref())) {
        Ok(device) => devices.push(device),
        Err(error) => println!("{error}"),
    }
    let choice = std::env::var("OCELLUS_DEVICE").ok().and_then(|choice| choice.parse().ok()).unwrap_or(DeviceChoice::Auto);
    match Device::choose(choice, None) {
        Ok(device) if devices.iter().all(|other| other.describe() != device.describe()) => devices.push(device),
        Ok(_) => println!("no GPU here"),
        Err(error) => println!("{error}"),
    }
    println!("{:<12} {:>9} {:>6} {:>12} {:>10}  device", "network", "input", "batch", "ms/picture", "first ms");
    for (name, width, height) in [("yolox-nano", 416, 416), ("centerface", 640, 384)] {
        let manifest = Manifest::parse(&std::fs::read_to_string(folder.join(name).join("detector.toml"))?)?;
        let file = folder.join(name).join(&manifest.model.file);
        for device in &devices {
            for batch in [1, 2, 8] {
                let shape = InputShape { batch: (batch == 1).then_some(1), width: Some(width), height: Some(height) };
                let network = Network::load(&file, shape, device)?;
                let input = Array { dims: vec![batch, 3, height, width], data: vec![128.0; batch * 3 * width * height] };
                let run = || {
                    let start = Instant::now();
                    network.run(input.clone()).map(|_| start.elapsed().as_secs_f64() * 1e3)
                };
                let first = run()?;
                let mut times = (0..runs).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
                times.sort_by(f64::total_cmp);
                let median = times.get(times.len() / 2).copied().unwrap_or(first) / batch as f64;
                println!("{name:<12} {:>9} {batch:>6} {median:>12.2} {first:>10.0}  {}", format!("{width}x{height}"), device.describe());
            }
        }
    }
    Ok(())
}
