//! `ocellus plugin test`: a component in the real runtime over a detection log. What it answers is printed, one line of JSON a
//! call, and held against a golden file.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use ocellus_core::{Detection, FrameRecord, ObjectType, Size, TrackId, VideoId};
use ocellus_runtime::{Candidate, Filter, FrameInfo, Kind, Moment, Object, Plugins, Stage, StreamInfo, Trace, Tracker, Verdict};
use ocellus_store::{DetectionReader, StoredJob};
use serde_json::{Value, json};

/// Detections of vehicles in three seconds of street.
const SAMPLE: &[u8] = include_bytes!("../../samples/street.log");

#[derive(Args, Debug)]
pub(crate) struct TestArguments {
    /// The component.
    file: PathBuf,

    /// Its settings, JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,

    /// Detections of this video of an archive, instead of the sample that comes with the program.
    #[arg(long, value_name = "ID", requires = "data")]
    video: Option<u64>,

    /// Folder that holds the archive; only read.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Object type to look at. [default: the first that was seen]
    #[arg(long = "type", value_name = "TYPE")]
    object_type: Option<ObjectType>,

    /// What it should answer; another answer is an error that shows the first line that differs.
    #[arg(long, value_name = "FILE")]
    golden: Option<PathBuf>,

    /// Write the golden file instead.
    #[arg(long, requires = "golden")]
    bless: bool,

    /// Show it what a fault's trace holds instead (GET /plugins/NAME/trace/): does it still fail?
    #[arg(long, value_name = "FILE", conflicts_with_all = ["video", "golden", "repeat", "settings"])]
    trace: Option<PathBuf>,

    /// Go through the recording so many times and say what a call costs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u32,
}

struct Recording {
    size: Size,
    frame_rate: Option<f64>,
    object_type: ObjectType,
    frames: Vec<FrameRecord>,
}

impl Recording {
    fn read(arguments: &TestArguments) -> Result<Self> {
        let log = match (arguments.video, &arguments.data) {
            (Some(video), Some(data)) => StoredJob::open(data, VideoId(video))?.detections()?,
            _ => {
                let path = std::env::temp_dir().join(format!("ocellus-sample-{}.log", std::process::id()));
                std::fs::write(&path, SAMPLE).with_context(|| format!("cannot write {}", path.display()))?;
                let log = DetectionReader::open(path.clone());
                std::fs::remove_file(path)?;
                log?
            }
        };
        let log = log.context("the video was not processed yet")?;
        let header = log.header().clone();
        let frames = log.collect::<Result<Vec<_>, _>>()?;
        let seen = |t: &ObjectType| frames.iter().any(|f| f.seen.iter().any(|(s, d)| s == t && !d.is_empty()));
        let object_type = arguments.object_type.clone().or_else(|| header.types.iter().find(|t| seen(t)).cloned());
        let object_type = object_type.context("nothing was seen in this recording")?;
        Ok(Self { size: header.frame_size, frame_rate: header.frame_rate, object_type, frames })
    }

    fn stream(&self) -> StreamInfo {
        StreamInfo { object_type: self.object_type.clone(), size: self.size, frame_rate: self.frame_rate }
    }

    /// Each frame that was looked at, and what was seen in it.
    fn frames(&self) -> impl Iterator<Item = (FrameInfo, &[Detection])> {
        self.frames.iter().filter(|f| !f.still).map(|f| {
            let seen = f.seen.iter().find(|(t, _)| *t == self.object_type).map_or(&[][..], |(_, d)| d);
            (FrameInfo { index: f.index, time: f.time, size: self.size, cut: f.cut }, seen)
        })
    }
}

