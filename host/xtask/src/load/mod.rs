//! `cargo xtask load`: a server that is used by many while others do what they can to be in the
//! way.
//!
//! 200 clients with the token list, read, create, change, upload, process and delete. Beside them
//! there are 600 connections that say and read nothing, opened without a token and again whenever
//! they are closed; 34 receivers that take posts and never answer; and a disk that is full for a
//! fifth of the time. Every request with a token must be answered.
//!
//! | file | owns |
//! |---|---|
//! | `clients` | the clients and what they were answered |
//! | `silent` | the connections in the way |
//! | `disk` | the disk that is full and free again |
//! | `report` | the tables, and what counts as passed |

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
use serde_json::{Value, json};

use self::{
    clients::{CLIENTS, Sample, Schedule},
    disk::Disk,
    report::Seen,
    silent::Silent,
};
use crate::{
    attack::{Behaviour, Faults, Place, Posts, Receiver, Recording, Served, Stop, recordings},
    build,
    client::{Client, Deliveries, Video},
    plugins, setup,
    shell::{say, target},
};

/// Receivers that never answer.
const SILENT_RECEIVERS: usize = 34;
/// Files that this process has open at a time, with some to spare.
const FILES: u64 = 2048;
/// Marks a process that was started with more files.
const RAISED: &str = "OCELLUS_LOAD_FILES_RAISED";
/// Within this the objects for the receiver that answers have come, counted from the end of the
/// clients.
const DELIVERED: Duration = Duration::from_secs(60);

#[derive(Args)]
pub(crate) struct LoadArguments {
    /// How long clients use the server.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=3600))]
    seconds: u64,

    /// The server. [default: the one of this repository, built before]
    #[arg(long, value_name = "PATH")]
    exe: Option<PathBuf>,
}

pub(crate) fn run(arguments: &LoadArguments) -> Result<()> {
    with_enough_files()?;
    let program = match &arguments.exe {
        Some(program) => program.clone(),
        None => {
            setup::ensure()?;
            plugins::build()?;
            build::programs()?;
            target().join("release/ocellus")
        }
    };
    let home = target().join("load");
    Disk::leave(&home)?;
    match fs::remove_dir_all(&home) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot clear {}: {error}", home.display()),
        _ => {}
    }
    let stop = Stop::listen()?;
    let recordings = recordings()?;
    let disk = Disk::mount(&home)?;
    let folder = disk.as_ref().map_or(home.as_path(), Disk::folder);
    let place = Place::new(program, folder, &["--jobs", "2"])?.log_to(home.join("server.log"));

    let posts = Arc::new(Posts::new(Arc::new(Faults::default())));
    let silent_receivers = (0..SILENT_RECEIVERS)
        .map(|_| Receiver::start(Behaviour::Silent, Arc::clone(&posts)))
        .collect::<Result<Vec<_>>>()?;
    let answering = Receiver::start(Behaviour::Accepts, Arc::clone(&posts))?;

    let mut served = place.start()?;
    let api = served.client();
    let street = recordings.first().context("no recording")?;
    for receiver in &silent_receivers {
        process(&api, street, &receiver.url())?;
    }
    let healthy = process(&api, street, &answering.url())?;
    let schedule = Schedule::new(Duration::from_secs(arguments.seconds), disk.is_some());
    let samples = use_it(&served, &schedule, disk.as_ref(), &recordings, &stop)?;
    served.check().context("the server")?;

    let undelivered = undelivered(&api, healthy)?;
    let seen = Seen {
        memory_mib: ocellus_bench_report::process::peak_memory(served.id()),
        descriptors: fs::read_dir(format!("/proc/{}/fd", served.id())).map(Iterator::count).unwrap_or_default(),
        undelivered,
        ended: served.terminate().err().map(|error| format!("{error:#}")),
        check: place.check()?,
    };
    // What holds connections ends after the server.
    drop((silent_receivers, answering));
    let failed = report::print(&samples, &schedule, &seen)?;
    if failed > 0 {
        bail!("{failed} criteria are not met; the server's log is {}", place.log().display());
    }
    if stop.is_wanted() {
        bail!("stopped before the end");
    }
    Ok(())
}

/// Runs this command again with more files where it may open too few: each connection is one.
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

/// A video whose objects go to `router_url`, put into the queue; its id.
fn process(api: &Client, recording: &Recording, router_url: &str) -> Result<u64> {
    let settings = json!({"detectors": recording.detectors});
    let made = api.post(
        "/videos/",
        &json!({"camera_group": 1, "name": "posts", "router_url": router_url, "stream_settings": settings}),
    )?;
    let Video { id, .. } = serde_json::from_str(&made).context("the server's answer is no video")?;
    let bytes = recording.copy(&mut fastrand::Rng::new());
    let uploaded = api.ask(ureq::http::Method::PUT, &format!("/videos/{id}/upload/source_file/"), &bytes)?;
    if !uploaded.is_success() {
        bail!("video {id}: the upload was answered with {}", uploaded.status);
    }
    api.post(&format!("/videos/{id}/process/"), &Value::Null)?;
    Ok(id)
}

/// All clients at once, beside all that is in the way.
fn use_it(
    served: &Served,
    schedule: &Schedule,
    disk: Option<&Disk>,
    recordings: &[Recording],
    stop: &Stop,
) -> Result<Vec<Sample>> {
    let silent = Silent::open(served.address())?;
    say("Using", &format!("{} with {CLIENTS} clients beside {} silent connections", served.address(), silent.held()));
    let bar = ProgressBar::new(schedule.length.as_secs())
        .with_style(ProgressStyle::with_template("      Using {bar:30} {msg}")?);
    let done = AtomicBool::new(false);
    let begun = Instant::now();
    let samples = thread::scope(|scope| -> Result<Vec<Sample>> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (api, done) = (served.client(), &done);
                scope.spawn(move || clients::use_until(&api, begun, done, recordings))
            })
            .collect();
        let watched = watch(schedule, disk, stop, begun, &bar);
        done.store(true, Ordering::SeqCst);
        bar.set_message("waiting for the last answers");
        let mut samples = Vec::new();
        for client in clients {
            samples.extend(client.join().ok().context("a client panicked")?);
        }
        watched.map(|()| samples)
    })?;
    bar.finish_and_clear();
    say(
        "Held",
        &format!("{} silent connections at the end; {} were opened again", silent.held(), silent.opened_again()),
    );
    Ok(samples)
}

/// Until the time is over: fills the disk when it is time for that, and frees it.
fn watch(schedule: &Schedule, disk: Option<&Disk>, stop: &Stop, begun: Instant, bar: &ProgressBar) -> Result<()> {
    while begun.elapsed() < schedule.length && !stop.is_wanted() {
        let now = begun.elapsed();
        bar.set_position(now.as_secs());
        match disk {
            Some(disk) if schedule.is_full(now) => {
                bar.set_message("the disk is full");
                // Again and again: who deletes something makes room.
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

/// How many objects have not come to the receiver that answers; waits for them.
fn undelivered(api: &Client, video: u64) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let now: Video = api.get(&format!("/videos/{video}/"))?;
        let open: Deliveries =
            api.get(&format!("/videos/{video}/deliveries/?state=pending,retrying,failed&limit=1000"))?;
        if now.finished && open.results.is_empty() {
            return Ok(0);
        }
        if begun.elapsed() > DELIVERED {
            return Ok(open.results.len().max(1));
        }
        thread::sleep(Duration::from_millis(100));
    }
}
