//! What a frame costs in plugins (medians): the shipped tracker and filters on 1, 10 and 100 boxes.
//!
//! `cargo bench -p ocellus-runtime`, after `cargo xtask build`.

use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use ocellus_core::{Detection, ObjectType, Rect, Size};
use ocellus_runtime::{Candidate, Filter, FrameInfo, Limits, Plugins, Role, StreamInfo};
use serde_json::json;

const FRAMES: u64 = 5_000;
const SIZE: Size = Size { width: 1920, height: 1080 };

fn boxes(frame: u64, count: usize) -> Vec<Detection> {
    let at = |i: usize| {
        let (left, top) = ((i % 16) as f32 * 110.0 + (frame % 40) as f32, (i / 16) as f32 * 110.0);
        Detection { rect: Rect::new(left, top, left + 80.0, top + 90.0), score: 0.9, quality: 0.8, landmarks: None, appearance: vec![] }
    };
    (0..count).map(at).collect()
}

#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder =
        std::env::var("OCELLUS_PLUGINS").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/assets/plugins").into());
    let start = Instant::now();
    let plugins = Plugins::open(Path::new(&folder), Limits::default())?;
    println!("load and compile {} plugins: {:.0} ms", plugins.list().len(), start.elapsed().as_secs_f64() * 1e3);

    let stream = StreamInfo { object_type: ObjectType::face(), size: SIZE, frame_rate: Some(25.0) };
    let start = Instant::now();
    drop(plugins.tracker("simple_iou", &json!({}), &stream)?);
    println!("open a session: {:.0} us", start.elapsed().as_secs_f64() * 1e6);

    println!("{:>6} {:>14} {:>16} {:>16}", "boxes", "tracker us", "3 filters us", "together us");
    for count in [1, 10, 100] {
        let mut tracker = plugins.tracker("simple_iou", &json!({}), &stream)?;
        let mut filters: Vec<Filter> =
            [("quality", json!({"min": 0.42})), ("size", json!({"min": 60})), ("roi", json!({"roi": "1900x1000+0+0"}))]
                .into_iter()
                .map(|(name, settings)| plugins.filter(name, &settings, &stream))
                .collect::<Result<_, _>>()?;
        let frames: Vec<_> = (0..FRAMES).map(|i| boxes(i, count)).collect();
        let (mut tracking, mut filtering) = (Vec::new(), Vec::new());
        for (index, detections) in (0u64..).zip(&frames) {
            let frame = FrameInfo { index, time: index as f64 / 25.0, size: SIZE, cut: false };
            let start = Instant::now();
            let update = tracker.update(&frame, detections)?;
            tracking.push(start.elapsed());

            let start = Instant::now();
            let candidates: Vec<_> = update
                .ids
                .iter()
                .zip(detections)
                .filter_map(|(id, detection)| Some(Candidate { track: (*id)?, detection: detection.clone() }))
                .collect();
            for filter in &mut filters {
                black_box(filter.shots(&frame, &candidates)?);
            }
            filtering.push(start.elapsed());
        }
        let (tracking, filtering) = (median_us(tracking), median_us(filtering));
        println!("{count:>6} {tracking:>14.2} {filtering:>16.2} {:>16.2}", tracking + filtering);
    }
    swaps(Path::new(&folder), &stream)
}

/// What a frame costs in which a newer component takes over, ten boxes in view. The components differ in a custom section.
#[expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
fn swaps(shipped: &Path, stream: &StreamInfo) -> Result<(), Box<dyn std::error::Error>> {
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
            let frame = FrameInfo { index, time: index as f64 / 25.0, size: SIZE, cut: false };
            let boxes = boxes(0, 10);
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

/// The median, since the machine does other things meanwhile.
fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(0.0, |t| t.as_secs_f64() * 1e6)
}
