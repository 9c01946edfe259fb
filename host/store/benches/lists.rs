//! An archive of 100,000 videos: building its index, opening it, and pages of lists at their 50th and 99th percentile.
//!
//! `cargo xtask bench lists`; `OCELLUS_BENCH_VIDEOS` sets another size.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is wrong, and prints"
)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ocellus_core::{SettingsSchema, SystemClock, Timestamp, VideoId, VideoRecord};
use ocellus_store::{Archive, Cursor, ListQuery, Order, OrderKey, VideoFilter};

fn main() {
    let videos: u64 = std::env::var("OCELLUS_BENCH_VIDEOS").ok().and_then(|v| v.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    // Written without waiting for the disk: only reading is measured here.
    for id in 1..=videos {
        let folder = dir.path().join(format!("archive/{:03}/{id}", id / 1000));
        std::fs::create_dir_all(&folder).unwrap();
        let created = Timestamp::from_second(1_700_000_000 + id as i64 * 60).unwrap();
        let record = VideoRecord::new(VideoId(id), 1, Some(format!("camera {} of {}", id % 97, id)), settings.clone(), created);
        std::fs::write(folder.join("video.json"), serde_json::to_vec_pretty(&record).unwrap()).unwrap();
    }

    let timed = |what: &str| {
        let begun = Instant::now();
        let (archive, _) = Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
        println!("{what:<44} {:>9.1} ms", begun.elapsed().as_secs_f64() * 1e3);
        archive
    };
    drop(timed(&format!("building the index of {videos} videos")));
    let archive = timed("opening it again");

    for (name, key, filter) in [
        ("by id", OrderKey::Id, VideoFilter::default()),
        ("by creation date", OrderKey::CreatedDate, VideoFilter::default()),
        ("by name", OrderKey::Name, VideoFilter::default()),
        (
            "by id, name_contains (1 in 97)",
            OrderKey::Id,
            VideoFilter { name_contains: Some("CAMERA 13 ".into()), ..VideoFilter::default() },
        ),
    ] {
        let mut cursor: Option<Cursor> = None;
        let mut times: Vec<Duration> = (0..200)
            .map(|_| {
                let query = ListQuery { filter: filter.clone(), order: Order { key, descending: true }, limit: 20, cursor: cursor.take() };
                let begun = Instant::now();
                let page = archive.list(&query).unwrap();
                let took = begun.elapsed();
                cursor = page.next;
                took
            })
            .collect();
        times.sort();
        let ms = |t: Duration| t.as_secs_f64() * 1e3;
        println!("page of 20 {name:<33} {:>9.2} ms (p50) {:>9.2} ms (p99)", ms(times[100]), ms(times[197]));
    }
    let begun = Instant::now();
    let count = archive.count(&VideoFilter { name_contains: Some("CAMERA 13 ".into()), ..VideoFilter::default() }).unwrap();
    println!("{:<44} {:>9.1} ms", format!("counting {count} by name_contains"), begun.elapsed().as_secs_f64() * 1e3);
}
