//! Server under measurement, driven through its API.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ocellus_bench_report::process;
use serde::Deserialize;
use serde_json::{Value, json};

use super::clips::Clip;
use crate::{
    client::{Client, Video, admin_token},
    running::Running,
    shell::{remove_folder, target},
};

/// The part of `/health/` that is needed here.
#[derive(Deserialize)]
struct Health {
    detectors: Networks,
}

#[derive(Deserialize)]
struct Networks {
    loading: bool,
}

/// Ended when dropped.
pub(super) struct Server {
    running: Running,
    pub api: Client,
    /// Seconds from its start until it listened.
    pub start_up: f64,
    /// Seconds of CPU until its networks were loaded.
    cpu_before: f64,
}

/// Data folder of servers, removed when dropped.
pub(super) struct Data(PathBuf);

impl Data {
    /// Creates an empty folder. `name` is unique among those that exist at the same time.
    pub(super) fn empty(name: &str) -> Result<Self> {
        let data = target().join("bench").join(name);
        remove_folder(&data)?;
        fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
        Ok(Self(data))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // The next run clears what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// `jobs` is the number of concurrent jobs.
    pub(super) fn start(data: &Data, jobs: usize) -> Result<Self> {
        Self::start_program(&target().join("release/ocellus"), data, jobs)
    }

    /// [`Self::start`] of another program than the one that was built.
    pub(super) fn start_program(program: &Path, data: &Data, jobs: usize) -> Result<Self> {
        let log = fs::File::create(target().join("bench/server.log"))?;
        let mut program = Command::new(program);
        program
            .args(["serve", "--listen", "127.0.0.1:0", "--jobs", &jobs.to_string(), "--data"])
            .arg(data.path())
            .stderr(log);
        if let Some(device) = std::env::var_os("OCELLUS_DEVICE") {
            program.arg("--device").arg(device);
        }
        let start = Instant::now();
        let running = Running::start(&mut program)?;
        let start_up = start.elapsed().as_secs_f64();
        let api = Client::new(running.url.clone(), admin_token(data.path())?);
        // Networks are loaded after the API listens; their cost is not that of a job.
        while api.get::<Health>("/health/")?.detectors.loading {
            thread::sleep(Duration::from_millis(10));
        }
        let cpu_before = process::cpu_seconds(running.id());
        Ok(Self { running, api, start_up, cpu_before })
    }

    /// Creates a video and uploads a recording; its id.
    pub(super) fn video(&self, clip: &Clip, types: &[&str], imotion_threshold: f64) -> Result<u64> {
        let on = |t: &str| {
            if types.contains(&t) { json!({"filter_min_size": 1, "filter_min_quality": 0}) } else { Value::Null }
        };
        let detectors = json!({"face": on("face"), "body": on("body"), "car": on("car")});
        self.video_with(clip, &json!({"detectors": detectors, "imotion_threshold": imotion_threshold}))
    }

    /// Creates a video with these `stream_settings` and uploads a recording; its id.
    pub(super) fn video_with(&self, clip: &Clip, settings: &Value) -> Result<u64> {
        let id = self.api.create(&json!({"camera_group": 1, "name": clip.name, "stream_settings": settings}))?;
        self.api.upload(&format!("/videos/{id}/upload/source_file/"), &clip.file)?;
        Ok(id)
    }

    /// Runs the jobs of videos; seconds from the first request until all have ended, at most one
    /// percent too long because of polling.
    pub(super) fn jobs(&self, videos: &[u64]) -> Result<f64> {
        let start = Instant::now();
        for id in videos {
            self.api.process(*id)?;
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
                // Each request costs the server CPU that is not the job's.
                thread::sleep((start.elapsed() / 100).max(Duration::from_millis(10)));
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    pub(super) fn get(&self, video: u64) -> Result<Video> {
        self.api.get(&format!("/videos/{video}/"))
    }

    /// Seconds of CPU since its networks were loaded.
    pub(super) fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.running.id()) - self.cpu_before
    }

    /// Peak resident memory; MiB.
    pub(super) fn peak_memory(&self) -> f64 {
        process::peak_memory(self.running.id())
    }

    /// Private memory now; MiB.
    pub(super) fn own_memory(&self) -> f64 {
        process::own_memory(self.running.id())
    }
}
