//! Benchmark of an archive of 100,000 videos: start-up with and without its index, pages of lists,
//! filters and counts, and creation; compared with sled alone (the index's database), and with
//! reading or writing the files alone.
//!
//! `cargo xtask bench lists`; `OCELLUS_BENCH_VIDEOS` sets another size.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed assumption ends the benchmark")]

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use ocellus_bench_report::{Figure, Unit, percentile};
use ocellus_core::{SettingsSchema, SystemClock, Timestamp, VideoId, VideoRecord};
use ocellus_store::{Archive, Cursor, ListQuery, Order, OrderKey, VideoFilter};

const PAGES: usize = 200;
const LIMIT: usize = 50;
const CREATIONS: u64 = 200;
/// How often the slow operations are measured; the median is reported.
const ROUNDS: usize = 3;

fn main() {
    let videos: u64 = std::env::var("OCELLUS_BENCH_VIDEOS").ok().and_then(|v| v.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let record = |id: VideoId| {
        let created = Timestamp::from_second(1_700_000_000 + id.0 as i64 * 60).unwrap();
        VideoRecord::new(id, 1, Some(format!("camera {} of {id}", id.0 % 97)), settings.clone(), created)
    };
    // Written without fsync, whose cost is measured below.
    for id in (1..=videos).map(VideoId) {
        let file = file_of(dir.path(), id);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, serde_json::to_vec_pretty(&record(id)).unwrap()).unwrap();
    }
    let name = |what: &str| format!("{videos} videos: {what}");

    let open = || Archive::open(dir.path(), Arc::new(SystemClock)).unwrap().0;
    let (rebuild, archive) = seconds(open);
    drop(archive);
    let (mut starts, mut sled_opens, mut scans) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        starts.push(seconds(open).0);
        let (open_seconds, db) =
            seconds(|| sled::Config::new().path(dir.path().join("index")).cache_capacity(64 << 20).open().unwrap());
        sled_opens.push(open_seconds);
        let summaries = db.open_tree("videos").unwrap();
        let (scan, read) =
            seconds(|| summaries.iter().map(|item| item.unwrap().1.len()).filter(|bytes| *bytes > 0).count());
        assert_eq!(read as u64, videos, "the index has all videos");
        scans.push(scan * 1e3);
    }
    let start = percentile(&starts, 0.5);
    Figure::new(name("start-up"), start, Unit::Seconds).beside("sled alone", percentile(&sled_opens, 0.5)).report();
    Figure::new(name("start-up, index lost"), rebuild, Unit::Seconds).beside("index there", start).report();

    let archive = open();
    let by_name = VideoFilter { name_contains: Some("CAMERA 13 ".into()), ..VideoFilter::default() };
    for (what, key, filter) in [
        ("page of 50 by id", OrderKey::Id, VideoFilter::default()),
        ("page of 50 by creation", OrderKey::CreatedDate, VideoFilter::default()),
        ("page of 50 by name", OrderKey::Name, VideoFilter::default()),
        ("filter by name, page of 50 (1 in 97)", OrderKey::Id, by_name.clone()),
    ] {
        let (mut archive_ms, mut files_ms) = (Vec::new(), Vec::new());
        let mut cursor: Option<Cursor> = None;
        for _ in 0..PAGES {
            let query = ListQuery {
                filter: filter.clone(),
                order: Order { key, descending: true },
                limit: LIMIT,
                cursor: cursor.take(),
            };
            let (took, page) = seconds(|| archive.list(&query).unwrap());
            archive_ms.push(took * 1e3);
            let ids: Vec<VideoId> = page.items.iter().map(|video| video.id).collect();
            files_ms.push(seconds(|| ids.iter().for_each(|id| drop(read(dir.path(), *id)))).0 * 1e3);
            cursor = page.next;
        }
        for (percent, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            let figure =
                Figure::new(name(&format!("{what}, {percent}")), percentile(&archive_ms, quantile), Unit::Milliseconds);
            figure.beside("their files alone", percentile(&files_ms, quantile)).report();
        }
    }
    let (count_seconds, count) = seconds(|| archive.count(&VideoFilter::default()).unwrap());
    assert_eq!(count, videos, "all videos are counted");
    Figure::new(name("count"), count_seconds * 1e3, Unit::Milliseconds).report();
    let counting = (0..ROUNDS).map(|_| seconds(|| archive.count(&by_name).unwrap())).collect::<Vec<_>>();
    assert!(
        counting.iter().all(|(_, count)| *count == (1..=videos).filter(|id| id % 97 == 13).count() as u64),
        "the videos of that name are counted"
    );
    let counting = percentile(&counting.iter().map(|(took, _)| took * 1e3).collect::<Vec<_>>(), 0.5);
    Figure::new(name("count by name"), counting, Unit::Milliseconds)
        .beside("a walk of sled alone", percentile(&scans, 0.5))
        .report();

    let (mut archive_ms, mut files_ms) = (Vec::new(), Vec::new());
    for n in 0..CREATIONS {
        archive_ms.push(seconds(|| archive.create(|id, _| record(id)).unwrap()).0 * 1e3);
        let bytes = serde_json::to_vec_pretty(&record(VideoId(videos + n))).unwrap();
        files_ms.push(seconds(|| replace(&dir.path().join("alone"), &bytes)).0 * 1e3);
    }
    for (percent, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let figure =
            Figure::new(name(&format!("create, {percent}")), percentile(&archive_ms, quantile), Unit::Milliseconds);
        figure.beside("a file written, renamed and synced", percentile(&files_ms, quantile)).report();
    }
}

/// Runs `work`, and returns the seconds that it took and its result.
fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let done = work();
    (begun.elapsed().as_secs_f64(), done)
}

fn file_of(data: &Path, id: VideoId) -> PathBuf {
    data.join(format!("archive/{:03}/{id}/video.json", id.0 / 1000))
}

fn read(data: &Path, id: VideoId) -> VideoRecord {
    serde_json::from_slice(&fs::read(file_of(data, id)).unwrap()).unwrap()
}

/// Replaces a file durably.
fn replace(path: &Path, bytes: &[u8]) {
    let part = path.with_extension("part");
    let mut file = File::create(&part).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_all().unwrap();
    fs::rename(&part, path).unwrap();
    File::open(path.parent().unwrap()).unwrap().sync_all().unwrap();
}
