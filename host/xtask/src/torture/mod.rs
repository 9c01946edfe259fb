//! `cargo xtask torture`: crash test of a real server, which is killed repeatedly while clients use
//! it.
//!
//! In a cycle clients create, upload, change, process, stop, delete, list and search at the same
//! time, receivers accept posts or fail, and at a random moment the server is killed (SIGKILL). It
//! is started again, sometimes killed during the start, and must then hold everything that it
//! acknowledged. After the last cycle all jobs and deliveries must complete, and `ocellus check`
//! must find nothing.
//!
//! | file | owns |
//! |---|---|
//! | `clients` | the requests |
//! | `model`, `register` | what the server must hold, by its responses |
//! | `verify` | the comparison of the server with the model |
//! | `report` | the table at the end |

mod clients;
mod model;
mod register;
mod report;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;

use self::{
    clients::{Actor, Counts, World},
    report::Tally,
    verify::Found,
};
use crate::{
    attack::{
        self, Behaviour, Installation, LiveServer, Posts, Receiver, Violation, ViolationKind, Violations, recordings,
    },
    shell::{remove_folder, say, target},
    stop::Stop,
};

/// Default of `--cycles`.
const CYCLES: u64 = 25;
const CLIENTS: usize = 6;
const RECEIVERS: usize = 3;
/// Milliseconds from a start until the kill.
const KILL_AFTER_MS: std::ops::Range<u64> = 50..1500;
/// Number of starts that are killed, of 256.
const KILLED_STARTS: u8 = 40;
/// Interval, in cycles, at which the server is stopped by SIGTERM instead, and its archive checked.
const CHECK: u64 = 10;
/// Longest time of a small recording's job, including the loading of networks.
const JOB_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct TortureArguments {
    /// Number of kills. 25 take a minute, 10,000 a night.
    #[arg(long, value_name = "N", default_value_t = CYCLES, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,

    /// Seed of the random numbers, as a failed run printed it: repeats the requests and the times
    /// of the kills, but not the order of threads. [default: random]
    #[arg(long)]
    seed: Option<u64>,

    /// Empty folder for the data folder and the server's log. [default: target/torture, which is
    /// cleared]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Program of the server. [default: that of this repository, built before]
    #[arg(long, value_name = "PATH")]
    exe: Option<PathBuf>,

    /// Keep the data folder and the log of a successful run.
    #[arg(long)]
    keep: bool,

    /// Continue after a failed cycle; its data folder is then not preserved.
    #[arg(long)]
    go_on: bool,
}

/// A run.
struct Run {
    installation: Installation,
    world: World,
    posts: Arc<Posts>,
    violations: Arc<Violations>,
    random: fastrand::Rng,
    tally: Tally,
    /// Objects of an undisturbed job, by recording.
    expected: Vec<Found>,
    seed: u64,
}

/// The step of `cargo xtask test`, which has built everything.
pub(crate) fn test() -> Result<()> {
    let exe = Some(target().join("release/ocellus"));
    run(&TortureArguments { cycles: CYCLES, seed: None, data: None, exe, keep: false, go_on: false })
}

pub(crate) fn run(arguments: &TortureArguments) -> Result<()> {
    let program = attack::program(arguments.exe.as_deref())?;
    let home = home(arguments.data.as_deref())?;
    let stop = Stop::listen()?;
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let violations = Arc::new(Violations::default());
    let posts = Arc::new(Posts::new(Arc::clone(&violations)));
    let receivers =
        (0..RECEIVERS).map(|_| Receiver::start(Behaviour::Accepts, Arc::clone(&posts))).collect::<Result<_>>()?;
    let mut run = Run {
        installation: Installation::new(program, &home, &["--jobs", "2"])?,
        world: World {
            recordings: recordings()?,
            receivers,
            model: Mutex::default(),
            counts: Counts::default(),
            ending: AtomicBool::new(false),
            names: AtomicU64::new(1),
        },
        posts,
        violations,
        random: fastrand::Rng::with_seed(seed),
        tally: Tally::default(),
        expected: Vec::new(),
        seed,
    };
    let begun = Instant::now();
    run.cycles(arguments.cycles, arguments.go_on, &stop)?;
    run.tally.print(&run.world.counts, &run.posts, begun.elapsed())?;
    if run.tally.failed > 0 {
        let (data, log) = (run.installation.data().display(), run.installation.log().display());
        bail!(
            "seed {seed}: {} violations; the data folder is {data}, the server's log {log}",
            run.tally.violations.len()
        );
    }
    if stop.is_requested() {
        bail!("stopped by the user after {} cycles", run.tally.passed);
    }
    if !arguments.keep {
        let _ = fs::remove_dir_all(run.installation.data());
        let _ = fs::remove_file(run.installation.log());
    }
    Ok(())
}

