//! `cargo xtask demo`: processes a recording with a new server and receiver, and shows the result.
//!
//! The server and the receiver have free ports and a data folder in `target/demo`, and end with the
//! command.

use std::{
    env, fs,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    build,
    client::{Client, Deliveries, Objects, Received, Video, admin_token},
    running::Running,
    shell::{assets, remove_folder, say, target},
    stop::Stop,
};

#[derive(Args)]
pub(crate) struct DemoArguments {
    /// The recording to process. [default: the packaged sample, a street]
    file: Option<PathBuf>,

    /// End when the result is shown, instead of leaving the server running until Ctrl-C.
    #[arg(long)]
    exit: bool,
}

pub(crate) fn run(arguments: &DemoArguments) -> Result<()> {
    let file = match &arguments.file {
        Some(file) if !file.is_file() => bail!("{} is not a file", file.display()),
        Some(file) => file.clone(),
        None => assets().join("media/bikes.mp4"),
    };
    build::everything()?;

    let home = target().join("demo");
    remove_folder(&home)?;
    fs::create_dir_all(&home)?;
    let (data, posts, log) = (home.join("data"), home.join("receiver"), home.join("server.log"));
    // Before any process is started, so that a signal leaves none behind.
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

    let api = Client::new(server.url.clone(), admin_token(&data)?);
    let id = begin(&api, &file, &receiver.url)?;
    let Some(video) = watch(&api, id, &mut server, &stop).with_context(log_of_server)? else {
        bail!("stopped before the recording was processed")
    };
    summarize(&video)?;
    objects(&api, id, &data)?;
    let got: Received = api.get(&receiver.url)?;
    say("Received", &format!("{} posts, {} of them duplicates, in {}", got.posts, got.duplicates, shown(&posts)));

    if arguments.exit {
        return Ok(());
    }
    writeln!(
        stdout(),
        "\nThe page: {base}/ui/#/videos/{id} (log in with the token below; Ctrl-C ends the demo)\n\nThe API:\n
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

/// Creates a video, uploads its file and starts its job; the video's id.
fn begin(api: &Client, file: &Path, receiver: &str) -> Result<u64> {
    // The sample is only 272 pixels high, and its boxes are small.
    let detector = json!({"filter_min_size": 24, "filter_min_quality": 0.3});
    let id = api.create(&json!({
        "camera_group": 1,
        "name": file.file_name().unwrap_or_default().to_string_lossy(),
        "router_url": format!("{receiver}/frame"),
        "stream_settings": {"detectors": {"face": detector, "body": detector, "car": detector}},
    }))?;
    api.upload(&format!("/videos/{id}/upload/source_file/"), file)?;
    say("Uploaded", &file.display().to_string());
    api.process(id)?;
    Ok(id)
}

/// Shows the progress until the job has ended and everything is delivered; the video then, or
/// `None` if the user stops the demo.
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

/// Prints one line about a finished job; an error if the job failed.
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

/// A path relative to the working directory.
fn shown(path: &Path) -> String {
    env::current_dir().ok().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// Prints a table of the objects.
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
