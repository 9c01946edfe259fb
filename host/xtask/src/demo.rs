//! `cargo xtask demo`: the main job before your eyes.
//!
//! Owns the server and the receiver that it starts, on ports of their own and a data folder of its own; both end with it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use ureq::Agent;

use crate::{
    build, plugins, setup,
    shell::{assets, say, target},
};

#[derive(Args)]
pub(crate) struct DemoArguments {
    /// The recording to process. [default: the packaged sample, a street]
    file: Option<PathBuf>,

    /// End when all is shown, instead of leaving the server running until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

/// A program of ours that listens; ended when dropped.
struct Running {
    process: Child,
    url: String,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {name}"))?;
        let output = process.stdout.take().context("no output")?;
        let mut running = Self { process, url: String::new() };
        let mut lines = BufReader::new(output).lines();
        for line in &mut lines {
            if let Some(url) = line?.strip_prefix("listening on ") {
                running.url = url.to_owned();
                // Whatever it says later must not fill the pipe.
                thread::spawn(move || lines.for_each(drop));
                return Ok(running);
            }
        }
        bail!("{name} ended before it listened; what it said is above")
    }

    /// Asks it to end, and waits until it has.
    fn stop(mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server's API, as anyone would use it.
struct Api {
    agent: Agent,
    base: String,
    token: String,
}

impl Api {
    fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) }
    }

    fn authorization(&self) -> String {
        format!("Token {}", self.token)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let mut response = self.agent.get(self.url(path)).header("Authorization", self.authorization()).call()?;
        answer(path, response.status().as_u16(), &response.body_mut().read_to_string()?)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(self.url(path)).header("Authorization", self.authorization()).content_type("application/json");
        let mut response = request.send(body.to_string())?;
        answer(path, response.status().as_u16(), &response.body_mut().read_to_string()?)
    }

    fn upload(&self, path: &str, file: &Path) -> Result<()> {
        let length = fs::metadata(file)?.len();
        let bar = ProgressBar::new(length).with_style(ProgressStyle::with_template("   Uploading {bar:30} {bytes}/{total_bytes}")?);
        let mut reader = bar.wrap_read(fs::File::open(file)?);
        let request =
            self.agent.put(self.url(path)).header("Authorization", self.authorization()).header("Content-Length", length.to_string());
        let mut response = request.send(ureq::SendBody::from_reader(&mut reader))?;
        bar.finish_and_clear();
        answer(path, response.status().as_u16(), &response.body_mut().read_to_string()?).map(drop)
    }
}

fn answer(path: &str, status: u16, body: &str) -> Result<Value> {
    if !(200..300).contains(&status) {
        bail!("{path} answered {status}: {body}");
    }
    Ok(if body.is_empty() { Value::Null } else { serde_json::from_str(body)? })
}

pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    if let Some(file) = &arguments.file
        && !file.is_file()
    {
        bail!("{} is no file", file.display());
    }
    setup::ensure()?;
    plugins::build()?;
    build::programs()?;

    let file = arguments.file.clone().unwrap_or_else(|| assets().join("media/bikes.mp4"));
    let home = target().join("demo");
    let _ = fs::remove_dir_all(&home);
    let (data, posts) = (home.join("data"), home.join("receiver"));
    fs::create_dir_all(&data)?;
    let program = |name: &str| target().join("release").join(name);
    let receiver =
        Running::start(Command::new(program("ocellus-receiver")).args(["--listen", "127.0.0.1:0", "--quiet", "--dir"]).arg(&posts))?;
    let log = fs::File::create(home.join("server.log"))?;
    let mut server =
        Running::start(Command::new(program("ocellus")).args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).stderr(log))?;
    say(
        "Running",
        &format!("the server at {} (log: {}) and a receiver at {}", server.url, home.join("server.log").display(), receiver.url),
    );

    let token = fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let api = Api { agent, base: server.url.clone(), token };

    // The sample is small, and so are the boxes in it.
    let detector = json!({"filter_min_size": 24, "filter_min_quality": 0.3});
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let video = api.post(
        "/videos/",
        &json!({
            "camera_group": 1,
            "name": name,
            "router_url": format!("{}/frame", receiver.url),
            "stream_settings": {"detectors": {"face": detector, "body": detector, "car": detector}},
        }),
    )?;
    let id = video["id"].as_u64().context("the server gave the video no id")?;
    say("Uploading", &file.display().to_string());
    api.upload(&format!("/videos/{id}/upload/source_file/"), &file)?;
    api.post(&format!("/videos/{id}/process/"), &Value::Null)?;
    let video = watch(&api, id)?;

    let status = video["health_status"]["status"].as_str().unwrap_or_default();
    let statistic = &video["health_status"]["statistic"];
    say(
        "Finished",
        &format!(
            "{status}: {} frames at {:.1} a second, {} faces, {} bodies, {} vehicles",
            statistic["frames_processed"],
            statistic["processing_fps"].as_f64().unwrap_or_default(),
            video["face_count"],
            video["body_count"],
            video["car_count"]
        ),
    );
    if let Some(error) = video["error"].as_str() {
        bail!("{error}");
    }
    objects(&api, id, &data)?;
    let summary = api.get(&receiver.url)?;
    say("Received", &format!("{} posts, {} of them twice; their pictures: {}", summary["posts"], summary["duplicates"], posts.display()));

    if arguments.exit {
        server.stop();
        receiver.stop();
        return Ok(());
    }
    println!("\nGo on by hand (Ctrl-C ends the demo):\n");
    println!("  export OCELLUS={} TOKEN={}", api.base, api.token);
    println!("  curl -H \"Authorization: Token $TOKEN\" $OCELLUS/videos/{id}/");
    println!("  curl -H \"Authorization: Token $TOKEN\" \"$OCELLUS/videos/{id}/objects/?limit=5\"");
    println!("  curl $OCELLUS/health/\n");
    // Ctrl-C reaches the server too: both end in good order.
    server.process.wait()?;
    Ok(())
}

/// Shows how the job goes on until it has ended; the video then.
fn watch(api: &Api, id: u64) -> Result<Value> {
    let style = ProgressStyle::with_template("  Processing {bar:30} {percent:>3} %  {msg}")?;
    let bar = ProgressBar::new(1000).with_style(style);
    loop {
        let video = api.get(&format!("/videos/{id}/"))?;
        let statistic = &video["health_status"]["statistic"];
        let (frames, fps) =
            (statistic["frames_processed"].as_u64().unwrap_or_default(), statistic["processing_fps"].as_f64().unwrap_or_default());
        let (done, all) = (statistic["processed_duration"].as_f64().unwrap_or_default(), video["source_len"].as_f64().unwrap_or_default());
        if all > 0.0 {
            bar.set_position((done / all * 1000.0) as u64);
        }
        let left = if done > 0.0 && fps > 0.0 { (all - done).max(0.0) * frames as f64 / done / fps } else { 0.0 };
        bar.set_message(format!("{frames} frames, {fps:.1} a second, {left:.0} s left"));
        if video["finished"] == true {
            bar.finish_and_clear();
            return Ok(video);
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// A table of what was found.
fn objects(api: &Api, id: u64, data: &Path) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["object", "from", "to", "box", "score", "quality", "thumbnail"]);
    let mut next = json!(format!("/videos/{id}/objects/?limit=100"));
    while let Some(path) = next.as_str() {
        let page = api.get(path)?;
        for object in page["results"].as_array().into_iter().flatten() {
            let seconds = |key: &str| format!("{:.1} s", object[key].as_f64().unwrap_or_default());
            let share = |key: &str| format!("{:.2}", object[key].as_f64().unwrap_or_default());
            let name = object["id"].as_str().unwrap_or_default();
            let folder = data.join("archive").join(format!("{:03}", id / 1000)).join(id.to_string());
            let picture = folder.join("jobs/1/pictures").join(format!("{name}.thumbnail.jpg"));
            let shown = picture.strip_prefix(std::env::current_dir()?).unwrap_or(&picture).display().to_string();
            let row = [
                object["type"].as_str().unwrap_or_default().to_owned(),
                seconds("first_time"),
                seconds("last_time"),
                object["bbox"].to_string(),
                share("score"),
                share("quality"),
                shown,
            ];
            table.add_row(row);
        }
        next = page["next_page"].clone();
    }
    println!("{table}");
    Ok(())
}
