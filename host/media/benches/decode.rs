//! Benchmark of decoding: frames per second of the decoder in a child process compared with this
//! process (alone with `OCELLUS_BENCH_PROCESS_ONLY` set), of this process compared with the ffmpeg
//! program, by number of threads, and of many decoders at once with their memory; and milliseconds
//! of each picture made of a frame.
//!
//! `cargo bench -p ocellus-media -- FILE...`; without files, on those that `OCELLUS_CLIPS` names,
//! as `cargo xtask bench decode` does, or on a generated 720p clip.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a bench")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use ocellus_bench_report::{Figure, Unit, percentile, process};
use ocellus_core::{ChannelOrder, InputSpec, Rect, Size};
use ocellus_media::{Decoder, DecoderLimits, DecoderProgram, Input, Interrupt, Location, Luminance, Scaler};

/// Measurements of each way of decoding; the median counts.
const ROUNDS: usize = 3;
/// Environment variable that makes this program run as a decoder process.
const CHILD: &str = "OCELLUS_BENCH_CHILD";

fn main() {
    if std::env::var_os(CHILD).is_some() {
        let after = |name: &str| std::env::args().skip_while(|a| a != name).nth(1).unwrap();
        ocellus_media::serve_decoder(after("--parent").parse().unwrap(), after("--memory-bytes").parse().unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<PathBuf> = std::env::args().skip(1).filter(|a| a != "--bench").map(PathBuf::from).collect();
    if files.is_empty() {
        files = std::env::var_os("OCELLUS_CLIPS").iter().flat_map(std::env::split_paths).collect();
    }
    if files.is_empty() {
        let clip = folder.path().join("720p.mp4");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=10", "-pix_fmt", "yuv420p"])
            .arg(&clip)
            .status()
            .expect("the ffmpeg program makes the clip; install the package ffmpeg");
        assert!(made.success());
        files.push(clip);
    }
    for file in files {
        measure(&file);
    }
}

/// Many decoders at once: frames per second of all together and MiB of memory, with a thread for
/// each core, and with the cores shared.
fn at_once(name: &str, file: &Path) {
    let cores = std::thread::available_parallelism().unwrap().get();
    for decoders in [1, 2, 4, 8] {
        for (what, threads) in [("shared", 0), ("for all cores each", cores)] {
            let input = Input { threads, ..Input::new(Location::File(file.to_owned())) };
            // Resets the peak memory (VmHWM).
            std::fs::write("/proc/self/clear_refs", "5").unwrap();
            let before = process::peak_memory(std::process::id());
            let started = Instant::now();
            let opened: Vec<_> = (0..decoders).map(|_| Decoder::open(&input, &Interrupt::new()).unwrap()).collect();
            let frames: u32 = std::thread::scope(|scope| {
                let count =
                    |mut decoder: Decoder| std::iter::from_fn(|| decoder.next_frame().unwrap()).fold(0, |n, _| n + 1);
                let running: Vec<_> = opened.into_iter().map(|decoder| scope.spawn(move || count(decoder))).collect();
                running.into_iter().map(|running| running.join().unwrap()).sum()
            });
            let fps = f64::from(frames) / started.elapsed().as_secs_f64();
            let took = process::peak_memory(std::process::id()) - before;
            let label = format!("{name}: {decoders} decoders at once, threads {what}");
            Figure::new(label.clone(), fps, Unit::FramesPerSecond).report();
            Figure::new(format!("{label}, memory"), took, Unit::Megabytes).report();
        }
    }
}

/// CPU time of this process and of its children that have ended.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: f64 = after_name.split_whitespace().skip(11).take(4).map(|n| n.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// The work of a job for each frame, in this process and in a child process, in turns.
fn in_a_process(name: &str, file: &Path) {
    let program = DecoderProgram {
        path: std::env::current_exe().unwrap(),
        arguments: Vec::new(),
        environment: vec![(CHILD.into(), "1".into())],
        limits: DecoderLimits::default(),
        fault: None,
    };
    let input = Input::new(Location::File(file.to_owned()));
    let spec = InputSpec { width: 416, height: 416, order: ChannelOrder::Bgr, fill: 114 };
    let decode = |decoder: &mut Decoder| {
        let (mut scaler, mut frames, mut brightness) = (Scaler::new(), 0, Vec::new());
        let small = Size { width: 64, height: 36 };
        while let Some(frame) = decoder.next_frame().unwrap() {
            scaler.brightness(&frame, frame.size().to_rect(), small, &mut brightness).unwrap();
            assert!(!scaler.input(&frame, &spec, None).unwrap().data.is_empty());
            frames += 1;
        }
        frames
    };
    let (mut here, mut there, mut opening) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cpu_here, mut cpu_there) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS * 2 {
        let cpu = cpu_seconds();
        let mut decoder = Decoder::open_here(&input, &Interrupt::new()).unwrap();
        let started = Instant::now();
        let frames = decode(&mut decoder);
        drop(decoder);
        cpu_here.push((cpu_seconds() - cpu) * 1e3 / f64::from(frames));
        here.push(f64::from(frames) / started.elapsed().as_secs_f64());
        let cpu = cpu_seconds();
        let started = Instant::now();
        let mut decoder = Decoder::open_by(&program, &input, &Interrupt::new()).unwrap();
        opening.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        let frames = decode(&mut decoder);
        there.push(f64::from(frames) / started.elapsed().as_secs_f64());
        drop(decoder);
        cpu_there.push((cpu_seconds() - cpu) * 1e3 / f64::from(frames));
    }
    let figure = |what: &str, value, unit| Figure::new(format!("{name}: {what}"), value, unit);
    figure("decode and input, in a process", percentile(&there, 0.5), Unit::FramesPerSecond)
        .beside("here", percentile(&here, 0.5))
        .report();
    figure("CPU of a frame, in a process", percentile(&cpu_there, 0.5), Unit::Milliseconds)
        .beside("here", percentile(&cpu_here, 0.5))
        .report();
    figure("open in a process", percentile(&opening, 0.5), Unit::Milliseconds).report();
}

fn measure(file: &Path) {
    let name = file.file_stem().unwrap().to_string_lossy();
    in_a_process(&name, file);
    if std::env::var_os("OCELLUS_BENCH_PROCESS_ONLY").is_some() {
        return;
    }
    at_once(&name, file);
    for threads in [1, 2] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let input = Input { threads, ..Input::new(Location::File(file.to_owned())) };
            let started = Instant::now();
            let mut decoder = Decoder::open(&input, &Interrupt::new()).unwrap();
            let mut frames = 0u32;
            while decoder.next_frame().unwrap().is_some() {
                frames += 1;
            }
            ours.push(f64::from(frames) / started.elapsed().as_secs_f64());
            let started = Instant::now();
            let program = Command::new("ffmpeg")
                .args(["-v", "error", "-threads", &threads.to_string(), "-i"])
                .arg(file)
                .args(["-an", "-fps_mode", "passthrough", "-f", "null", "-"])
                .status();
            assert!(program.unwrap().success());
            theirs.push(f64::from(frames) / started.elapsed().as_secs_f64());
        }
        let figure =
            Figure::new(format!("{name}: decode in {threads} threads"), percentile(&ours, 0.5), Unit::FramesPerSecond);
        figure.beside("ffmpeg", percentile(&theirs, 0.5)).report();
    }

    let mut decoder = Decoder::open(&Input::new(Location::File(file.to_owned())), &Interrupt::new()).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| decoder.next_frame().unwrap()).take(30).collect();
    let size = frames[0].size();
    let whole = size.to_rect();
    let face = Rect::new(101.0, 51.0, 201.0, 171.0);
    let mut scaler = Scaler::new();
    let spec = |width, height| InputSpec { width, height, order: ChannelOrder::Bgr, fill: 114 };
    let time = |what: &str, work: &mut dyn FnMut(&ocellus_media::Frame)| {
        work(&frames[0]);
        let started = Instant::now();
        frames.iter().for_each(work);
        let took = started.elapsed().as_secs_f64() * 1e3 / frames.len() as f64;
        Figure::new(format!("{name}: {what}"), took, Unit::Milliseconds).report();
    };
    time("input 416x416", &mut |f| drop(scaler.input(f, &spec(416, 416), None).unwrap()));
    time("input 640x384", &mut |f| drop(scaler.input(f, &spec(640, 384), None).unwrap()));
    time("luma 160x90 of the frame", &mut |f| drop(f.luma(whole, Size { width: 160, height: 90 }).unwrap()));
    let mut brightness = Vec::new();
    time("brightness 64x36 of the frame", &mut |f| {
        scaler.brightness(f, whole, Size { width: 64, height: 36 }, &mut brightness).unwrap()
    });
    time("luminance of a face", &mut |f| {
        let size = Luminance::measured_size(&face, f.size());
        Luminance::of(&f.luma(face, size).unwrap(), size);
    });
    let car =
        Rect::new(size.width as f32 * 0.3, size.height as f32 * 0.3, size.width as f32 * 0.7, size.height as f32 * 0.8);
    time("luminance of a car", &mut |f| {
        let size = Luminance::measured_size(&car, f.size());
        Luminance::of(&f.luma(car, size).unwrap(), size);
    });
    for (what, part) in [("face", face), ("car", car)] {
        let small = Size { width: 16, height: 32 };
        time(&format!("pixels of a {what}"), &mut |f| drop(f.rgb(part, small).unwrap()));
        time(&format!("colours of a {what}"), &mut |f| drop(f.colours(part, small).unwrap()));
    }
    time("crop of a car", &mut |f| drop(f.crop(Some(car), None).unwrap()));
    time("jpeg of a car", &mut |f| drop(f.jpeg(Some(car), None, 95).unwrap()));
    time("jpeg of a face", &mut |f| drop(f.jpeg(Some(face), None, 95).unwrap()));
    time("jpeg of the frame", &mut |f| drop(f.jpeg(None, None, 95).unwrap()));
}