/// The folder of a run.
fn home(given: Option<&Path>) -> Result<PathBuf> {
    let Some(given) = given else {
        let home = target().join("torture");
        remove_folder(&home)?;
        return Ok(home);
    };
    match fs::read_dir(given).map(|mut entries| entries.next().is_none()) {
        Ok(false) => bail!("{} is not empty", given.display()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot read {}: {error}", given.display()),
        _ => Ok(given.to_path_buf()),
    }
}

impl Run {
    /// Runs all cycles and the final verification. Violations are collected; an error means that no
    /// run is possible.
    fn cycles(&mut self, cycles: u64, go_on: bool, stop: &Stop) -> Result<()> {
        say("Torturing", &format!("{} with seed {}", self.installation.data().display(), self.seed));
        let mut server = self.installation.start()?;
        self.record_expected(&server).context("cannot run undisturbed jobs")?;
        let style = ProgressStyle::with_template("   Torturing {bar:30} {pos} of {len} cycles, {eta} left{msg}")?;
        let bar = ProgressBar::new(cycles).with_style(style);
        for cycle in 1..=cycles {
            if stop.is_requested() {
                break;
            }
            let next = self.cycle(server, cycle % CHECK == 0);
            bar.inc(1);
            let found = self.report_new(&format!("cycle {cycle}"), &bar);
            *if found == 0 { &mut self.tally.passed } else { &mut self.tally.failed } += 1;
            match next {
                Some(next) if found == 0 || go_on => server = next,
                // Leaves the data folder as evidence.
                _ => {
                    bar.finish_and_clear();
                    return Ok(());
                }
            }
            bar.set_message(format!(", {} kills, {} violations", self.tally.kills, self.tally.violations.len()));
        }
        bar.set_message(", waiting for the remaining jobs and deliveries");
        let ended = self.end(server);
        self.record(ended);
        if self.report_new("the end", &bar) > 0 {
            self.tally.failed += 1;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Prints the violations since the last call; their number.
    fn report_new(&mut self, when: &str, bar: &ProgressBar) -> usize {
        let found = self.violations.take();
        for violation in &found {
            bar.suspend(|| eprintln!("seed {}, {when}: {violation}", self.seed));
        }
        let count = found.len();
        self.tally.violations.extend::<Vec<Violation>>(found);
        count
    }

    /// Enters an error as a violation: a missing response of a server that was not killed is one.
    fn record(&self, result: Result<()>) {
        if let Err(error) = result {
            self.violations.add(ViolationKind::Answer, format!("{error:#}"));
        }
    }

    fn actor<'a>(world: &'a World, violations: &'a Violations, server: &LiveServer, seed: u64) -> Actor<'a> {
        Actor { world, api: server.client(), random: fastrand::Rng::with_seed(seed), violations }
    }

    /// Processes each recording once, undisturbed.
    fn record_expected(&mut self, server: &LiveServer) -> Result<()> {
        let mut actor = Self::actor(&self.world, &self.violations, server, self.random.u64(..));
        let api = server.client();
        for recording in 0..self.world.recordings.len() {
            let id = actor.create_of(recording, None).context("a video cannot be created")?;
            if !actor.upload(id) {
                bail!("video {id}: a file cannot be uploaded");
            }
            actor.process(id);
            let begun = Instant::now();
            while !verify::videos(&api)?.iter().any(|video| video.id == id && video.finished) {
                if begun.elapsed() > JOB_TIMEOUT {
                    bail!("the job of video {id} has not ended after {} s", JOB_TIMEOUT.as_secs());
                }
                thread::sleep(Duration::from_millis(20));
            }
            self.expected.push(verify::found_in(&api, id)?);
        }
        if self.expected.iter().all(Vec::is_empty) {
            bail!("nothing was found in any recording: the networks may be missing");
        }
        Ok(())
    }

    /// Runs one cycle with a server that listens; the next such server, or `None` if it does not
    /// start.
    fn cycle(&mut self, server: LiveServer, graceful: bool) -> Option<LiveServer> {
        let ended = self.attack(server, graceful);
        self.record(ended);
        if graceful {
            self.check();
        }
        let server = self.restart()?;
        let verified =
            verify::after_start(&self.world, &self.installation, &server.client(), &mut self.random, &self.violations);
        self.record(verified);
        Some(server)
    }

    /// Runs the clients until the server is killed or, if `graceful`, stopped by SIGTERM.
    fn attack(&mut self, mut server: LiveServer, graceful: bool) -> Result<()> {
        for receiver in &self.world.receivers {
            let any = self.random.choice(Behaviour::ALL).unwrap_or(Behaviour::Accepts);
            receiver.behave(if self.random.bool() { Behaviour::Accepts } else { any });
        }
        let life = Duration::from_millis(self.random.u64(KILL_AFTER_MS));
        let (world, violations) = (&self.world, &*self.violations);
        world.ending.store(false, Ordering::SeqCst);
        let mut actors: Vec<Actor<'_>> =
            (0..CLIENTS).map(|_| Self::actor(world, violations, &server, self.random.u64(..))).collect();
        let left = thread::scope(|scope| -> Result<Option<LiveServer>> {
            for actor in &mut actors {
                scope.spawn(|| actor.run());
            }
            thread::sleep(life);
            let alive = server.check();
            world.ending.store(true, Ordering::SeqCst);
            alive.context("the server")?;
            if graceful {
                return Ok(Some(server));
            }
            server.kill()?;
            Ok(None)
        })?;
        match left {
            Some(server) => {
                self.tally.graceful_stops += 1;
                server.terminate().context("the server")
            }
            None => {
                self.tally.kills += 1;
                Ok(())
            }
        }
    }

    fn check(&mut self) {
        self.tally.checks += 1;
        match self.installation.check() {
            Ok(None) => {}
            Ok(Some(finding)) => self.violations.add(ViolationKind::Check, finding),
            Err(error) => self.violations.add(ViolationKind::Check, format!("{error:#}")),
        }
    }

    /// Starts a server, sometimes after others that are killed during their start.
    fn restart(&mut self) -> Option<LiveServer> {
        let last = self.tally.starts.last().copied().unwrap_or(Duration::from_secs(1));
        let mut odds = KILLED_STARTS;
        while self.random.u8(..) < odds {
            // Another kill in a row is likelier than the first.
            odds = 128;
            let after = last.mul_f64(self.random.f64() * 1.1);
            if let Err(error) = self.kill_start(after) {
                self.violations.add(ViolationKind::NoStart, format!("{error:#}"));
                return None;
            }
        }
        match self.installation.start() {
            Ok(server) => {
                self.tally.starts.push(server.start_up);
                Some(server)
            }
            Err(error) => {
                self.violations.add(ViolationKind::NoStart, format!("{error:#}"));
                None
            }
        }
    }

    fn kill_start(&mut self, after: Duration) -> Result<()> {
        let mut running = self.installation.spawn()?;
        thread::sleep(after);
        running.check().context("while it started")?;
        running.kill()?;
        self.tally.kills += 1;
        self.tally.kills_at_start += 1;
        Ok(())
    }

    /// Waits for all jobs and deliveries, and verifies everything.
    fn end(&mut self, server: LiveServer) -> Result<()> {
        for receiver in &self.world.receivers {
            receiver.behave(Behaviour::Accepts);
        }
        // A new server has no backoff for its receivers, so it delivers at once.
        server.terminate().context("the server")?;
        let Some(server) = self.restart() else { return Ok(()) };
        let api = server.client();
        verify::drain(&api)?;
        self.tally.objects =
            verify::at_the_end(&self.world, &self.installation, &api, &self.expected, &self.posts, &self.violations)?;
        server.terminate().context("the server")?;
        self.check();
        Ok(())
    }
}
