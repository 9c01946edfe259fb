//! `cargo xtask load`: load test of a server under adverse conditions.
//!
//! 200 clients with the token list, read, create, change, upload, process and delete. Meanwhile 600
//! connections without a token send and read next to nothing and are opened again when the server
//! closes them, 34 receivers read posts and never respond, and the disk is full for a fifth of the
//! time. Every request with the token must get a response.
//!
//! | file | owns |
//! |---|---|
//! | `clients` | the clients and a sample of each request |
//! | `silent` | the connections without a token |
//! | `disk` | a disk that can be filled and freed |
//! | `report` | the tables and the criteria |

mod clients;
mod disk;
mod report;
mod silent;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use self::{
    clients::{CLIENTS, Sample, Schedule},
    disk::Disk,
    report::Measured,
    silent::SilentConnections,
};
use crate::{
    attack::{self, Behaviour, Installation, LiveServer, Posts, Receiver, Recording, Violations, recordings},
    client::{Client, Deliveries, Video},
    shell::{remove_folder, say, target},
    stop::Stop,
};

/// Receivers that never respond.
const SILENT_RECEIVERS: usize = 34;
/// Limit of open files that this process needs, with some to spare.
const FILES: u64 = 2048;
/// Environment variable of a process that was restarted with a higher limit.
const RAISED: &str = "OCELLUS_LOAD_FILES_RAISED";
/// Longest time from the end of the clients until the receiver that responds has all its objects.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct LoadArguments {
    /// Seconds for which clients use the server.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,

    /// Program of the server. [default: that of this repository, built before]
    #[arg(long, value_name = "PATH")]
    exe: Option<PathBuf>,
}

pub(crate) fn run(arguments: &LoadArguments) -> Result<()> {
    with_enough_files()?;
    let program = attack::program(arguments.exe.as_deref())?;
    let home = target().join("load");
    Disk::unmount_left(&home)?;
    remove_folder(&home)?;
    let stop = Stop::listen()?;
    let recordings = recordings()?;
    let disk = Disk::mount(&home)?;
    let folder = disk.as_ref().map_or(home.as_path(), Disk::folder);
    let installation = Installation::new(program, folder, &["--jobs", "2"])?.log_to(home.join("server.log"));

    let posts = Arc::new(Posts::new(Arc::new(Violations::default())));
    let silent_receivers = (0..SILENT_RECEIVERS)
        .map(|_| Receiver::start(Behaviour::Silent, Arc::clone(&posts)))
        .collect::<Result<Vec<_>>>()?;
    let answering = Receiver::start(Behaviour::Accepts, Arc::clone(&posts))?;

    let mut server = installation.start()?;
    let api = server.client();
    let street = recordings.first().context("no recording")?;
    for receiver in &silent_receivers {
        process(&api, street, &receiver.url())?;
    }
    let healthy = process(&api, street, &answering.url())?;
    let schedule = Schedule::new(Duration::from_secs(arguments.seconds), disk.is_some());
    let samples = run_clients(&server, &schedule, disk.as_ref(), &recordings, &stop)?;
    server.check().context("the server")?;

    let undelivered = undelivered(&api, healthy)?;
    let measured = Measured {
        memory_mib: ocellus_bench_report::process::peak_memory(server.id()),
        descriptors: fs::read_dir(format!("/proc/{}/fd", server.id())).map(Iterator::count).unwrap_or_default(),
        undelivered,
        ended: server.terminate().err().map(|error| format!("{error:#}")),
        check: installation.check()?,
    };
    // The receivers hold connections of the server, so they end after it.
    drop((silent_receivers, answering));
    let failed = report::print(&samples, &schedule, &measured)?;
    if failed > 0 {
        bail!("{failed} criteria are not met; the server's log is {}", installation.log().display());
    }
    if stop.is_requested() {
        bail!("stopped by the user before the end");
    }
    Ok(())
}

