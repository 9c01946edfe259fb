//! Benchmark of a frame in plugins (medians, the best of three interleaved rounds): the shipped
//! tracker and three filters on 1, 10 and 100 boxes, as sessions, in the slots of a job (which also
//! keep the call history for a trace), and the same source as native code. Also the pause of a
//! swap, and how closely limits hold.
//!
//! `cargo xtask bench calls`, which builds the native program and names it in
//! `OCELLUS_NATIVE_CHAIN`.

use std::{
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ocellus_bench_report::{Figure, Unit, percentile};
use ocellus_core::{Detection, ObjectType, Rect, Size, TrackId};
use ocellus_runtime::{Candidate, Filter, FilterSlot, FrameInfo, Limits, Plugins, Role, StreamInfo, TrackerSlot};
use serde_json::json;

#[allow(unreachable_pub, reason = "shared with a program of its own")]
mod scene;
use scene::median_us;

const ROUNDS: usize = 3;
const SIZE: Size = Size { width: scene::SIZE.0, height: scene::SIZE.1 };

type Failure = Box<dyn std::error::Error>;

fn boxes(frame: u64, count: usize) -> Vec<Detection> {
    let one = |[left, top, right, bottom]: [f32; 4]| Detection {
        rect: Rect::new(left, top, right, bottom),
        score: 0.9,
        quality: 0.8,
        landmarks: None,
        appearance: vec![],
    };
    scene::boxes(frame, count).map(one).collect()
}

fn frame(index: u64) -> FrameInfo {
    FrameInfo { index, time: scene::time(index), size: SIZE, cut: false }
}

fn candidates(ids: &[Option<TrackId>], detections: &[Detection]) -> Vec<Candidate> {
    ids.iter()
        .zip(detections)
        .filter_map(|(id, detection)| Some(Candidate { track: (*id)?, detection: detection.clone() }))
        .collect()
}

/// Medians of a frame in the tracker and in the three filters, microseconds.
struct Costs {
    tracker: f64,
    filters: f64,
}

impl Costs {
    fn all(&self) -> f64 {
        self.tracker + self.filters
    }

    /// The fastest round.
    fn best(rounds: &[Self]) -> Option<&Self> {
        rounds.iter().min_by(|a, b| a.all().total_cmp(&b.all()))
    }
}

fn measure(
    count: usize,
    mut track: impl FnMut(&FrameInfo, &[Detection]) -> Result<Vec<Option<TrackId>>, Failure>,
    mut filter: impl FnMut(&FrameInfo, &[Candidate]) -> Result<(), Failure>,
) -> Result<Costs, Failure> {
    let (mut tracking, mut filtering) = (Vec::new(), Vec::new());
    for index in 0..scene::FRAMES {
        let (frame, seen) = (frame(index), boxes(index, count));
        let start = Instant::now();
        let ids = track(&frame, &seen)?;
        tracking.push(start.elapsed());
        let candidates = candidates(&ids, &seen);
        let start = Instant::now();
        filter(&frame, &candidates)?;
        filtering.push(start.elapsed());
    }
    Ok(Costs { tracker: median_us(tracking), filters: median_us(filtering) })
}

fn sessions(plugins: &Plugins, stream: &StreamInfo, count: usize) -> Result<Costs, Failure> {
    let mut tracker = plugins.tracker("simple_iou", &json!({}), stream)?;
    let open = |(name, settings): (&str, &str)| Ok(plugins.filter(name, &serde_json::from_str(settings)?, stream)?);
    let mut filters = scene::FILTERS.into_iter().map(open).collect::<Result<Vec<Filter>, Failure>>()?;
    let filter = |frame: &FrameInfo, candidates: &[Candidate]| {
        filters.iter_mut().try_for_each(|f| f.shots(frame, candidates).map(|verdicts| drop(black_box(verdicts))))?;
        Ok(())
    };
    measure(count, |frame, seen| Ok(tracker.update(frame, seen)?.ids), filter)
}

fn slots(plugins: &Plugins, stream: &StreamInfo, count: usize) -> Result<Costs, Failure> {
    let mut tracker: TrackerSlot = plugins.tracker_slot("simple_iou", &json!({}), stream)?;
    let open =
        |(name, settings): (&str, &str)| Ok(plugins.filter_slot(name, &serde_json::from_str(settings)?, stream)?);
    let mut filters = scene::FILTERS.into_iter().map(open).collect::<Result<Vec<FilterSlot>, Failure>>()?;
    let filter = |frame: &FrameInfo, candidates: &[Candidate]| {
        for filter in &mut filters {
            filter.begin_frame(frame, None);
            black_box(filter.shots(frame, candidates.to_vec())?);
        }
        Ok(())
    };
    measure(count, |frame, seen| Ok(tracker.update(frame, seen)?.ids), filter)
}

/// Costs by number of boxes; empty without the native program.
fn native() -> Result<Vec<Costs>, Failure> {
    let Some(program) = std::env::var_os("OCELLUS_NATIVE_CHAIN") else { return Ok(Vec::new()) };
    let output = String::from_utf8(Command::new(program).output()?.stdout)?;
    let line = |line: &str| {
        let mut medians = line.split(' ').skip(1).map(str::parse);
        let mut median = || medians.next().ok_or("a median is missing")?.map_err(Failure::from);
        Ok(Costs { tracker: median()?, filters: median()? })
    };
    output.lines().map(line).collect()
}

fn main() -> Result<(), Failure> {
    let folder = std::env::var("OCELLUS_PLUGINS")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets/plugins").into());
    let start = Instant::now();
    let plugins = Plugins::open(Path::new(&folder), Limits::default())?;
    let loading = start.elapsed().as_secs_f64() * 1e3 / plugins.list().len() as f64;
    Figure::new("plugins: load and compile one", loading, Unit::Milliseconds).report();

    let stream = StreamInfo { object_type: ObjectType::face(), size: SIZE, frame_rate: Some(25.0) };
    let start = Instant::now();
    drop(plugins.tracker("simple_iou", &json!({}), &stream)?);
    Figure::new("plugins: open a session", start.elapsed().as_secs_f64() * 1e6, Unit::Microseconds).report();

    let [mut in_sessions, mut in_slots, mut natively] =
        [const { Vec::new() }; 3].map(|_: Vec<Costs>| scene::COUNTS.map(|_| Vec::new()));
    for _ in 0..ROUNDS {
        for (rounds, costs) in natively.iter_mut().zip(native()?) {
            rounds.push(costs);
        }
        for (count, (in_sessions, in_slots)) in scene::COUNTS.into_iter().zip(in_sessions.iter_mut().zip(&mut in_slots))
        {
            in_sessions.push(sessions(&plugins, &stream, count)?);
            in_slots.push(slots(&plugins, &stream, count)?);
        }
    }
    let plural = |count: usize| if count == 1 { "box" } else { "boxes" };
    for (count, ((in_sessions, in_slots), natively)) in
        scene::COUNTS.into_iter().zip(in_sessions.iter().zip(&in_slots).zip(&natively))
    {
        let native = Costs::best(natively);
        for (what, rounds) in [("sessions", in_sessions), ("in a job", in_slots)] {
            let costs = Costs::best(rounds).ok_or("no rounds")?;
            let name = |part: &str| format!("plugin chain, {count} {}: {what}{part}", plural(count));
            let report = |part: &str, plugin: f64, native: Option<f64>| {
                let figure = Figure::new(name(part), plugin, Unit::Microseconds);
                match native {
                    Some(native) => figure.beside("native", native).report(),
                    None => figure.report(),
                }
            };
            report("", costs.all(), native.map(Costs::all));
            report(", tracker", costs.tracker, native.map(|n| n.tracker));
            report(", 3 filters", costs.filters, native.map(|n| n.filters));
        }
    }
    swaps(Path::new(&folder), &stream)?;
    stops(&Path::new(&folder).join("../guests"), &stream)
}

/// Measures the overrun of the deadline in an endless call, and the memory of a plugin that
/// allocates without end.
fn stops(guests: &Path, stream: &StreamInfo) -> Result<(), Failure> {
    let limits = Limits { deadline: Duration::from_millis(100), ..Limits::default() };
    let (deadline, memory) = (limits.deadline, limits.memory_bytes);
    let plugins = Plugins::open(guests, limits)?;
    let mut late = Vec::new();
    for index in 0..20 {
        let mut spinner = plugins.tracker("hostile_tracker", &json!({"misdeed": "spin"}), stream)?;
        let start = Instant::now();
        if spinner.update(&frame(index), &[]).is_ok() {
            return Err("a spinner came back".into());
        }
        late.push(start.elapsed().saturating_sub(deadline).as_secs_f64() * 1e3);
    }
    for (what, share) in [("median", 0.5), ("latest of 20", 1.0)] {
        let name = format!("plugins: a spinner ends after its deadline, {what}");
        Figure::new(name, percentile(&late, share), Unit::Milliseconds).report();
    }
    let mut hoarder = plugins.tracker("hostile_tracker", &json!({"misdeed": "allocate"}), stream)?;
    let ended = hoarder.update(&frame(0), &[]);
    ended.err().ok_or("a hoarder had enough")?;
    let megabytes = |bytes: f64| bytes / f64::from(1 << 20);
    let had =
        Figure::new("plugins: memory of a hoarder", megabytes(hoarder.meters().memory_bytes as f64), Unit::Megabytes);
    had.beside("its limit", megabytes(memory as f64)).report();
    Ok(())
}

/// Time of a frame with a hot swap, with ten boxes. The components differ in a custom section.
fn swaps(shipped: &Path, stream: &StreamInfo) -> Result<(), Failure> {
    let count: u64 = std::env::var("OCELLUS_SWAPS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let folder = std::env::temp_dir().join(format!("ocellus-swaps-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let bytes = std::fs::read(shipped.join("simple-iou.wasm"))?;
    std::fs::write(folder.join("simple-iou.wasm"), &bytes)?;
    let plugins = Plugins::open(&folder, Limits::default())?;
    let mut slot = plugins.tracker_slot("simple_iou", &json!({}), stream)?;
    let (mut pauses, mut frame_costs, mut index) = (Vec::new(), Vec::new(), 0);
    let mut expected = None;
    for swap in 1..=count {
        let mut build = bytes.clone();
        build.extend([0, 9, 8]);
        build.extend(format!("{swap:08}").bytes());
        plugins.install("simple_iou", Role::Active, &build)?;
        let mut done = 0;
        while done < swap {
            let (frame, boxes) = (frame(index), boxes(0, 10));
            let start = Instant::now();
            let update = slot.update(&frame, &boxes)?;
            let took = start.elapsed();
            done = slot.report().swaps;
            if done == swap {
                pauses.push(took)
            } else {
                frame_costs.push(took)
            }
            if expected.get_or_insert_with(|| update.ids.clone()) != &update.ids {
                return Err("ids do not go on".into());
            }
            index += 1;
        }
    }
    std::fs::remove_dir_all(&folder)?;
    let us = |times: &[Duration]| times.iter().map(|t| t.as_secs_f64() * 1e6).collect::<Vec<_>>();
    let (pauses, frame) = (us(&pauses), percentile(&us(&frame_costs), 0.5));
    for (what, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        let name = format!("plugins: a frame with a swap, {what} of {count}");
        Figure::new(name, percentile(&pauses, share), Unit::Microseconds).beside("a frame otherwise", frame).report();
    }
    Ok(())
}
