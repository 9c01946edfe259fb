//! Benchmark of whole jobs, each with a new server that is driven through its API. Jobs alternate
//! with the Python peer on the same recording and with each stage of the job alone.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use ocellus_bench_report::{FILE, Figure, LOOKED_FOR, Unit};
use serde::Deserialize;

use super::{
    clips::{self, Clip},
    overhead::{self, Objects, Paired, Stages},
    report::{Report, median},
    server::{Data, Server},
};
use crate::{
    children,
    client::Video,
    shell::{assets, remove_file, root, target},
};

/// Runs of each job; figures are medians.
const ROUNDS: usize = 3;
/// With more object types than this the peer runs once: one run then takes a minute.
const PEER_TYPES: usize = 2;
/// Numbers of concurrent jobs that are compared.
const AT_ONCE: [usize; 4] = [1, 2, 4, 8];

/// Programs that the server is compared with.
pub(super) struct Beside {
    /// Python interpreter with the peer's packages.
    pub python: PathBuf,
    /// Program of the benchmark of the stages.
    pub stages: PathBuf,
}

/// Output of the peer.
#[derive(Deserialize)]
struct Peer {
    frames: u64,
    fps: f64,
    cpu_seconds: f64,
    memory_mb: f64,
}

struct JobRun {
    video: Video,
    seconds: f64,
    /// CPU of the job, without that of the start-up.
    cpu_seconds: f64,
    memory_mb: f64,
}

pub(super) fn measure(clips: &[Clip], beside: &Beside, report: &Report<'_>) -> Result<()> {
    for clip in clips {
        for (what, types) in LOOKED_FOR {
            job(report, clip, what, types, beside)?;
        }
    }
    at_once(report, clips.first().context("no recordings")?)?;
    static_scene(report)
}

fn job(report: &Report<'_>, clip: &Clip, what: &str, types: &[&str], beside: &Beside) -> Result<()> {
    let name = format!("{}, {what}", clip.name);
    let peers = if types.len() > PEER_TYPES { 1 } else { ROUNDS };
    let (mut jobs, mut scripts, mut rounds) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = stages(beside, clip, what)?;
    for round in 0..ROUNDS {
        let run = run_job(clip, types)?;
        let after = stages(beside, clip, what)?;
        if round < peers {
            scripts.push(peer(&beside.python, clip, types)?);
        }
        let frames = run.video.health_status.statistic.frames_processed;
        if let Some(peer) = scripts.iter().find(|peer| peer.frames != frames) {
            bail!("{name}: {frames} frames here, {} in the peer", peer.frames);
        }
        let count = |objects: u64| objects as f64 / frames as f64;
        let video = &run.video;
        let objects = Objects::from([
            ("face", count(video.face_count)),
            ("body", count(video.body_count)),
            ("car", count(video.car_count)),
        ]);
        let of_frame = |seconds: f64| seconds / frames as f64 * 1e3;
        let beside = overhead::beside_stages(&video.health_status.statistic.cpu_seconds)?;
        rounds.push(Paired {
            job: of_frame(run.cpu_seconds),
            beside: of_frame(beside),
            objects,
            before,
            after: after.clone(),
        });
        before = after;
        jobs.push((run, frames as f64));
    }
    let of_jobs = |value: fn(&(JobRun, f64)) -> f64| median(&jobs.iter().map(value).collect::<Vec<_>>());
    let of_peer = |value: fn(&Peer) -> f64| median(&scripts.iter().map(value).collect::<Vec<_>>());
    let (fps, ms) = (Unit::FramesPerSecond, Unit::Milliseconds);
    let speed = of_jobs(|(job, frames)| frames / job.seconds);
    report.add(&Figure::new(format!("{name}: job"), speed, fps).beside("peer.py", of_peer(|peer| peer.fps)))?;
    let cpu = Figure::new(format!("{name}: job, CPU"), of_jobs(|(job, frames)| job.cpu_seconds / frames * 1e3), ms);
    report.add(&cpu.beside("peer.py", of_peer(|peer| peer.cpu_seconds / peer.frames as f64 * 1e3)))?;
    let memory = Figure::new(format!("{name}: job, memory"), of_jobs(|(job, _)| job.memory_mb), Unit::Megabytes);
    report.add(&memory.beside("peer.py", of_peer(|peer| peer.memory_mb)))?;
    let objects = of_jobs(|(job, frames)| {
        (job.video.face_count + job.video.body_count + job.video.car_count) as f64 / frames * 100.0
    });
    report.add(&Figure::new(format!("{name}: job, in 100 frames"), objects, Unit::Objects))?;
    overhead::figures(&name, &rounds).iter().try_for_each(|figure| report.add(figure))?;
    let slowest = rounds.iter().map(Paired::stages).collect::<Vec<_>>();
    let slowest =
        slowest.iter().map(|stages| stages.slowest().context("no stages were measured")).collect::<Result<Vec<_>>>()?;
    let (stage, _) = slowest.first().context("no rounds")?;
    let alone = median(&slowest.iter().map(|(_, fps)| *fps).collect::<Vec<_>>());
    report.add(
        &Figure::new(format!("{name}: job, by its slowest stage"), speed, fps).beside(format!("{stage} alone"), alone),
    )
}

