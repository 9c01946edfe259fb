//! The chain of `benches/calls.rs` as native code: for each number of boxes a line with the medians
//! of tracker and filters in microseconds.

use std::{hint::black_box, time::Instant};

use ocellus_plugin::{Candidate, Detection, Filter, FrameInfo, Rect, Size, StreamInfo, Tracker};

#[path = "../../scene.rs"]
mod scene;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = Size { width: scene::SIZE.0, height: scene::SIZE.1 };
    let stream = || StreamInfo { object_type: "face".into(), size, frame_rate: Some(25.0) };
    for count in scene::COUNTS {
        let mut tracker = simple_iou::SimpleIou::open(serde_json::from_str("{}")?, stream())?;
        let [quality, of_size, roi] = scene::FILTERS.map(|(_, settings)| settings);
        let mut quality = quality::Quality::open(serde_json::from_str(quality)?, stream())?;
        let mut of_size = size::Size::open(serde_json::from_str(of_size)?, stream())?;
        let mut roi = roi::Roi::open(serde_json::from_str(roi)?, stream())?;
        let (mut tracking, mut filtering) = (Vec::new(), Vec::new());
        for index in 0..scene::FRAMES {
            let seen: Vec<Detection> = scene::boxes(index, count)
                .map(|[left, top, right, bottom]| Detection {
                    rect: Rect { left, top, right, bottom },
                    score: 0.9,
                    quality: 0.8,
                    landmarks: None,
                    appearance: None,
                })
                .collect();
            let frame = FrameInfo { index, time: scene::time(index), size, cut: false };
            // Lists are passed by value, as a component gets copies.
            let start = Instant::now();
            let update = tracker.update(frame, seen.clone())?;
            tracking.push(start.elapsed());

            let candidate = |(id, detection): (&Option<u64>, Detection)| Some(Candidate { track: (*id)?, detection });
            let candidates: Vec<Candidate> = update.ids.iter().zip(seen).filter_map(candidate).collect();
            let start = Instant::now();
            black_box(quality.shots(frame, candidates.clone()));
            black_box(of_size.shots(frame, candidates.clone()));
            black_box(roi.shots(frame, candidates.clone()));
            filtering.push(start.elapsed());
        }
        println!("{count} {} {}", scene::median_us(tracking), scene::median_us(filtering));
    }
    Ok(())
}