/// 0: as expected. 1: not.
pub(crate) fn run(arguments: &TestArguments) -> Result<ExitCode> {
    if let Some(trace) = &arguments.trace {
        return reproduce(&arguments.file, trace);
    }
    let settings: Value = serde_json::from_str(&arguments.settings).context("--settings is no JSON")?;
    let recording = Recording::read(arguments)?;
    let (plugins, info, _folder) = super::load(&arguments.file)?;
    let name = info.name.context("it has no name")?;
    let go = match info.kind {
        Some(Kind::Tracker) => track,
        Some(Kind::Filter) => filter,
        Some(Kind::Router) | None => bail!("{name} is a router: only filters and trackers are shown recordings"),
    };
    let mut answers = go(&plugins, &name, &settings, &recording)?;
    for _ in 1..arguments.repeat {
        let again = go(&plugins, &name, &settings, &recording)?;
        if again.text != answers.text {
            bail!("{name} answers otherwise when it is asked again: a plugin must be a function of its settings and calls");
        }
        answers.costs.extend(again.costs);
    }
    let mut stdout = std::io::stdout().lock();
    answers.costs.sort_unstable();
    let at = |share: f64| answers.costs.get((answers.costs.len() as f64 * share) as usize).map_or(0.0, |d| d.as_secs_f64() * 1e6);
    let told = format!(
        "{name} {} ({}): {} calls, median {:.1} us, 99 of 100 within {:.1} us, {} kB of memory",
        info.version.unwrap_or_default(),
        info.digest.map(|d| d.to_string()).unwrap_or_default(),
        answers.costs.len(),
        at(0.5),
        at(0.99),
        answers.memory_bytes / 1000,
    );
    let Some(golden) = &arguments.golden else {
        write!(stdout, "{}", answers.text)?;
        eprintln!("{told}");
        return Ok(ExitCode::SUCCESS);
    };
    eprintln!("{told}");
    if arguments.bless {
        std::fs::write(golden, &answers.text).with_context(|| format!("cannot write {}", golden.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let expected = std::fs::read_to_string(golden).with_context(|| format!("cannot read {} (--bless writes it)", golden.display()))?;
    let mut lines = (1..)
        .zip(expected.lines().map(Some).chain(std::iter::repeat(None)).zip(answers.text.lines().map(Some).chain(std::iter::repeat(None))));
    let Some((number, (wanted, got))) = lines.find(|(_, (wanted, got))| wanted != got || wanted.is_none()) else {
        return Ok(ExitCode::SUCCESS);
    };
    if wanted.is_none() && got.is_none() {
        writeln!(stdout, "as in {}", golden.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let shown = |line: Option<&str>| line.unwrap_or("(the end)").to_owned();
    writeln!(stdout, "{}:{number}\n- {}\n+ {}", golden.display(), shown(wanted), shown(got))?;
    Ok(ExitCode::from(1))
}

/// 0: it goes through. 1: it fails, as it did or otherwise.
fn reproduce(component: &Path, trace: &Path) -> Result<ExitCode> {
    let text = std::fs::read(trace).with_context(|| format!("cannot read {}", trace.display()))?;
    let trace: Trace = serde_json::from_slice(&text).with_context(|| format!("{} is no trace", trace.display()))?;
    let (plugins, info, _folder) = super::load(component)?;
    if info.digest.is_none_or(|d| d.to_string() != trace.digest) {
        eprintln!("this is another build than the one that failed ({})", trace.digest);
    }
    let mut stdout = std::io::stdout().lock();
    match trace.reproduce(&plugins)? {
        Some(error) => {
            writeln!(stdout, "it fails after {} calls: {error}", trace.calls.len())?;
            Ok(ExitCode::from(1))
        }
        None => {
            let left_out = if trace.complete { "" } else { "; the first calls of its session are not in the trace" };
            writeln!(stdout, "{} calls without a fault{left_out}", trace.calls.len())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What came of one run.
struct Answers {
    text: String,
    costs: Vec<Duration>,
    memory_bytes: usize,
}

fn track(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut tracker: Tracker = plugins.tracker(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, seen) in recording.frames() {
        let begun = Instant::now();
        let update = tracker.update(&frame, seen)?;
        costs.push(begun.elapsed());
        writeln!(text, "{}", json!({"frame": frame.index, "ids": update.ids, "closed": update.closed}))?;
    }
    writeln!(text, "{}", json!({"finish": tracker.finish()?}))?;
    Ok(Answers { text, costs, memory_bytes: tracker.meters().memory_bytes })
}

/// Filters that want tracks are given each detection as a track of its own.
fn filter(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut filter: Filter = plugins.filter(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, seen) in recording.frames().filter(|(_, seen)| !seen.is_empty()) {
        let mut ask = |stage: &str, wanted: Stage, filter: &mut Filter| -> Result<()> {
            if !filter.wants(wanted) {
                return Ok(());
            }
            let candidate = |(n, detection): (u64, &Detection)| Candidate { track: TrackId(n), detection: detection.clone() };
            let candidates: Vec<_> = (1..).zip(seen).map(candidate).collect();
            let moment = |detection: &Detection| Moment { frame: frame.index, time: frame.time, detection: detection.clone() };
            let object = |(n, detection)| {
                let (first, last, best) = (moment(detection), moment(detection), moment(detection));
                Object { track: TrackId(n), first, last, best, detections: 1, end_of_track: true }
            };
            let objects: Vec<_> = (1..).zip(seen).map(object).collect();
            let begun = Instant::now();
            let verdicts = match wanted {
                Stage::Detections => filter.detections(&frame, seen)?,
                Stage::Shots => filter.shots(&frame, &candidates)?,
                Stage::Objects => filter.objects(&objects)?,
            };
            costs.push(begun.elapsed());
            let verdicts: Vec<Value> = verdicts.into_iter().map(shown).collect();
            Ok(writeln!(text, "{}", json!({"frame": frame.index, "stage": stage, "verdicts": verdicts}))?)
        };
        ask("detections", Stage::Detections, &mut filter)?;
        ask("shots", Stage::Shots, &mut filter)?;
        ask("objects", Stage::Objects, &mut filter)?;
    }
    Ok(Answers { text, costs, memory_bytes: filter.meters().memory_bytes })
}

fn shown(verdict: Verdict) -> Value {
    match verdict {
        Verdict::Keep => json!("keep"),
        Verdict::Reject(rejection) => json!({"reject": rejection.rule, "value": rejection.value}),
        Verdict::Annotate(notes) => json!({"annotate": notes}),
    }
}
