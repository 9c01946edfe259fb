//! What the stages of a job take, each alone: decoding (beside `ffmpeg -benchmark`), scaling for the detectors, the detectors,
//! and the pictures of what they find.
//!
//! `cargo xtask bench stages`, which makes the recordings and names them in `OCELLUS_CLIPS`, as paths are listed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark ends where something is wrong")]

use std::{
    collections::VecDeque,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Instant,
};

use ocellus_core::{InputImage, ObjectType, Rect};
use ocellus_detect::{Detector, Detectors, Device, DeviceChoice};
use ocellus_figures::{Figure, Unit};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, Scaler};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Frames that are scaled once and shown to detectors again and again.
const KEPT: usize = 30;
const SHOWN: usize = 240;
/// Of JPEGs, as jobs have it unless asked otherwise.
const QUALITY: u8 = 95;

fn main() {
    let clips = env::var_os("OCELLUS_CLIPS").expect("OCELLUS_CLIPS names recordings; cargo xtask bench stages makes them");
    let assets = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets"));
    let choice = env::var("OCELLUS_DEVICE").map_or(DeviceChoice::Auto, |choice| choice.parse().unwrap());
    let device = Device::choose(choice, Some(&assets.join("onnxruntime"))).unwrap();
    let detectors = Detectors::load(&assets.join("detectors"), &device).unwrap();
    for clip in env::split_paths(&clips) {
        let name = clip.file_stem().unwrap().to_string_lossy().into_owned();
        decode(&name, &clip);
        for (what, object_types) in [("bodies and cars", vec![ObjectType::body(), ObjectType::car()]), ("faces", vec![ObjectType::face()])]
        {
            let detectors = detectors.for_types(&object_types);
            let inputs = scale(&format!("{name}, {what}"), &clip, &detectors);
            detect(&format!("{name}, {what}"), &inputs, &detectors);
            pictures(&format!("{name}, {what}"), &clip, &detectors, &object_types);
        }
    }
}

fn open(clip: &Path) -> Decoder {
    let threads = thread::available_parallelism().unwrap().get();
    Decoder::open(&Input { threads, ..Input::new(Location::File(clip.to_owned())) }, &Interrupt::new()).unwrap()
}

fn decode(name: &str, clip: &Path) {
    let (mut decoder, mut frames) = (open(clip), 0_u32);
    let (start, cpu) = (Instant::now(), cpu_seconds());
    while decoder.next_frame().unwrap().is_some() {
        frames += 1;
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let program = Command::new("ffmpeg").args(["-v", "info", "-benchmark", "-an", "-i"]).arg(clip).args(["-f", "null", "-"]).output();
    let said = String::from_utf8_lossy(&program.expect("the ffmpeg program").stderr).into_owned();
    let bench = said.lines().rev().find_map(|line| line.strip_prefix("bench: utime=")).expect("the line of -benchmark");
    let [user, system, real] = *bench.split(['=', ' ']).filter_map(|part| part.strip_suffix('s')?.parse::<f64>().ok()).collect::<Vec<_>>()
    else {
        panic!("{bench}")
    };
    let frames = f64::from(frames);
    Figure::new(format!("{name}: decode"), frames / wall, Unit::FramesPerSecond).beside("ffmpeg -benchmark", frames / real).report();
    let theirs = (user + system) / frames * 1e3;
    Figure::new(format!("{name}: decode, CPU"), cpu / frames * 1e3, Unit::Milliseconds).beside("ffmpeg -benchmark", theirs).report();
}

/// As a job's decoder does it; some of what it makes.
fn scale(name: &str, clip: &Path, detectors: &[Arc<Detector>]) -> Vec<Vec<InputImage>> {
    let mut decoder = open(clip);
    let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().unwrap()).take(KEPT).collect();
    let mut scaler = Scaler::new();
    let mut look = |frame: &Frame| -> Vec<InputImage> {
        detectors.iter().map(|d| scaler.input(frame, &d.input(frame.size()), None).unwrap()).collect()
    };
    let inputs = frames.iter().map(&mut look).collect();
    let start = Instant::now();
    for _ in 0..4 {
        frames.iter().for_each(|frame| drop(look(frame)));
    }
    let took = start.elapsed().as_secs_f64() / (4 * frames.len()) as f64;
    Figure::new(format!("{name}: scale, CPU"), took * 1e3, Unit::Milliseconds).report();
    inputs
}

/// With as many pictures under way as a job has.
fn detect(name: &str, inputs: &[Vec<InputImage>], detectors: &[Arc<Detector>]) {
    let depth = detectors.iter().map(|d| d.depth()).max().unwrap();
    let mut under_way = VecDeque::new();
    let mut show = |shown: usize| {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        for pictures in inputs.iter().cycle().take(shown) {
            under_way.push_back(detectors.iter().zip(pictures).map(|(d, p)| d.begin(p.clone()).unwrap()).collect::<Vec<_>>());
            if under_way.len() > depth {
                under_way.pop_front().into_iter().flatten().for_each(|looking| drop(looking.wait().unwrap()));
            }
        }
        under_way.drain(..).flatten().for_each(|looking| drop(looking.wait().unwrap()));
        (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
    };
    show(depth);
    let (wall, cpu) = show(SHOWN);
    let shown = SHOWN as f64;
    Figure::new(format!("{name}: detect"), shown / wall, Unit::FramesPerSecond).report();
    Figure::new(format!("{name}: detect, CPU"), cpu / shown * 1e3, Unit::Milliseconds).report();
}

/// The thumbnail and the full frame of what is found in every tenth frame.
fn pictures(name: &str, clip: &Path, detectors: &[Arc<Detector>], object_types: &[ObjectType]) {
    let mut decoder = open(clip);
    let mut scaler = Scaler::new();
    let mut found: Vec<(Frame, Rect)> = Vec::new();
    for frame in std::iter::from_fn(|| decoder.next_frame().unwrap()).step_by(10).take(KEPT) {
        for detector in detectors {
            let picture = scaler.input(&frame, &detector.input(frame.size()), None).unwrap();
            let objects = detector.begin(picture).unwrap().wait().unwrap();
            let wanted = objects.into_iter().filter(|o| object_types.contains(&o.object_type));
            found.extend(wanted.map(|o| (frame.clone(), o.rect.padded(0.15))));
        }
    }
    if found.is_empty() {
        return;
    }
    let start = Instant::now();
    for (frame, part) in &found {
        frame.jpeg(Some(*part), None, QUALITY).unwrap();
        frame.jpeg(None, None, QUALITY).unwrap();
    }
    let took = start.elapsed().as_secs_f64() / found.len() as f64;
    Figure::new(format!("{name}: pictures of an object, CPU"), took * 1e3, Unit::Milliseconds).report();
}

/// Of this process, in all threads; 0 where that cannot be asked.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before it may hold spaces; utime and stime are the 14th and 15th field, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
