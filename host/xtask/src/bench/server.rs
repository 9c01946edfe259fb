//! A server of its own for what is measured, asked through its API.

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
    client::{Client, Video},
    running::Running,
    shell::target,
};

/// What matters here of `/health/`.
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
    /// When its networks were loaded.
    cpu_before: f64,
}

/// A data folder for servers, which goes with this.
pub(super) struct Data(PathBuf);

impl Data {
    /// An empty one. `name`: unique among those that are there at the same time.
    pub(super) fn empty(name: &str) -> Result<Self> {
        let data = target().join("bench").join(name);
        match fs::remove_dir_all(&data) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("cannot clear {}: {error}", data.display())
            }
            _ => {}
        }
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        Ok(Self(data))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        // What is left of it is in the way of nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Server {
    /// `jobs`: how many run at the same time.
    pub(super) fn start(data: &Data, jobs: usize) -> Result<Self> {
        let log = fs::File::create(target().join("bench/server.log"))?;
        let mut program = Command::new(target().join("release/ocellus"));
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
        let token = fs::read_to_string(data.path().join("admin.token"))?.trim().to_owned();
        let api = Client::new(running.url.clone(), token);
        // Networks are loaded beside the API, and nobody's job.
        while api.get::<Health>("/health/")?.detectors.loading {
            thread::sleep(Duration::from_millis(10));
        }
        let cpu_before = process::cpu_seconds(running.id());
        Ok(Self { running, api, start_up, cpu_before })
    }

    /// A new one that holds a recording.
    pub(super) fn video(&self, clip: &Clip, types: &[&str], imotion_threshold: f64) -> Result<u64> {
        let on = |t: &str| {
            if types.contains(&t) { json!({"filter_min_size": 1, "filter_min_quality": 0}) } else { Value::Null }
        };
        let detectors = json!({"face": on("face"), "body": on("body"), "car": on("car")});
        let settings = json!({"detectors": detectors, "imotion_threshold": imotion_threshold});
        let made =
            self.api.post("/videos/", &json!({"camera_group": 1, "name": clip.name, "stream_settings": settings}))?;
        let Video { id, .. } = serde_json::from_str(&made).context("the server's answer is no video")?;
        self.api.upload(&format!("/videos/{id}/upload/source_file/"), &clip.file)?;
        Ok(id)
    }

    /// Runs the jobs of videos; seconds from the first request until all have ended, of which this
    /// finds out a hundredth of them later at most.
    pub(super) fn jobs(&self, videos: &[u64]) -> Result<f64> {
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
                // Each question costs the server something that is not the job's.
                thread::sleep((start.elapsed() / 100).max(Duration::from_millis(10)));
            }
        }
        Ok(start.elapsed().as_secs_f64())
    }

    pub(super) fn get(&self, video: u64) -> Result<Video> {
        self.api.get(&format!("/videos/{video}/"))
    }

    /// Since its networks were loaded.
    pub(super) fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds(self.running.id()) - self.cpu_before
    }

    /// The most it had at a time; MiB.
    pub(super) fn peak_memory(&self) -> f64 {
        process::peak_memory(self.running.id())
    }

    /// What is its own now; MiB.
    pub(super) fn own_memory(&self) -> f64 {
        process::own_memory(self.running.id())
    }
}
