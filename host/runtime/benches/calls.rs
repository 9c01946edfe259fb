//! What a frame costs in plugins (medians): the shipped tracker and three filters on 1, 10 and 100 boxes, as sessions, in the
//! seats of a job (which also keep what a trace of a fault needs), and beside them the same source as native code. And what
//! a swap takes, and how well limits hold.
//!
//! `cargo xtask bench calls`, which builds the native program and names it in `OCELLUS_NATIVE_CHAIN`.

use std::{
    hint::black_box,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use ocellus_core::{Detection, ObjectType, Rect, Size, TrackId};
use ocellus_runtime::{Candidate, Filter, FilterSeat, FrameInfo, Limits, Plugins, Role, StreamInfo, TrackerSeat};
use serde_json::json;

#[allow(unreachable_pub, reason = "shared with a program of its own")]
mod scene;
use scene::median_us;

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
    ids.iter().zip(detections).filter_map(|(id, detection)| Some(Candidate { track: (*id)?, detection: detection.clone() })).collect()
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

fn seats(plugins: &Plugins, stream: &StreamInfo, count: usize) -> Result<Costs, Failure> {
    let mut tracker: TrackerSeat = plugins.tracker_seat("simple_iou", &json!({}), stream)?;
    let open = |(name, settings): (&str, &str)| Ok(plugins.filter_seat(name, &serde_json::from_str(settings)?, stream)?);
    let mut filters = scene::FILTERS.into_iter().map(open).collect::<Result<Vec<FilterSeat>, Failure>>()?;
    let filter = |frame: &FrameInfo, candidates: &[Candidate]| {
        for filter in &mut filters {
            filter.begin_frame(frame, None);
            black_box(filter.shots(frame, candidates.to_vec())?);
        }
        Ok(())
    };
    measure(count, |frame, seen| Ok(tracker.update(frame, seen)?.ids), filter)
}

/// By number of boxes; empty where the native program is not named.
fn native() -> Result<Vec<Costs>, Failure> {
    let Some(program) = std::env::var_os("OCELLUS_NATIVE_CHAIN") else { return Ok(Vec::new()) };
    let said = String::from_utf8(Command::new(program).output()?.stdout)?;
    let line = |line: &str| {
        let mut figures = line.split(' ').skip(1).map(str::parse);
        let mut figure = || figures.next().ok_or("a figure is missing")?.map_err(Failure::from);
        Ok(Costs { tracker: figure()?, filters: figure()? })
    };
    said.lines().map(line).collect()
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn main() -> Result<(), Failure> {
    let folder =
        std::env::var("OCELLUS_PLUGINS").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets/plugins").into());
    let start = Instant::now();
    let plugins = Plugins::open(Path::new(&folder), Limits::default())?;
    println!("load and compile {} plugins: {:.0} ms", plugins.list().len(), start.elapsed().as_secs_f64() * 1e3);

    let stream = StreamInfo { object_type: ObjectType::face(), size: SIZE, frame_rate: Some(25.0) };
    let start = Instant::now();
    drop(plugins.tracker("simple_iou", &json!({}), &stream)?);
    println!("open a session: {:.0} us", start.elapsed().as_secs_f64() * 1e6);

    let native = native()?;
    println!("us a frame   tracker   3 filters   together   by native code");
    for (count, native) in scene::COUNTS.into_iter().zip(native.into_iter().map(Some).chain(std::iter::repeat_with(|| None))) {
        println!("{count} boxes");
        let base = native.as_ref().map(Costs::all);
        let rows = [
            ("sessions", Some(sessions(&plugins, &stream, count)?)),
            ("in a job", Some(seats(&plugins, &stream, count)?)),
            ("native", native),
        ];
        for (name, costs) in rows {
            let Some(costs) = costs else { continue };
            let ratio = base.map_or(String::new(), |base| format!("{:.2}", costs.all() / base));
            println!("  {name:>8}  {:>8.2}    {:>8.2}   {:>8.2}   {ratio:>14}", costs.tracker, costs.filters, costs.all());
        }
    }
    swaps(Path::new(&folder), &stream)?;
    stops(&Path::new(&folder).join("../guests"), &stream)
}

/// How long after its deadline a call ends that never would, and how much memory one gets that wants all of it.
#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
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
        late.push(start.elapsed().saturating_sub(deadline));
    }
    let latest = late.iter().max().map_or(0.0, |d| d.as_secs_f64() * 1e3);
    println!(
        "a spinner is stopped {:.1} ms after its deadline (median), {latest:.1} ms at the latest of {}",
        median_us(late.clone()) / 1e3,
        late.len()
    );
    let mut hoarder = plugins.tracker("hostile_tracker", &json!({"misdeed": "allocate"}), stream)?;
    let ended = hoarder.update(&frame(0), &[]);
    println!("a hoarder had {} of {memory} bytes: {}", hoarder.meters().memory_bytes, ended.err().ok_or("it had enough")?);
    Ok(())
}

/// What a frame costs in which a newer component takes over, ten boxes in view. The components differ in a custom section.
#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn swaps(shipped: &Path, stream: &StreamInfo) -> Result<(), Failure> {
    let count: u64 = std::env::var("OCELLUS_SWAPS").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let folder = std::env::temp_dir().join(format!("ocellus-swaps-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let bytes = std::fs::read(shipped.join("simple-iou.wasm"))?;
    std::fs::write(folder.join("simple-iou.wasm"), &bytes)?;
    let plugins = Plugins::open(&folder, Limits::default())?;
    let mut seat = plugins.tracker_seat("simple_iou", &json!({}), stream)?;
    let (mut pauses, mut frame_costs, mut index) = (Vec::new(), Vec::new(), 0);
    let mut expected = None;
    for swap in 1..=count {
        let mut build = bytes.clone();
        build.extend([0, 9, 8]);
        build.extend(format!("{swap:08}").bytes());
        plugins.install("simple_iou", Role::Serves, &build)?;
        let mut done = 0;
        while done < swap {
            let (frame, boxes) = (frame(index), boxes(0, 10));
            let start = Instant::now();
            let update = seat.update(&frame, &boxes)?;
            let took = start.elapsed();
            done = seat.report().swaps;
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
    pauses.sort();
    let at = |share: f64| pauses.get((pauses.len() as f64 * share) as usize).or(pauses.last()).map_or(0.0, |d| d.as_secs_f64() * 1e6);
    println!(
        "{count} swaps in {index} frames, ids go on: median {:.0} us, p99 {:.0} us, longest {:.0} us; a frame otherwise {:.1} us",
        at(0.5),
        at(0.99),
        at(1.0),
        median_us(frame_costs)
    );
    Ok(())
}
