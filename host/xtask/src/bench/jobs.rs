//! Whole jobs: a server of its own for each, asked through its API, beside the Python peer on the same recording.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ocellus_figures::{Figure, Unit};
use serde::Deserialize;
use serde_json::{Value, json};

use super::clips::{self, Clip};
use crate::{
    client::{Client, Video},
    running::Running,
    shell::{assets, root, target},
};

/// What jobs look for: what it is called, and the object types.
const WHAT: [(&str, &[&str]); 3] = [("bodies and cars", &["body", "car"]), ("faces", &["face"]), ("all three", &["face", "body", "car"])];
/// Jobs at once.
const AT_ONCE: [usize; 4] = [1, 2, 4, 8];
const UPLOAD: u64 = 512 << 20;

/// Where figures go.
struct Report<'a>(&'a Path);

impl Report<'_> {
    #[expect(clippy::print_stdout, reason = "its purpose")]
    fn add(&self, figure: &Figure) -> Result<()> {
        println!("{figure}");
        figure.append(self.0).with_context(|| format!("cannot write {}", self.0.display()))
    }
}

/// What the peer says of itself.
#[derive(Deserialize)]
struct Peer {
    frames: u64,
    fps: f64,
    cpu_seconds: f64,
    memory_mb: f64,
}

pub(super) fn measure(clips: &[Clip], python: &Path, figures: &Path) -> Result<()> {
    let report = Report(figures);
    for clip in clips {
        for (what, types) in WHAT {
            let name = format!("{}, {what}", clip.name);
            let ours = {
                let server = Server::start(1)?;
                let id = server.video(clip, types, 0.0)?;
                let seconds = server.jobs(&[id])?;
                // What asking takes is not the job's.
                let cpu_seconds = server.cpu_seconds();
                Ours { video: server.get(id)?, seconds, cpu_seconds, memory_mb: server.peak_memory() }
            };
            let processed = ours.video.health_status.statistic.frames_processed;
            let peer = peer(python, clip, types)?;
            if processed != peer.frames {
                bail!("{name}: {processed} frames here, {} in the peer", peer.frames);
            }
            let frames = processed as f64;
            report.add(&Figure::new(format!("{name}: job"), frames / ours.seconds, Unit::FramesPerSecond).beside("peer.py", peer.fps))?;
            let cpu = Figure::new(format!("{name}: job, CPU"), ours.cpu_seconds / frames * 1e3, Unit::Milliseconds);
            report.add(&cpu.beside("peer.py", peer.cpu_seconds / frames * 1e3))?;
            let objects = ours.video.face_count + ours.video.body_count + ours.video.car_count;
            report.add(&Figure::new(format!("{name}: job, in 100 frames"), objects as f64 / frames * 100.0, Unit::Objects))?;
            report.add(&Figure::new(format!("{name}: job, memory"), ours.memory_mb, Unit::Megabytes).beside("peer.py", peer.memory_mb))?;
        }
    }
    at_once(&report, clips.first().context("no recordings")?)?;
    still(&report)?;
    upload(&report)
}

struct Ours {
    video: Video,
    seconds: f64,
    /// Of the job alone.
    cpu_seconds: f64,
    memory_mb: f64,
}

fn at_once(report: &Report<'_>, clip: &Clip) -> Result<()> {
    let mut one = None;
    for jobs in AT_ONCE {
        let server = Server::start(jobs)?;
        let videos = (0..jobs).map(|_| server.video(clip, &["body", "car"], 0.0)).collect::<Result<Vec<_>>>()?;
        let seconds = server.jobs(&videos)?;
        let mut frames = 0;
        for video in &videos {
            frames += server.get(*video)?.health_status.statistic.frames_processed;
        }
        let fps = frames as f64 / seconds;
        let figure = Figure::new(format!("{}, {jobs} jobs at once", clip.name), fps, Unit::FramesPerSecond);
        report.add(&figure.beside("one job", *one.get_or_insert(fps)))?;
    }
    Ok(())
}

/// A minute in which nothing moves.
fn still(report: &Report<'_>) -> Result<()> {
    let clip = clips::still()?;
    let server = Server::start(1)?;
    let video = server.video(&clip, &["face", "body", "car"], 0.005)?;
    let seconds = server.jobs(&[video])?;
    // Those that were not looked at do not count as processed.
    let frames = f64::from(clips::STILL_FRAMES);
    let start = Instant::now();
    let decoded = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&clip.file).args(["-f", "null", "-"]).status()?;
    if !decoded.success() {
        bail!("ffmpeg cannot decode {}", clip.file.display());
    }
    let decoding = frames / start.elapsed().as_secs_f64();
    report.add(&Figure::new(format!("{}: job", clip.name), frames / seconds, Unit::FramesPerSecond).beside("ffmpeg", decoding))
}

