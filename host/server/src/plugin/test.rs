//! `ocellus plugin test` and `bench`: a component in the server's runtime over a detection log.
//! `test` prints one line of JSON for each call or compares them with a golden file; `bench`
//! measures the calls.

use std::{
    fmt::Write as _,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use ocellus_core::{
    BestShotType, Detection, FrameRecord, JobId, ObjectId, ObjectRecord, ObjectType, ShotSummary, Size, Timestamp,
    TrackId, VideoId,
};
use ocellus_runtime::{
    Body, Candidate, Content, Fault, Filter, FrameInfo, Kind, Moment, Object, Outcome, Part, Picture, PluginError,
    PluginInfo, Plugins, Post, PostPictures, Stage, StreamInfo, Trace, Tracker, Verdict,
};
use ocellus_store::{DetectionReader, DetectionRecord, StoredJob};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::sample_picture::SamplePicture;

/// Detection log of vehicles in three seconds of a street.
const SAMPLE: &[u8] = include_bytes!("../../samples/street.log");

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

struct Recording {
    size: Size,
    frame_rate: Option<f64>,
    object_type: ObjectType,
    frames: Vec<FrameRecord>,
}

impl Recording {
    fn read(arguments: &Subject) -> Result<Self> {
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
        let mut frames = Vec::new();
        let (mut after_gap, mut scores) = (false, header.clone());
        for logged in log {
            match logged? {
                // A tracker must not continue a track over a gap, nor over a cut.
                DetectionRecord::Gap(gap) => (after_gap, scores) = (true, gap.header),
                DetectionRecord::Frame(mut frame) => {
                    // Without the settings of a job, nothing tells a tracker which ones are weak.
                    for (object_type, detections) in &mut frame.detections {
                        let scores = scores.scores_of(object_type);
                        detections.retain(|detection| !scores.is_weak(detection));
                    }
                    frames.push(FrameRecord { cut: frame.cut || std::mem::take(&mut after_gap), ..frame })
                }
            }
        }
        let was_detected =
            |t: &ObjectType| frames.iter().any(|f| f.detections.iter().any(|(s, d)| s == t && !d.is_empty()));
        let object_type =
            arguments.object_type.clone().or_else(|| header.types.iter().find(|t| was_detected(t)).cloned());
        let object_type = object_type.context("nothing was detected in this recording")?;
        Ok(Self { size: header.frame_size, frame_rate: header.frame_rate, object_type, frames })
    }

    fn stream(&self) -> StreamInfo {
        StreamInfo { object_type: self.object_type.clone(), size: self.size, frame_rate: self.frame_rate }
    }

    /// The object of a track with one detection.
    fn object(&self, number: u64, frame: &FrameInfo, detection: &Detection) -> ObjectRecord {
        let shot = || ShotSummary {
            frame: frame.index,
            time: frame.time,
            timestamp: Timestamp::from_microsecond((frame.time * 1e6) as i64).unwrap_or_default(),
            bbox: detection.rect.to_pixels(self.size),
            score: detection.score,
            quality: detection.quality,
        };
        let job = JobId { video: VideoId(1), number: 1 };
        ObjectRecord {
            id: ObjectId { job, object_type: self.object_type.clone(), track: TrackId(number), shot: 0 },
            bs_type: BestShotType::Overall,
            end_of_track: true,
            landmarks: detection.landmarks,
            best: shot(),
            first: shot(),
            last: shot(),
            detections: 1,
            interpolated: 0,
            history: Vec::new(),
            attributes: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Each frame that was not skipped as static, with its detections of the object type.
    fn frames(&self) -> impl Iterator<Item = (FrameInfo, &[Detection])> {
        self.frames.iter().filter(|f| !f.is_static).map(|f| {
            let detections = f.detections.iter().find(|(t, _)| *t == self.object_type).map_or(&[][..], |(_, d)| d);
            (FrameInfo { index: f.index, time: f.time, size: self.size, cut: f.cut }, detections)
        })
    }
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
        let recording = Recording::read(subject)?;
        let (plugins, info, folder) = super::load(&subject.file)?;
        let name = info.name.clone().context("it has no name")?;
        Ok(Self { plugins, info, name, settings, recording, _folder: folder })
    }

    /// Runs over the recording once, in a new session.
    fn go(&self) -> Result<Answers> {
        let go = match self.info.kind.context("it is no filter, tracker or router")? {
            Kind::Tracker => track,
            Kind::Filter => filter,
            Kind::Router => route,
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
    let (plugins, info, _folder) = super::load(component)?;
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

/// Result of one run.
struct Answers {
    text: String,
    costs: Vec<Duration>,
    memory_bytes: usize,
}

fn track(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut tracker: Tracker = plugins.tracker(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, detections) in recording.frames() {
        let begun = Instant::now();
        let update = tracker.update(&frame, detections)?;
        costs.push(begun.elapsed());
        writeln!(text, "{}", json!({"frame": frame.index, "ids": update.ids, "closed": update.closed}))?;
    }
    writeln!(text, "{}", json!({"finish": tracker.finish()?}))?;
    Ok(Answers { text, costs, memory_bytes: tracker.meters().memory_bytes })
}

/// Calls each stage that the filter asks for. Each detection stands for a track of its own.
fn filter(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut filter: Filter = plugins.filter(name, settings, &recording.stream())?;
    let (mut text, mut costs) = (String::new(), Vec::new());
    for (frame, detections) in recording.frames().filter(|(_, detections)| !detections.is_empty()) {
        let mut ask = |stage: &str, wanted: Stage, filter: &mut Filter| -> Result<()> {
            if !filter.wants(wanted) {
                return Ok(());
            }
            let candidate =
                |(n, detection): (u64, &Detection)| Candidate { track: TrackId(n), detection: detection.clone() };
            let candidates: Vec<_> = (1..).zip(detections).map(candidate).collect();
            let moment =
                |detection: &Detection| Moment { frame: frame.index, time: frame.time, detection: detection.clone() };
            let object = |(n, detection)| {
                let (first, last, best) = (moment(detection), moment(detection), moment(detection));
                Object { track: TrackId(n), first, last, best, detections: 1, end_of_track: true }
            };
            let objects: Vec<_> = (1..).zip(detections).map(object).collect();
            let begun = Instant::now();
            let verdicts = match wanted {
                Stage::Detections => filter.detections(&frame, detections)?,
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

/// Encodes each detection as an object of a track of its own, then judges responses of several
/// statuses.
fn route(plugins: &Plugins, name: &str, settings: &Value, recording: &Recording) -> Result<Answers> {
    let mut router = plugins.router(name, settings)?;
    let pictures = [SamplePicture::info(recording.size)];
    let files: Arc<dyn PostPictures> = Arc::new(SamplePicture::new()?);
    let (mut text, mut costs) = (String::new(), Vec::new());
    let mut number = 0;
    for (frame, detections) in recording.frames() {
        for detection in detections {
            number += 1;
            let object = recording.object(number, &frame, detection);
            let url = "http://receiver.example/frame";
            let post = Post { object: &object, url, camera: None, camera_group: Some(1), pictures: &pictures };
            let begun = Instant::now();
            let request = router.encode(&post, Some(Arc::clone(&files)));
            costs.push(begun.elapsed());
            let said = match request {
                Ok(request) => {
                    json!({"method": request.method, "url": request.url, "headers": request.headers, "body": body(request.body)})
                }
                Err(PluginError::Fault { fault: Fault::Reported(reason), .. }) => json!({"refused": reason}),
                Err(error) => return Err(error.into()),
            };
            writeln!(text, "{}", json!({"encode": object.id.to_string(), "request": said}))?;
        }
    }
    for (status, headers) in [(200, None), (400, None), (404, None), (429, Some("7")), (500, None), (503, Some("2"))] {
        let headers: Vec<_> =
            headers.map(|seconds| ("retry-after".to_owned(), seconds.to_owned())).into_iter().collect();
        let begun = Instant::now();
        let outcome = router.judge(status, &headers, b"")?;
        costs.push(begun.elapsed());
        let outcome = match outcome {
            Outcome::Accepted => json!("accepted"),
            Outcome::Retry { after_ms } => json!({"retry_after_ms": after_ms}),
            Outcome::Refused { reason } => json!({"refused": reason}),
        };
        writeln!(text, "{}", json!({"judge": status, "headers": headers, "outcome": outcome}))?;
    }
    Ok(Answers { text, costs, memory_bytes: router.meters().memory_bytes })
}

/// As `router.wit` calls it.
fn picture_name(picture: Picture) -> &'static str {
    match picture {
        Picture::Photo => "photo",
        Picture::Normalized => "normalized",
        Picture::FirstFrame => "first-frame",
        Picture::LastFrame => "last-frame",
    }
}

fn body(body: Body) -> Value {
    let bytes = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_or_else(|e| json!({"bytes": e.into_bytes().len()}), |text| json!({"text": text}))
    };
    let part = |part: Part| {
        let content = match part.content {
            Content::Text(text) => json!({"text": text}),
            Content::Bytes(content) => bytes(content),
            Content::Picture(picture) => json!({"picture": picture_name(picture)}),
        };
        json!({"name": part.name, "filename": part.filename, "content_type": part.content_type, "content": content})
    };
    match body {
        Body::Bytes(content) => bytes(content),
        Body::Multipart(parts) => parts.into_iter().map(part).collect(),
    }
}
