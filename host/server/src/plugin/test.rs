//! `ocellus plugin test` and `bench`: a component in the server's runtime over a detection log.
//! `test` prints one line of JSON for each call or compares them with a golden file; `bench`
//! measures the calls.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use ocellus_core::ObjectType;
use ocellus_runtime::{Kind, PluginInfo, Plugins, Trace};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    calls::{self, Answers},
    loading::load,
    recording::Recording,
};

/// The component under test and its input.
#[derive(Args, Debug)]
struct Subject {
    /// The component.
    file: PathBuf,

    /// Settings of the plugin, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,

    /// Use the detections of this video of an archive. [default: a sample in the program]
    #[arg(long, value_name = "ID", requires = "data")]
    video: Option<u64>,

    /// Folder that holds the archive; only read.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Object type to use. [default: the first that was detected]
    #[arg(long = "type", value_name = "TYPE")]
    object_type: Option<ObjectType>,
}

#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    #[command(flatten)]
    subject: Subject,

    /// Seconds to measure for.
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
}

#[derive(Args, Debug)]
pub(crate) struct TestArguments {
    #[command(flatten)]
    subject: Subject,

    /// File of expected answers; if they differ, the first line that does is printed.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,

    /// Write the golden file instead.
    #[arg(long, requires = "golden")]
    bless: bool,

    /// Repeat the calls of a fault's trace (GET /plugins/NAME/trace/) instead, to see whether it
    /// still fails.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["video", "golden", "repeat", "settings"])]
    trace: Option<PathBuf>,

    /// Run over the recording this many times; the answers must be the same each time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
}

/// Exit status 0: as expected; 1: not.
pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode> {
    if let Some(trace) = &arguments.trace {
        return reproduce(&arguments.subject.file, trace);
    }
    let plugin = UnderTest::open(&arguments.subject)?;
    let mut answers = plugin.go()?;
    for _ in 1..arguments.repeat {
        let again = plugin.go()?;
        if again.text != answers.text {
            bail!(
                "{} gives other answers on the second run: they may depend on its settings and calls only",
                plugin.name
            );
        }
        answers.costs.extend(again.costs);
    }
    let mut stdout = std::io::stdout().lock();
    let reported = plugin.reported(&mut answers);
    let Some(golden) = &arguments.golden else {
        write!(stdout, "{}", answers.text)?;
        writeln!(std::io::stderr(), "{reported}")?;
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(std::io::stderr(), "{reported}")?;
    if arguments.bless {
        std::fs::write(golden, &answers.text).with_context(|| format!("cannot write {}", golden.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let expected = std::fs::read_to_string(golden)
        .with_context(|| format!("cannot read {} (--bless writes it)", golden.display()))?;
    let mut lines = (1..).zip(
        expected
            .lines()
            .map(Some)
            .chain(std::iter::repeat(None))
            .zip(answers.text.lines().map(Some).chain(std::iter::repeat(None))),
    );
    let Some((number, (wanted, got))) = lines.find(|(_, (wanted, got))| wanted != got || wanted.is_none()) else {
        return Ok(ExitCode::SUCCESS);
    };
    if wanted.is_none() && got.is_none() {
        writeln!(stdout, "the same as {}", golden.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
    writeln!(stdout, "{}:{number}\n- {}\n+ {}", golden.display(), shown(wanted), shown(got))?;
    Ok(ExitCode::from(1))
}

/// Prints the time of a call on this machine, and the detections per frame of the recording.
pub(crate) fn bench(arguments: &BenchArguments) -> Result<ExitCode> {
    let plugin = UnderTest::open(&arguments.subject)?;
    let end = Instant::now() + Duration::try_from_secs_f64(arguments.seconds).context("--seconds")?;
    let mut answers = plugin.go()?;
    while Instant::now() < end {
        answers.costs.extend(plugin.go()?.costs);
    }
    let items: usize = plugin.recording.frames().map(|(_, detections)| detections.len()).sum();
    let frames = plugin.recording.frames().count().max(1);
    writeln!(
        std::io::stdout(),
        "{}\n{:.1} {} a frame",
        plugin.reported(&mut answers),
        items as f64 / frames as f64,
        plugin.recording.object_type
    )?;
    Ok(ExitCode::SUCCESS)
}

/// A component, and the recording that it is called with.
struct UnderTest {
    plugins: Plugins,
    info: PluginInfo,
    name: String,
    settings: Value,
    recording: Recording,
    /// Holds the component.
    _folder: TempDir,
}

impl UnderTest {
    fn open(subject: &Subject) -> Result<Self> {
        let settings = serde_json::from_str(&subject.settings).context("--settings is not JSON")?;
        let recording = Recording::read(subject.video, subject.data.as_deref(), subject.object_type.as_ref())?;
        let (plugins, info, folder) = load(&subject.file)?;
        let name = info.name.clone().context("it has no name")?;
        Ok(Self { plugins, info, name, settings, recording, _folder: folder })
    }

    /// Runs over the recording once, in a new session.
    fn go(&self) -> Result<Answers> {
        let go = match self.info.kind.context("it is no filter, tracker or router")? {
            Kind::Tracker => calls::track,
            Kind::Filter => calls::filter,
            Kind::Router => calls::route,
        };
        go(&self.plugins, &self.name, &self.settings, &self.recording)
    }

    /// One line: name, version, digest, calls, their times and memory.
    fn reported(&self, answers: &mut Answers) -> String {
        answers.costs.sort_unstable();
        let at = |share: f64| {
            answers.costs.get((answers.costs.len() as f64 * share) as usize).map_or(0.0, |d| d.as_secs_f64() * 1e6)
        };
        format!(
            "{} {} ({}): {} calls, median {:.1} us, 99 of 100 within {:.1} us, {} kB of memory",
            self.name,
            self.info.version.as_deref().unwrap_or_default(),
            self.info.digest.map(|d| d.to_string()).unwrap_or_default(),
            answers.costs.len(),
            at(0.5),
            at(0.99),
            answers.memory_bytes / 1000,
        )
    }
}

/// Exit status 0: the calls of the trace end without a fault; 1: with one, the same or another.
fn reproduce(component: &Path, trace: &Path) -> Result<ExitCode> {
    let text = std::fs::read(trace).with_context(|| format!("cannot read {}", trace.display()))?;
    let trace: Trace = serde_json::from_slice(&text).with_context(|| format!("{} is not a trace", trace.display()))?;
    let (plugins, info, _folder) = load(component)?;
    if info.digest.is_none_or(|d| d.to_string() != trace.digest) {
        writeln!(std::io::stderr(), "this is another build than the one that failed ({})", trace.digest)?;
    }
    let mut stdout = std::io::stdout().lock();
    match trace.reproduce(&plugins)? {
        Some(error) => {
            writeln!(stdout, "it fails after {} calls: {error}", trace.calls.len())?;
            Ok(ExitCode::from(1))
        }
        None => {
            let left_out = if trace.complete { "" } else { "; the trace lacks the first calls of the session" };
            writeln!(stdout, "{} calls without a fault{left_out}", trace.calls.len())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
