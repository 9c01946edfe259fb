//! Searching for who looks like somebody among 100,000 objects, and what that takes on disk and in memory; held against the same
//! rows in memory.
//!
//! `cargo xtask bench likeness`; `OCELLUS_BENCH_ROWS` sets another size.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark ends where something is wrong, and prints"
)]

use std::{path::Path, sync::Arc, time::Instant};

use ocellus_core::{
    BestShotType, JobId, ObjectId, ObjectRecord, ObjectType, SettingsSchema, ShotSummary, SystemClock, Timestamp, TrackId, VideoRecord,
};
use ocellus_store::{Archive, Embedding, Likeness};

/// In a row of dlib's.
const NUMBERS: usize = 128;
const SOURCE: &str = "bench";

fn main() {
    let rows: usize = std::env::var("OCELLUS_BENCH_ROWS").ok().and_then(|v| v.parse().ok()).unwrap_or(100_000);
    // In memory where that is a folder: waiting for the disk a million times is not what is measured.
    let shared = Path::new("/dev/shm");
    let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let (archive, _) = Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let video = archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id;
    let job = archive.start_job(video, &serde_json::json!({})).unwrap();

    // Ten appearances of each individual, as far from each other as dlib's are.
    let mut random = fastrand::Rng::with_seed(7);
    let mut row = |centre: Option<&Vec<f32>>, spread: f32| -> Vec<f32> {
        (0..NUMBERS).map(|k| centre.map_or(0.0, |c| c[k]) + (random.f32() - 0.5) * spread).collect()
    };
    let centres: Vec<Vec<f32>> = (0..rows.div_ceil(10)).map(|_| row(None, 0.17)).collect();
    let all: Vec<Vec<f32>> = (0..rows).map(|n| row(Some(&centres[n % centres.len()]), 0.05)).collect();
    let queries: Vec<Vec<f32>> = (0..50).map(|n| row(Some(&centres[n * 7919 % centres.len()]), 0.05)).collect();

    let begun = Instant::now();
    let embedding = |(n, row): (usize, &Vec<f32>)| Embedding { object: id(job.id(), n), source: SOURCE.into(), row: row.clone() };
    let embeddings: Vec<_> = all.iter().enumerate().map(embedding).collect();
    embeddings.chunks(100).for_each(|some| job.append_embeddings(some).unwrap());
    println!("keeping {rows} rows{:>41.1} us each", begun.elapsed().as_secs_f64() * 1e6 / rows as f64);
    for n in 0..rows {
        job.append_object(&object(id(job.id(), n)), &[]).unwrap();
    }
    drop((embeddings, job));

    let face = ObjectType::face();
    let (mut times, mut same) = (Vec::new(), 0);
    let before = resident();
    for query in &queries {
        let like = Likeness { object_type: &face, source: SOURCE, row: query, video: None, within: f32::INFINITY, limit: 10 };
        let begun = Instant::now();
        let found = archive.nearest(&like).unwrap();
        times.push(begun.elapsed());
        let mut by_hand: Vec<(f32, usize)> = all.iter().enumerate().map(|(n, row)| (squared(row, query), n)).collect();
        by_hand.select_nth_unstable_by(9, |a, b| a.0.total_cmp(&b.0));
        same += by_hand[..10].iter().filter(|(_, n)| found.iter().any(|(o, _)| o.id.track.0 == *n as u64)).count();
    }
    times.sort();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    println!("searching them, p50 {:>36.1} ms", ms(25));
    println!("searching them, p98 {:>36.1} ms", ms(48));
    println!("recall@10 {:>46.3}", same as f64 / (10 * queries.len()) as f64);
    println!("more memory while searching {:>28.1} MB", resident() - before);
    let files = std::fs::read_dir(dir.path().join("index/rows")).unwrap();
    let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    println!("on disk, beside the log {:>32.1} MB", bytes as f64 / 1e6);
    drop(archive);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let begun = Instant::now();
    Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
    println!("making a lost index anew {:>31.1} s", begun.elapsed().as_secs_f64());
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn id(job: JobId, n: usize) -> ObjectId {
    ObjectId { job, object_type: ObjectType::face(), track: TrackId(n as u64), shot: 0 }
}

fn object(id: ObjectId) -> ObjectRecord {
    let shot = ShotSummary { frame: 1, time: 0.1, timestamp: Timestamp::UNIX_EPOCH, bbox: [0, 0, 9, 9], score: 0.9, quality: 0.5 };
    ObjectRecord {
        id,
        bs_type: BestShotType::Overall,
        end_of_track: true,
        best: shot.clone(),
        first: shot.clone(),
        last: shot,
        detections: 1,
        interpolated: 0,
        history: Vec::new(),
        landmarks: None,
        attributes: Vec::new(),
    }
}

/// Megabytes of the process that are in memory and its own; 0 where that cannot be asked.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kilobytes.unwrap_or_default() / 1e3
}
