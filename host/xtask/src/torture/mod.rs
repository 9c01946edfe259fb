//! `cargo xtask torture`: a real server that is killed again and again while clients use it, and
//! everything verified.
//!
//! A cycle: clients create, upload, change, process, stop, delete, list and search at the same
//! time, receivers take posts or do not, and at a random moment the server is killed (SIGKILL). It
//! is started again, now and then killed while it starts, and then must hold whatever was
//! acknowledged. At the end all jobs and deliveries come to their ends, and `ocellus check` finds
//! nothing.
//!
//! | file | owns |
//! |---|---|
//! | `clients` | what is asked |
//! | `model`, `register` | what must be there by the answers |
//! | `verify` | what is there |
//! | `report` | the table at the end |

mod clients;
mod model;
mod register;
mod report;
mod verify;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::AtomicU64, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    clients::{Actor, Counts, World},
    report::Tally,
    verify::Found,
};
use crate::{
    attack::{Behaviour, Fault, FaultKind, Faults, Place, Posts, Receiver, Served, Stop, recordings},
    build, plugins, setup,
    shell::{say, target},
};

/// Where nobody says how many.
const CYCLES: u64 = 25;
const CLIENTS: usize = 6;
const RECEIVERS: usize = 3;
/// Milliseconds from a start until the kill.
const LIFE: std::ops::Range<u64> = 50..1500;
/// So many of 256 starts are cut by a kill.
const CUT_STARTS: u8 = 40;
/// After so many cycles the server is ended by SIGTERM instead, and its archive checked.
const CHECK: u64 = 10;
/// Within this the job of a small recording ends, the networks' loading included.
const JOB: Duration = Duration::from_secs(120);

#[derive(Args)]
pub(crate) struct TortureArguments {
    /// How often the server is killed. 25 take a minute, 10,000 a night.
    #[arg(long, value_name = "N", default_value_t = CYCLES, value_parser = clap::value_parser!(u64).range(1..))]
    cycles: u64,

    /// What chance decides by, as a run named it: the same requests and moments, though threads
    /// meet otherwise. [default: another each time]
    #[arg(long)]
    seed: Option<u64>,

    /// An empty folder for the data folder and the server's log. [default: target/torture,
    /// cleared]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The server. [default: the one of this repository, built before]
    #[arg(long, value_name = "PATH")]
    exe: Option<PathBuf>,

    /// Keep the data folder and the log although all is well.
    #[arg(long)]
    keep: bool,

    /// Go on after a cycle that failed; what is in the data folder then is no more what it was.
    #[arg(long)]
    go_on: bool,
}

/// A run.
struct Run {
    place: Place,
    world: World,
    posts: Arc<Posts>,
    faults: Arc<Faults>,
    random: fastrand::Rng,
    tally: Tally,
    /// What undisturbed jobs find, by recording.
    expected: Vec<Found>,
    seed: u64,
}

/// As a step of `cargo xtask test`, which has built everything.
pub(crate) fn test() -> Result<()> {
    let exe = Some(target().join("release/ocellus"));
    run(&TortureArguments { cycles: CYCLES, seed: None, data: None, exe, keep: false, go_on: false })
}

pub(crate) fn run(arguments: &TortureArguments) -> Result<()> {
    let program = match &arguments.exe {
        Some(program) => program.clone(),
        None => {
            setup::ensure()?;
            plugins::build()?;
            build::programs()?;
            target().join("release/ocellus")
        }
    };
    let home = home(arguments.data.as_deref())?;
    let stop = Stop::listen()?;
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let faults = Arc::new(Faults::default());
    let posts = Arc::new(Posts::new(Arc::clone(&faults)));
    let receivers =
        (0..RECEIVERS).map(|_| Receiver::start(Behaviour::Accepts, Arc::clone(&posts))).collect::<Result<_>>()?;
    let mut run = Run {
        place: Place::new(program, &home, &["--jobs", "2"])?,
        world: World {
            recordings: recordings()?,
            receivers,
            model: Mutex::default(),
            counts: Counts::default(),
            ending: AtomicBool::new(false),
            names: AtomicU64::new(1),
        },
        posts,
        faults,
        random: fastrand::Rng::with_seed(seed),
        tally: Tally::default(),
        expected: Vec::new(),
        seed,
    };
    let begun = Instant::now();
    run.cycles(arguments.cycles, arguments.go_on, &stop)?;
    run.tally.print(&run.world.counts, &run.posts, begun.elapsed())?;
    if run.tally.failed > 0 {
        let (data, log) = (run.place.data().display(), run.place.log().display());
        bail!("seed {seed}: {} faults; the data folder is {data}, the server's log {log}", run.tally.faults.len());
    }
    if stop.is_wanted() {
        bail!("stopped after {} cycles", run.tally.passed);
    }
    if !arguments.keep {
        let _ = fs::remove_dir_all(run.place.data());
        let _ = fs::remove_file(run.place.log());
    }
    Ok(())
}