/// Restarts this command with a higher limit of open files if the limit is too low for its
/// connections.
fn with_enough_files() -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok());
    if soft.is_none_or(|soft| soft >= FILES) {
        return Ok(());
    }
    if std::env::var_os(RAISED).is_some() {
        bail!("this command needs {FILES} open files, and the system allows fewer (ulimit -n)");
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -S -n {FILES} && exec \"$0\" \"$@\"")]).arg(std::env::current_exe()?);
    Err(command.args(std::env::args_os().skip(1)).env(RAISED, "1").exec())
        .context("cannot run this command with more open files")
}

/// Creates a video whose objects go to `router_url`, and starts its job; its id.
fn process(api: &Client, recording: &Recording, router_url: &str) -> Result<u64> {
    let settings = json!({"detectors": recording.detectors});
    let id = api
        .create(&json!({"camera_group": 1, "name": "posts", "router_url": router_url, "stream_settings": settings}))?;
    let bytes = recording.copy(&mut fastrand::Rng::new());
    let uploaded = api.ask(ureq::http::Method::PUT, &format!("/videos/{id}/upload/source_file/"), &bytes)?;
    if !uploaded.is_success() {
        bail!("video {id}: the upload got the status {}", uploaded.status);
    }
    api.process(id)?;
    Ok(id)
}

/// Runs all clients, the silent connections and the filling of the disk at the same time.
fn run_clients(
    server: &LiveServer,
    schedule: &Schedule,
    disk: Option<&Disk>,
    recordings: &[Recording],
    stop: &Stop,
) -> Result<Vec<Sample>> {
    let silent = SilentConnections::open(server.address())?;
    say("Using", &format!("{} with {CLIENTS} clients beside {} silent connections", server.address(), silent.held()));
    let bar = ProgressBar::new(schedule.length.as_secs())
        .with_style(ProgressStyle::with_template("      Using {bar:30} {msg}")?);
    let done = AtomicBool::new(false);
    let begun = Instant::now();
    let samples = thread::scope(|scope| -> Result<Vec<Sample>> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (api, done) = (server.client(), &done);
                scope.spawn(move || clients::use_until(&api, begun, done, recordings))
            })
            .collect();
        let watched = watch(schedule, disk, stop, begun, &bar);
        done.store(true, Ordering::SeqCst);
        bar.set_message("waiting for the last responses");
        let mut samples = Vec::new();
        for client in clients {
            samples.extend(client.join().ok().context("a client panicked")?);
        }
        watched.map(|()| samples)
    })?;
    bar.finish_and_clear();
    say("Held", &format!("{} silent connections at the end; {} were reopened", silent.held(), silent.reopened()));
    Ok(samples)
}

/// Fills and frees the disk by the schedule until its end or a request to stop.
fn watch(schedule: &Schedule, disk: Option<&Disk>, stop: &Stop, begun: Instant, bar: &ProgressBar) -> Result<()> {
    while begun.elapsed() < schedule.length && !stop.is_requested() {
        let now = begun.elapsed();
        bar.set_position(now.as_secs());
        match disk {
            Some(disk) if schedule.is_full(now) => {
                bar.set_message("the disk is full");
                // Repeatedly: deletions free space.
                disk.fill()?;
            }
            Some(disk) => {
                bar.set_message("");
                disk.free()?;
            }
            None => {}
        }
        thread::sleep(Duration::from_millis(50));
    }
    disk.map_or(Ok(()), Disk::free)
}

/// Waits for the delivery of the video's objects; the number of those that were not delivered.
fn undelivered(api: &Client, video: u64) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let now: Video = api.get(&format!("/videos/{video}/"))?;
        let open: Deliveries =
            api.get(&format!("/videos/{video}/deliveries/?state=pending,retrying,failed&limit=1000"))?;
        if now.finished && open.results.is_empty() {
            return Ok(0);
        }
        if begun.elapsed() > DELIVERY_TIMEOUT {
            return Ok(open.results.len().max(1));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