fn run_job(clip: &Clip, types: &[&str]) -> Result<JobRun> {
    let data = Data::empty("data")?;
    let server = Server::start(&data, 1)?;
    let id = server.video(clip, types, 0.0)?;
    let before = server.cpu_seconds();
    let seconds = server.jobs(&[id])?;
    // Read before the next request, whose CPU is not the job's.
    let cpu_seconds = server.cpu_seconds() - before;
    Ok(JobRun { video: server.get(id)?, seconds, cpu_seconds, memory_mb: server.peak_memory() })
}

/// Measures each stage of such a job alone.
fn stages(beside: &Beside, clip: &Clip, what: &str) -> Result<Stages> {
    let figures = target().join("bench/stages.jsonl");
    remove_file(&figures)?;
    let mut command = Command::new(&beside.stages);
    command.env("OCELLUS_CLIPS", &clip.file).env("OCELLUS_STAGES_OF", what).env(FILE, &figures);
    let output = children::output(&mut command).context("cannot run the benchmark of the stages")?;
    if !output.status.success() {
        bail!("the benchmark of the stages failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(Stages::of(&Figure::read(&figures)?))
}

/// Runs the peer on the same recording, with no server running.
fn peer(python: &Path, clip: &Clip, types: &[&str]) -> Result<Peer> {
    let mut command = Command::new(python);
    command.arg(root().join("tests/peer/peer.py")).arg(&clip.file).arg("--detectors").arg(assets().join("detectors"));
    command.args(["--types", &types.join(","), "--out"]).arg(target().join("bench/peer-crops"));
    let output = children::output(&mut command).context("cannot run the peer")?;
    if !output.status.success() {
        bail!("the peer failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("unexpected output of the peer")
}

fn at_once(report: &Report<'_>, clip: &Clip) -> Result<()> {
    let mut rates = AT_ONCE.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (jobs, rates) in AT_ONCE.into_iter().zip(&mut rates) {
            let data = Data::empty("data")?;
            let server = Server::start(&data, jobs)?;
            let videos = (0..jobs).map(|_| server.video(clip, &["body", "car"], 0.0)).collect::<Result<Vec<_>>>()?;
            let seconds = server.jobs(&videos)?;
            let mut frames = 0;
            for video in &videos {
                frames += server.get(*video)?.health_status.statistic.frames_processed;
            }
            rates.push(frames as f64 / seconds);
        }
    }
    let rates = rates.map(|rates| median(&rates));
    for (jobs, fps) in AT_ONCE.into_iter().zip(rates) {
        let figure = Figure::new(format!("{}, {jobs} jobs at once", clip.name), fps, Unit::FramesPerSecond);
        let [one, ..] = rates;
        report.add(&figure.beside("one job", one))?;
    }
    Ok(())
}

/// A minute without motion, which the motion gate skips, compared with decoding by ffmpeg.
fn static_scene(report: &Report<'_>) -> Result<()> {
    let clip = clips::static_scene()?;
    let (mut jobs, mut decodings) = (Vec::new(), Vec::new());
    // `frames_processed` does not count the frames that the motion gate skips.
    let frames = f64::from(clips::STATIC_FRAMES);
    for _ in 0..ROUNDS {
        let data = Data::empty("data")?;
        let server = Server::start(&data, 1)?;
        let video = server.video(&clip, &["face", "body", "car"], 0.005)?;
        jobs.push(frames / server.jobs(&[video])?);
        drop(server);
        let start = Instant::now();
        let decoded =
            Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&clip.file).args(["-f", "null", "-"]).status()?;
        if !decoded.success() {
            bail!("ffmpeg cannot decode {}", clip.file.display());
        }
        decodings.push(frames / start.elapsed().as_secs_f64());
    }
    report.add(
        &Figure::new(format!("{}: job", clip.name), median(&jobs), Unit::FramesPerSecond)
            .beside("ffmpeg", median(&decodings)),
    )
}