/// Where a run has its files.
fn home(given: Option<&Path>) -> Result<PathBuf> {
    let Some(given) = given else {
        let home = target().join("torture");
        return match fs::remove_dir_all(&home) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                bail!("cannot clear {}: {error}", home.display())
            }
            _ => Ok(home),
        };
    };
    match fs::read_dir(given).map(|mut entries| entries.next().is_none()) {
        Ok(false) => bail!("{} is not empty", given.display()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot read {}: {error}", given.display()),
        _ => Ok(given.to_path_buf()),
    }
}

impl Run {
    /// All of them, and the end. Errs only where no run is possible.
    fn cycles(&mut self, cycles: u64, go_on: bool, stop: &Stop) -> Result<()> {
        say("Torturing", &format!("{} with seed {}", self.place.data().display(), self.seed));
        let mut served = self.place.start()?;
        self.expect(&served).context("jobs that nobody disturbs")?;
        let style = ProgressStyle::with_template("   Torturing {bar:30} {pos} of {len} cycles, {eta} left{msg}")?;
        let bar = ProgressBar::new(cycles).with_style(style);
        for cycle in 1..=cycles {
            if stop.is_wanted() {
                break;
            }
            let next = self.cycle(served, cycle % CHECK == 0);
            bar.inc(1);
            let found = self.judge(&format!("cycle {cycle}"), &bar);
            *if found == 0 { &mut self.tally.passed } else { &mut self.tally.failed } += 1;
            match next {
                Some(next) if found == 0 || go_on => served = next,
                // What was found stays as it is.
                _ => {
                    bar.finish_and_clear();
                    return Ok(());
                }
            }
            bar.set_message(format!(", {} kills, {} faults", self.tally.kills, self.tally.faults.len()));
        }
        bar.set_message(", the end: jobs and deliveries come to theirs");
        let ended = self.end(served);
        self.note(ended);
        if self.judge("the end", &bar) > 0 {
            self.tally.failed += 1;
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Says what was found since the last call; how much it was.
    fn judge(&mut self, when: &str, bar: &ProgressBar) -> usize {
        let found = self.faults.take();
        for fault in &found {
            bar.suspend(|| eprintln!("seed {}, {when}: {fault}", self.seed));
        }
        let count = found.len();
        self.tally.faults.extend::<Vec<Fault>>(found);
        count
    }

    /// An answer that did not come where nobody killed the server is a fault as any other.
    fn note(&self, result: Result<()>) {
        if let Err(error) = result {
            self.faults.add(FaultKind::Answer, format!("{error:#}"));
        }
    }

    fn actor<'a>(world: &'a World, faults: &'a Faults, served: &Served, seed: u64) -> Actor<'a> {
        Actor { world, api: served.client(), random: fastrand::Rng::with_seed(seed), faults }
    }

    /// Processes each recording once, undisturbed.
    fn expect(&mut self, served: &Served) -> Result<()> {
        let mut actor = Self::actor(&self.world, &self.faults, served, self.random.u64(..));
        let api = served.client();
        for recording in 0..self.world.recordings.len() {
            let id = actor.create_of(recording, None).context("a video cannot be created")?;
            if !actor.upload(id) {
                bail!("video {id}: a file cannot be uploaded");
            }
            actor.process(id);
            let begun = Instant::now();
            while !verify::videos(&api)?.iter().any(|video| video.id == id && video.finished) {
                if begun.elapsed() > JOB {
                    bail!("the job of video {id} has not ended after {} s", JOB.as_secs());
                }
                thread::sleep(Duration::from_millis(20));
            }
            self.expected.push(verify::found_in(&api, id)?);
        }
        if self.expected.iter().all(Vec::is_empty) {
            bail!("nothing was found in any recording: are the networks there?");
        }
        Ok(())
    }

    /// One cycle, from a server that listens to the next one that does; nothing where there is
    /// none.
    fn cycle(&mut self, served: Served, polite: bool) -> Option<Served> {
        let ended = self.attack(served, polite);
        self.note(ended);
        if polite {
            self.check();
        }
        let served = self.restart()?;
        let verified = verify::after_start(&self.world, &self.place, &served.client(), &mut self.random, &self.faults);
        self.note(verified);
        Some(served)
    }

    /// Clients use the server until it is killed; or until they have enough, and it is told to
    /// end.
    fn attack(&mut self, mut served: Served, polite: bool) -> Result<()> {
        for receiver in &self.world.receivers {
            let any = self.random.choice(Behaviour::ALL).unwrap_or(Behaviour::Accepts);
            receiver.behave(if self.random.bool() { Behaviour::Accepts } else { any });
        }
        let life = Duration::from_millis(self.random.u64(LIFE));
        let (world, faults) = (&self.world, &*self.faults);
        world.ending.store(false, Ordering::SeqCst);
        let mut actors: Vec<Actor<'_>> =
            (0..CLIENTS).map(|_| Self::actor(world, faults, &served, self.random.u64(..))).collect();
        let left = thread::scope(|scope| -> Result<Option<Served>> {
            for actor in &mut actors {
                scope.spawn(|| actor.act());
            }
            thread::sleep(life);
            let alive = served.check();
            world.ending.store(true, Ordering::SeqCst);
            alive.context("the server")?;
            if polite {
                return Ok(Some(served));
            }
            served.kill()?;
            Ok(None)
        })?;
        match left {
            Some(served) => {
                self.tally.polite_ends += 1;
                served.terminate().context("the server")
            }
            None => {
                self.tally.kills += 1;
                Ok(())
            }
        }
    }

    fn check(&mut self) {
        self.tally.checks += 1;
        match self.place.check() {
            Ok(None) => {}
            Ok(Some(finding)) => self.faults.add(FaultKind::Check, finding),
            Err(error) => self.faults.add(FaultKind::Check, format!("{error:#}")),
        }
    }

    /// Starts a server, perhaps after others that are killed while they start.
    fn restart(&mut self) -> Option<Served> {
        let last = self.tally.starts.last().copied().unwrap_or(Duration::from_secs(1));
        let mut odds = CUT_STARTS;
        while self.random.u8(..) < odds {
            // The next kill in a row is likelier than the first.
            odds = 128;
            let after = last.mul_f64(self.random.f64() * 1.1);
            if let Err(error) = self.cut_start(after) {
                self.faults.add(FaultKind::NoStart, format!("{error:#}"));
                return None;
            }
        }
        match self.place.start() {
            Ok(served) => {
                self.tally.starts.push(served.start_up);
                Some(served)
            }
            Err(error) => {
                self.faults.add(FaultKind::NoStart, format!("{error:#}"));
                None
            }
        }
    }

    fn cut_start(&mut self, after: Duration) -> Result<()> {
        let mut running = self.place.spawn()?;
        thread::sleep(after);
        running.check().context("while it started")?;
        running.kill()?;
        self.tally.kills += 1;
        self.tally.kills_at_start += 1;
        Ok(())
    }

    /// Lets everything come to its end, and verifies all of it.
    fn end(&mut self, served: Served) -> Result<()> {
        for receiver in &self.world.receivers {
            receiver.behave(Behaviour::Accepts);
        }
        // A server that has just started does not know how long its receivers were away.
        served.terminate().context("the server")?;
        let Some(served) = self.restart() else { return Ok(()) };
        let api = served.client();
        verify::drain(&api)?;
        self.tally.objects =
            verify::at_the_end(&self.world, &self.place, &api, &self.expected, &self.posts, &self.faults)?;
        served.terminate().context("the server")?;
        self.check();
        Ok(())
    }
}
