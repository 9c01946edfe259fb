//! MOT Challenge runner: runs a tracker over detections in MOT Challenge format and prints its
//! tracks in the same format, for scoring.
//!
//! `cargo run --release --example mot -- det.txt simple_iou|deep_sort [least score] [least score of
//! detections that are not weak] [frames a second] > tracks.txt`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a tool for a developer"
)]

use std::{collections::BTreeMap, time::Instant};

use deep_sort::DeepSort;
use ocellus_plugin::{Detection, FrameInfo, Rect, Size, StreamInfo, Tracker};
use simple_iou::SimpleIou;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, or: f64| arguments.get(n).map_or(or, |text| text.parse().expect("a number"));
    let (least, strong, rate) = (number(2, 0.0), number(3, 0.0), number(4, 25.0));
    let text = std::fs::read_to_string(&arguments[0]).expect("detections");
    let mut frames = BTreeMap::<u64, Vec<Detection>>::new();
    for line in text.lines() {
        let fields: Vec<f32> = line.split(',').map(|f| f.trim().parse().unwrap()).collect();
        let [frame, _, left, top, width, height, score, ..] = fields[..] else { panic!("{line}") };
        if f64::from(score) >= least {
            let rect = Rect { left, top, right: left + width, bottom: top + height };
            let detection = Detection { rect, score, quality: 1.0, landmarks: None, appearance: None };
            frames.entry(frame as u64).or_default().push(detection);
        }
    }
    match arguments.get(1).map(String::as_str) {
        Some("simple_iou") => run::<SimpleIou>(&frames, strong, rate),
        Some("deep_sort") => run::<DeepSort>(&frames, strong, rate),
        other => panic!("{other:?} is neither simple_iou nor deep_sort"),
    }
}

fn run<T: Tracker>(frames: &BTreeMap<u64, Vec<Detection>>, strong: f64, rate: f64) {
    let size = Size { width: 640, height: 480 };
    let source = StreamInfo { object_type: "body".into(), size, frame_rate: Some(rate) };
    let mut tracker =
        T::open(serde_json::from_value(serde_json::json!({"min_score": strong})).unwrap(), source).unwrap();
    let begun = Instant::now();
    let last = *frames.keys().last().unwrap();
    for index in 1..=last {
        let detections = frames.get(&index).cloned().unwrap_or_default();
        let boxes: Vec<Rect> = detections.iter().map(|d| d.rect).collect();
        let update =
            tracker.update(FrameInfo { index, time: index as f64 / rate, size, cut: false }, detections).unwrap();
        for (id, r) in update.ids.iter().zip(boxes) {
            if let Some(id) = id {
                println!("{index},{id},{},{},{},{},1,-1,-1,-1", r.left, r.top, r.right - r.left, r.bottom - r.top);
            }
        }
    }
    eprintln!("{} frames, {:.1} us each", last, begun.elapsed().as_micros() as f64 / last as f64);
}
