//! Benchmark of the stages of a job, each alone: decoding (beside `ffmpeg -benchmark`), decoding
//! and scaling for the detectors, detection, measurements of detections, and the pictures and
//! embeddings of objects.
//!
//! Frames per second are by wall clock, with as many threads as a job has. CPU time is that of a
//! frame, a picture or an object, with all cores busy, as in a job: a core whose neighbour idles is
//! faster.
//!
//! `cargo xtask bench stages` makes the recordings and lists their paths in `OCELLUS_CLIPS`. With
//! `OCELLUS_STAGES_OF`, the name of one of [`LOOKED_FOR`], it measures only the stages of a job
//! with these types, once and without a peer: `cargo xtask bench jobs` does so between jobs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed assumption ends the benchmark")]

use std::{
    collections::VecDeque,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ocellus_bench_report::{
    Figure, LOOKED_FOR, Unit, percentile,
    process::{SELF, cpu_seconds},
};
use ocellus_core::{InputImage, ObjectType, Rect};
use ocellus_detect::{Detector, Detectors, Device, DeviceChoice, Embedders, RawDetection};
use ocellus_media::{Decoder, Frame, Input, Interrupt, Location, Scaler};
use ocellus_pipeline::quality_in;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Number of sample frames of a recording, every tenth, which detectors get repeatedly.
const KEPT: usize = 30;
/// Rounds of measuring decoding, alternating with its peer.
const ROUNDS: usize = 3;
/// Least time for measuring a stage: the CPU time of a process has a resolution of 10 ms.
const DECODING: Duration = Duration::from_secs(1);
const DETECTING: Duration = Duration::from_millis(2500);
const OTHERS: Duration = Duration::from_millis(500);
/// JPEG quality, the default of jobs.
const QUALITY: u8 = 95;

fn main() {
    let clips =
        env::var_os("OCELLUS_CLIPS").expect("OCELLUS_CLIPS names recordings; cargo xtask bench stages makes them");
    let assets = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets"));
    let choice = env::var("OCELLUS_DEVICE").map_or(DeviceChoice::Auto, |choice| choice.parse().unwrap());
    let device = Device::choose(choice, Some(&assets.join("onnxruntime"))).unwrap();
    let detectors = Detectors::load(&assets.join("detectors"), &device).unwrap();
    let embedders = Embedders::load(&assets.join("embedders"), &device).unwrap();
    let only = env::var("OCELLUS_STAGES_OF").ok();
    let workloads = LOOKED_FOR.iter().filter(|(what, _)| only.as_ref().is_none_or(|only| only == what));
    let workloads: Vec<Workload> = workloads.map(|(what, types)| Workload::new(what, types, &detectors)).collect();
    assert!(!workloads.is_empty(), "there are no stages of {only:?}");
    for clip in env::split_paths(&clips) {
        let name = clip.file_stem().unwrap().to_string_lossy().into_owned();
        let samples = if only.is_some() {
            workloads.iter().map(|workload| workload.decode(&name, &clip)).collect()
        } else {
            decode(&name, &clip, &workloads)
        };
        for (workload, samples) in workloads.iter().zip(samples) {
            let name = format!("{name}, {}", workload.what);
            let frames: Vec<&Frame> = samples.iter().map(|(frame, _)| frame).collect();
            let scaling = on_all_cores(&frames, || {
                let mut scaler = Scaler::new();
                move |frame: &&Frame| drop(workload.scale(&mut scaler, frame))
            });
            Figure::new(format!("{name}: scale, CPU"), scaling, Unit::Milliseconds).report();
            detect(&name, &samples.iter().map(|(_, inputs)| inputs.clone()).collect::<Vec<_>>(), &workload.detectors);
            objects(&name, workload, &samples, &embedders);
        }
    }
}

fn open(clip: &Path) -> Decoder {
    Decoder::open(&Input { threads: cores(), ..Input::new(Location::File(clip.to_owned())) }, &Interrupt::new())
        .unwrap()
}

fn cores() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// A frame, and the input of each detector.
type Sample = (Frame, Vec<InputImage>);

/// The object types of a job, with their detectors.
struct Workload {
    what: &'static str,
    object_types: Vec<ObjectType>,
    detectors: Vec<Arc<Detector>>,
}

impl Workload {
    fn new(what: &'static str, types: &[&str], detectors: &Detectors) -> Self {
        let object_types: Vec<ObjectType> = types.iter().map(|t| t.parse().unwrap()).collect();
        let detectors = detectors.for_types(&object_types);
        Self { what, object_types, detectors }
    }

    /// Scales a frame as a job's decoding stage does.
    fn scale(&self, scaler: &mut Scaler, frame: &Frame) -> Vec<InputImage> {
        self.detectors.iter().map(|d| scaler.input(frame, &d.input(frame.size()), None).unwrap()).collect()
    }

    /// Decodes and scales a recording to its end; returns the number of frames, and samples.
    fn samples(&self, clip: &Path) -> (u32, Vec<Sample>) {
        let (mut decoder, mut scaler, mut kept) = (open(clip), Scaler::new(), Vec::new());
        let mut frames = 0_u32;
        while let Some(frame) = decoder.next_frame().unwrap() {
            let inputs = self.scale(&mut scaler, &frame);
            if frames.is_multiple_of(10) && kept.len() < KEPT {
                kept.push((frame, inputs));
            }
            frames += 1;
        }
        (frames, kept)
    }

    /// Measures the decoding stage alone, without a peer.
    fn decode(&self, name: &str, clip: &Path) -> Vec<Sample> {
        let (mut frames, mut kept) = (0, Vec::new());
        let (start, cpu) = (Instant::now(), cpu_seconds(SELF));
        while start.elapsed() < DECODING {
            let (some, samples) = self.samples(clip);
            (frames, kept) = (frames + some, samples);
        }
        let (wall, cpu, frames) = (start.elapsed().as_secs_f64(), cpu_seconds(SELF) - cpu, f64::from(frames));
        let name = format!("{name}, {}: decode + scale", self.what);
        Figure::new(&name, frames / wall, Unit::FramesPerSecond).report();
        Figure::new(format!("{name}, CPU"), cpu / frames * 1e3, Unit::Milliseconds).report();
        kept
    }
}

/// Measures decoding, the same by ffmpeg, and decoding with scaling, in turns; returns samples for
/// each of `workloads`.
fn decode(name: &str, clip: &Path, workloads: &[Workload]) -> Vec<Vec<Sample>> {
    let [mut ours, mut our_cpu, mut theirs, mut their_cpu] = [const { Vec::new() }; 4];
    let mut scaled: Vec<_> = workloads.iter().map(|_| (Vec::new(), Vec::new())).collect();
    for _ in 0..ROUNDS {
        let (mut decoder, mut frames) = (open(clip), 0_u32);
        let (start, cpu) = (Instant::now(), cpu_seconds(SELF));
        while decoder.next_frame().unwrap().is_some() {
            frames += 1;
        }
        let frames = f64::from(frames);
        ours.push(frames / start.elapsed().as_secs_f64());
        our_cpu.push((cpu_seconds(SELF) - cpu) / frames * 1e3);
        let (cpu, real) = ffmpeg(clip);
        theirs.push(frames / real);
        their_cpu.push(cpu / frames * 1e3);
        for (workload, (rates, samples)) in workloads.iter().zip(&mut scaled) {
            let start = Instant::now();
            *samples = workload.samples(clip).1;
            rates.push(frames / start.elapsed().as_secs_f64());
        }
    }
    let median = |values: &[f64]| percentile(values, 0.5);
    let (fps, ms) = (Unit::FramesPerSecond, Unit::Milliseconds);
    Figure::new(format!("{name}: decode"), median(&ours), fps).beside("ffmpeg -benchmark", median(&theirs)).report();
    Figure::new(format!("{name}: decode, CPU"), median(&our_cpu), ms)
        .beside("ffmpeg -benchmark", median(&their_cpu))
        .report();
    let with_scaling = |(workload, (rates, samples)): (&Workload, (Vec<f64>, Vec<Sample>))| {
        let name = format!("{name}, {}: decode + scale", workload.what);
        Figure::new(name, median(&rates), fps).beside("decoding alone", median(&ours)).report();
        samples
    };
    workloads.iter().zip(scaled).map(with_scaling).collect()
}

/// Seconds of CPU and of wall clock that ffmpeg reports for decoding a recording.
fn ffmpeg(clip: &Path) -> (f64, f64) {
    let program = Command::new("ffmpeg")
        .args(["-v", "info", "-benchmark", "-an", "-i"])
        .arg(clip)
        .args(["-f", "null", "-"])
        .output();
    let output = String::from_utf8_lossy(&program.expect("the ffmpeg program").stderr).into_owned();
    let bench =
        output.lines().rev().find_map(|line| line.strip_prefix("bench: utime=")).expect("the line of -benchmark");
    let [user, system, real] =
        *bench.split(['=', ' ']).filter_map(|part| part.strip_suffix('s')?.parse::<f64>().ok()).collect::<Vec<_>>()
    else {
        panic!("{bench}")
    };
    (user + system, real)
}

/// Measures detection, with as many frames in flight as a job has.
fn detect(name: &str, inputs: &[Vec<InputImage>], detectors: &[Arc<Detector>]) {
    let depth = detectors.iter().map(|d| d.depth()).max().unwrap();
    let mut in_flight = VecDeque::new();
    let mut show = |least: usize, time: Duration| {
        let (start, cpu, mut shown) = (Instant::now(), cpu_seconds(SELF), 0_usize);
        for pictures in inputs.iter().cycle() {
            if shown >= least && start.elapsed() >= time {
                break;
            }
            shown += 1;
            in_flight.push_back(
                detectors
                    .iter()
                    .zip(pictures)
                    .map(|(d, p)| d.begin(p.clone(), &Arc::default()).unwrap())
                    .collect::<Vec<_>>(),
            );
            if in_flight.len() > depth {
                in_flight.pop_front().into_iter().flatten().for_each(|pending| drop(pending.wait().unwrap()));
            }
        }
        in_flight.drain(..).flatten().for_each(|pending| drop(pending.wait().unwrap()));
        (start.elapsed().as_secs_f64(), cpu_seconds(SELF) - cpu, shown as f64)
    };
    show(depth, Duration::ZERO);
    let (wall, cpu, shown) = show(depth, DETECTING);
    Figure::new(format!("{name}: detect"), shown / wall, Unit::FramesPerSecond).report();
    Figure::new(format!("{name}: detect, CPU"), cpu / shown * 1e3, Unit::Milliseconds).report();
}

/// Measures the stages after detection: the measurements of each detection, and for each type the
/// pictures and the embedding, as if a track ended there.
fn objects(name: &str, workload: &Workload, samples: &[Sample], embedders: &Embedders) {
    let found: Vec<(&Frame, Vec<RawDetection>)> = samples
        .iter()
        .map(|(frame, inputs)| {
            let seen =
                workload.detectors.iter().zip(inputs).flat_map(|(d, p)| d.detect(vec![p.clone()]).unwrap().concat());
            (frame, seen.filter(|seen| workload.object_types.contains(&seen.object_type)).collect())
        })
        .collect();
    let measuring = on_all_cores(&found, || |(frame, seen): &(&Frame, Vec<RawDetection>)| measured(frame, seen));
    Figure::new(format!("{name}: measure what is found, CPU"), measuring, Unit::Milliseconds).report();
    for object_type in &workload.object_types {
        let of_type = found
            .iter()
            .flat_map(|(frame, seen)| seen.iter().filter(|s| s.object_type == *object_type).map(|s| (*frame, s.rect)));
        let of_type: Vec<(&Frame, Rect)> = of_type.collect();
        // A type that was not detected in the samples has nothing to measure.
        if of_type.is_empty() {
            continue;
        }
        let pictures = on_all_cores(&of_type, || {
            let mut scaler = Scaler::new();
            move |(frame, rect): &(&Frame, Rect)| {
                frame.jpeg(Some(thumbnail(*rect)), None, QUALITY).unwrap();
                scaler.jpeg(frame, None, None, QUALITY).unwrap();
            }
        });
        Figure::new(format!("{name}: pictures of a {object_type}, CPU"), pictures, Unit::Milliseconds).report();
        let embedding = match embedders.for_type(object_type) {
            Some(embedder) => on_all_cores(&of_type, || {
                |(frame, rect): &(&Frame, Rect)| {
                    drop(embedder.embed(&[frame.rgb(*rect, embedder.size()).unwrap()], &Arc::default()).unwrap())
                }
            }),
            None => on_all_cores(&of_type, || |(frame, rect): &(&Frame, Rect)| colours(frame, *rect)),
        };
        Figure::new(format!("{name}: embedding of a {object_type}, CPU"), embedding, Unit::Milliseconds).report();
    }
}

/// The measurements that a job adds to detections in the log.
fn measured(frame: &Frame, seen: &[RawDetection]) {
    for detection in seen {
        quality_in(frame, detection, seen);
        colours(frame, detection.rect);
    }
}

/// Reads the pixels for an appearance descriptor.
fn colours(frame: &Frame, rect: Rect) {
    let (dx, dy) = (rect.width() * 0.1, rect.height() * 0.05);
    let inner = Rect::new(rect.left + dx, rect.top + dy, rect.right - dx, rect.bottom - dy);
    // A box outside the frame has none.
    let _ = frame.colours(inner, ocellus_core::Size { width: 16, height: 32 });
}

/// The region of a thumbnail.
fn thumbnail(rect: Rect) -> Rect {
    let Rect { left, top, right, bottom } = rect.padded(0.15);
    let low = |edge: f32| (edge / 2.0).floor() * 2.0;
    let high = |edge: f32| (edge / 2.0).ceil() * 2.0;
    Rect::new(low(left), low(top), high(right), high(bottom))
}

/// Milliseconds of CPU time for each item, on all cores, with the items repeated.
fn on_all_cores<T: Sync, W: FnMut(&T)>(items: &[T], work: impl Fn() -> W + Sync) -> f64 {
    let (start, cpu) = (Instant::now(), cpu_seconds(SELF));
    let one = || {
        let (mut work, mut done) = (work(), 0_usize);
        while start.elapsed() < OTHERS {
            items.iter().for_each(&mut work);
            done += items.len();
        }
        done
    };
    let done: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (cpu_seconds(SELF) - cpu) * 1e3 / done as f64
}
