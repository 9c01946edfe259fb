//! `cargo xtask demo`: the main job before your eyes.
//!
//! The server and the receiver that it starts have ports of their own and a data folder of its own;
//! both end with it.

use std::{
    env, fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::{
    build,
    client::{Client, Deliveries, Objects, Received, Video},
    plugins,
    running::Running,
    setup,
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

/// The user's wish to end: Ctrl-C or SIGTERM.
struct Stop(Receiver<()>);

impl Stop {
    fn listen() -> Result<Self> {
        let (wish, wishes) = mpsc::channel();
        ctrlc::set_handler(move || {
            // Nobody listens any more where the demo is ending already.
            let _ = wish.send(());
        })?;
        Ok(Self(wishes))
    }

    /// Waits for the wish, but no longer than `time`; whether it came.
    fn within(&self, time: Duration) -> bool {
        self.0.recv_timeout(time).is_ok()
    }
}

pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    let file = match &arguments.file {
        Some(file) if !file.is_file() => bail!("{} is no file", file.display()),
        Some(file) => file.clone(),
        None => assets().join("media/bikes.mp4"),
    };
    setup::ensure()?;
    plugins::build()?;
    build::programs()?;

    let home = target().join("demo");
    match fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot clear {}: {error}", home.display()),
        _ => fs::create_dir_all(&home)?,
    }
    let (data, posts, log) = (home.join("data"), home.join("receiver"), home.join("server.log"));
    // Before anything runs beside this: nothing is left behind then.
    let stop = Stop::listen()?;
    let program = |name: &str| Command::new(target().join("release").join(name));
    let receiver =
        Running::start(program("ocellus-receiver").args(["--listen", "127.0.0.1:0", "--quiet", "--dir"]).arg(&posts))?;
    let log_of_server = || format!("the server has failed; its log is {}", log.display());
    let mut server = Running::start(
        program("ocellus")
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .stderr(fs::File::create(&log)?),
    )
    .with_context(log_of_server)?;
    say("Running", &format!("the server at {} (log: {}) and a receiver at {}", server.url, shown(&log), receiver.url));

    let token = fs::read_to_string(data.join("admin.token"))?.trim().to_owned();
    let api = Client::new(server.url.clone(), token);
    let id = begin(&api, &file, &receiver.url)?;
    let Some(video) = watch(&api, id, &mut server, &stop).with_context(log_of_server)? else {
        bail!("stopped before the recording was processed")
    };
    summarize(&video)?;
    objects(&api, id, &data)?;
    let got: Received = api.get(&receiver.url)?;
    say("Received", &format!("{} posts, {} of them twice; they are in {}", got.posts, got.duplicates, shown(&posts)));

    if arguments.exit {
        return Ok(());
    }
    writeln!(
        stdout(),
        "\nGo on by hand (Ctrl-C ends the demo):\n
  U={base}
  H=\"Authorization: Token {token}\"
  curl \"$U/videos/{id}/\" -H \"$H\"
  curl \"$U/videos/{id}/objects/?limit=5\" -H \"$H\"
  curl \"$U/videos/{id}/screenshot/\" -H \"$H\" -o screenshot.jpg
  curl \"$U/health/\"\n",
        base = api.base,
        token = api.token
    )?;
    while !stop.within(Duration::from_millis(500)) {
        server.check().with_context(log_of_server)?;
    }
    Ok(())
}

/// Makes a video, uploads its file and has it processed; the video's id.
fn begin(api: &Client, file: &Path, receiver: &str) -> Result<u64> {
    // The sample is small, and so are the boxes in it.
    let detector = json!({"filter_min_size": 24, "filter_min_quality": 0.3});
    let made = api.post(
        "/videos/",
        &json!({
            "camera_group": 1,
            "name": file.file_name().unwrap_or_default().to_string_lossy(),
            "router_url": format!("{receiver}/frame"),
            "stream_settings": {"detectors": {"face": detector, "body": detector, "car": detector}},
        }),
    )?;
    let Video { id, .. } = serde_json::from_str(&made).context("the server's answer is no video")?;
    api.upload(&format!("/videos/{id}/upload/source_file/"), file)?;
    say("Uploaded", &file.display().to_string());
    api.post(&format!("/videos/{id}/process/"), &Value::Null)?;
    Ok(id)
}

/// Shows how the job goes on until it has ended and all was delivered; the video then, or nothing
/// where the user did not want to wait.
fn watch(api: &Client, id: u64, server: &mut Running, stop: &Stop) -> Result<Option<Video>> {
    let style = ProgressStyle::with_template("  Processing {bar:30} {percent:>3} %  {msg}")?;
    let bar = ProgressBar::new(1000).with_style(style);
    loop {
        server.check()?;
        let video: Video = api.get(&format!("/videos/{id}/"))?;
        let undelivered: Deliveries = api.get(&format!("/videos/{id}/deliveries/?state=pending,retrying&limit=1"))?;
        if video.finished && undelivered.results.is_empty() {
            bar.finish_and_clear();
            return Ok(Some(video));
        }
        let statistic = video.health_status.statistic;
        let (frames, fps, done) = (statistic.frames_processed, statistic.processing_fps, statistic.processed_duration);
        let left = match video.source_len.filter(|all| *all > 0.0 && done > 0.0 && fps > 0.0) {
            Some(all) => {
                bar.set_position((done / all * 1000.0) as u64);
                format!(", {:.0} s left", (all - done).max(0.0) * frames as f64 / done / fps)
            }
            None => String::new(),
        };
        bar.set_message(format!("{frames} frames, {fps:.1} a second{left}"));
        if stop.within(Duration::from_millis(200)) {
            bar.finish_and_clear();
            return Ok(None);
        }
    }
}

/// One line about a job that has ended; an error where it ended badly.
fn summarize(video: &Video) -> Result<()> {
    if let Some(error) = &video.error {
        bail!("the recording could not be processed ({}): {error}", video.health_status.status);
    }
    let statistic = &video.health_status.statistic;
    let found = format!("{} faces, {} bodies, {} vehicles", video.face_count, video.body_count, video.car_count);
    say(
        "Finished",
        &format!("{} frames at {:.1} a second: {found}", statistic.frames_processed, statistic.processing_fps),
    );
    Ok(())
}

/// A path as one would type it from here.
fn shown(path: &Path) -> String {
    env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// A table of what was found.
fn objects(api: &Client, id: u64, data: &Path) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["object", "from", "to", "box", "score", "quality", "picture"]);
    let pictures = data.join(format!("archive/{:03}/{id}/jobs/1/pictures", id / 1000));
    let mut next = Some(format!("/videos/{id}/objects/?limit=100"));
    while let Some(path) = next {
        let page: Objects = api.get(&path)?;
        for object in page.results {
            let picture = pictures.join(format!("{}.thumbnail.jpg", object.id));
            let [left, top, right, bottom] = object.bbox;
            table.add_row([
                object.object_type,
                format!("{:.1} s", object.first_time),
                format!("{:.1} s", object.last_time),
                format!("{left} {top} {right} {bottom}"),
                format!("{:.2}", object.score),
                format!("{:.2}", object.quality),
                if picture.is_file() { shown(&picture) } else { object.thumbnail },
            ]);
        }
        next = page.next_page;
    }
    if table.is_empty() {
        say("Found", "nothing");
    } else {
        writeln!(stdout(), "\n{table}\n")?;
    }
    Ok(())
}