fn upload(report: &Report<'_>) -> Result<()> {
    let folder = target().join("bench");
    let (from, copy) = (folder.join("upload.bin"), folder.join("upload.copy"));
    let block: Vec<u8> = (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&from, block.repeat((UPLOAD >> 20) as usize))?;
    let start = Instant::now();
    fs::copy(&from, &copy)?;
    fs::File::open(&copy)?.sync_all()?;
    let copying = start.elapsed().as_secs_f64();
    let server = Server::start(1)?;
    let start = Instant::now();
    server.video(&Clip { name: "upload".into(), file: from.clone() }, &["face"], 0.0)?;
    let uploading = start.elapsed().as_secs_f64();
    fs::remove_file(from)?;
    fs::remove_file(copy)?;
    let rate = |seconds: f64| UPLOAD as f64 / 1e6 / seconds;
    report.add(&Figure::new("upload of 537 MB", rate(uploading), Unit::MegabytesPerSecond).beside("copying and syncing", rate(copying)))
}

/// The peer on the same recording, by itself.
fn peer(python: &Path, clip: &Clip, types: &[&str]) -> Result<Peer> {
    let mut command = Command::new(python);
    command.arg(root().join("tests/peer/peer.py")).arg(&clip.file).arg("--detectors").arg(assets().join("detectors"));
    command.args(["--types", &types.join(","), "--out"]).arg(target().join("bench/peer-crops"));
    let output = command.output().context("cannot run the peer")?;
    if !output.status.success() {
        bail!("the peer failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("the peer said something else than expected")
}

/// A server with an empty data folder, which goes with it.
struct Server {
    running: Running,
    api: Client,
    data: PathBuf,
    /// When it had started.
    cpu_before: f64,
}

impl Server {
    fn start(jobs: usize) -> Result<Self> {
        let data = target().join("bench/data");
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot clear {}: {error}", data.display()),
            _ => {}
        }
        let log = fs::File::create(target().join("bench/server.log"))?;
        let mut program = Command::new(target().join("release/ocellus"));
        program.args(["serve", "--listen", "127.0.0.1:0", "--jobs", &jobs.to_string(), "--data"]).arg(&data).stderr(log);
        if let Some(device) = std::env::var_os("OCELLUS_DEVICE") {
            program.arg("--device").arg(device);
        }
        let running = Running::start(&mut program)?;
        let token = fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
        let api = Client::new(running.url.clone(), token);
        let mut server = Self { running, api, data, cpu_before: 0.0 };
        server.cpu_before = cpu_seconds(server.running.id());
        Ok(server)
    }

    fn video(&self, clip: &Clip, types: &[&str], imotion_threshold: f64) -> Result<u64> {
        let on = |t: &str| if types.contains(&t) { json!({"filter_min_size": 1, "filter_min_quality": 0}) } else { Value::Null };
        let detectors = json!({"face": on("face"), "body": on("body"), "car": on("car")});
        let settings = json!({"detectors": detectors, "imotion_threshold": imotion_threshold});
        let made = self.api.post("/videos/", &json!({"camera_group": 1, "name": clip.name, "stream_settings": settings}))?;
        let Video { id, .. } = serde_json::from_str(&made).context("the server's answer is no video")?;
        self.api.upload(&format!("/videos/{id}/upload/source_file/"), &clip.file)?;
        Ok(id)
    }

    /// Runs the jobs of videos; seconds from the first request until all have ended.
    fn jobs(&self, videos: &[u64]) -> Result<f64> {
        let start = Instant::now();
        for id in videos {
            self.api.post(&format!("/videos/{id}/process/"), &Value::Null)?;
        }
        for id in videos {
            loop {
                let video = self.get(*id)?;
                if let Some(error) = video.error {
                    bail!("video {id}: {error}");
                }
                if video.finished {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    fn get(&self, video: u64) -> Result<Video> {
        self.api.get(&format!("/videos/{video}/"))
    }

    /// Since it had started.
    fn cpu_seconds(&self) -> f64 {
        cpu_seconds(self.running.id()) - self.cpu_before
    }

    /// The most it had at a time; megabytes.
    fn peak_memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.id())).unwrap_or_default();
        let kilobytes = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        kilobytes.unwrap_or_default() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is left of it is in the way of nobody.
        let _ = fs::remove_dir_all(&self.data);
    }
}

/// Of a process, in all its threads; 0 where that cannot be asked.
fn cpu_seconds(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name before it may hold spaces; utime and stime are the 14th and 15th field, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
