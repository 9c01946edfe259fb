//! Benchmark of similarity search among 100,000 objects, with its use of disk and memory; compared
//! with reading the same vectors from memory.
//!
//! `cargo xtask bench similarity`; `OCELLUS_BENCH_ROWS` sets another size.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed assumption ends the benchmark")]

#[path = "../tests/common/object.rs"]
mod object;

use std::{hint::black_box, path::Path, sync::Arc, thread, time::Instant};

use ocellus_bench_report::{
    Figure, Unit, percentile,
    process::{SELF, own_memory},
};
use ocellus_core::{JobId, ObjectId, ObjectType, SettingsSchema, SystemClock, TrackId, VideoRecord};
use ocellus_store::{Archive, Embedding, SimilarityQuery};

use object::new_object;

/// Length of a vector of dlib's face embedder.
const DIMENSIONS: usize = 128;
const EMBEDDER: &str = "bench";

fn main() {
    let rows: usize = std::env::var("OCELLUS_BENCH_ROWS").ok().and_then(|v| v.parse().ok()).unwrap_or(100_000);
    // In tmpfs where there is one, so that fsyncs are not part of the measurement.
    let shared = Path::new("/dev/shm");
    let dir = if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
    let (archive, _) = Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let video = archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id;
    let job = archive.start_job(video, &serde_json::json!({})).unwrap();

    // Ten embeddings of each identity, at distances like those of dlib's embeddings.
    let mut random = fastrand::Rng::with_seed(7);
    let mut vector = |centre: Option<&Vec<f32>>, spread: f32| -> Vec<f32> {
        (0..DIMENSIONS).map(|k| centre.map_or(0.0, |c| c[k]) + (random.f32() - 0.5) * spread).collect()
    };
    let centres: Vec<Vec<f32>> = (0..rows.div_ceil(10)).map(|_| vector(None, 0.17)).collect();
    let all: Vec<Vec<f32>> = (0..rows).map(|n| vector(Some(&centres[n % centres.len()]), 0.05)).collect();
    let queries: Vec<Vec<f32>> = (0..50).map(|n| vector(Some(&centres[n * 7919 % centres.len()]), 0.05)).collect();

    let begun = Instant::now();
    let embedding = |(n, vector): (usize, &Vec<f32>)| Embedding {
        object: id(job.id(), n),
        embedder: EMBEDDER.into(),
        vector: vector.clone(),
        spread: 0.0,
    };
    let embeddings: Vec<_> = all.iter().enumerate().map(embedding).collect();
    embeddings.chunks(100).for_each(|some| job.append_embeddings(some).unwrap());
    let name = |what: &str| format!("{rows} rows: {what}");
    Figure::new(name("keep one"), begun.elapsed().as_secs_f64() * 1e6 / rows as f64, Unit::Microseconds).report();
    let objects: Vec<_> = (0..rows).map(|n| new_object(id(job.id(), n), &[])).collect();
    job.append_objects(&objects).unwrap();
    drop((embeddings, job));

    let face = ObjectType::face();
    let flat: Vec<f32> = all.concat();
    let (mut ours, mut theirs, mut same) = (Vec::new(), Vec::new(), 0);
    let before = own_memory(SELF);
    for query in &queries {
        let nearest = SimilarityQuery {
            object_type: &face,
            embedder: EMBEDDER,
            vector: query,
            video: None,
            max_distance: f32::INFINITY,
            limit: 10,
        };
        let begun = Instant::now();
        let found = archive.nearest(&nearest).unwrap();
        ours.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        black_box(sum(&flat));
        theirs.push(begun.elapsed().as_secs_f64() * 1e3);
        let mut by_hand: Vec<(f32, usize)> =
            all.iter().enumerate().map(|(n, vector)| (squared(vector, query), n)).collect();
        by_hand.select_nth_unstable_by(9, |a, b| a.0.total_cmp(&b.0));
        same += by_hand[..10].iter().filter(|(_, n)| found.iter().any(|(o, _)| o.id.track.0 == *n as u64)).count();
    }
    let more = own_memory(SELF) - before;
    for (percent, share) in [("p50", 0.5), ("p98", 0.98)] {
        let figure = Figure::new(name(&format!("search, {percent}")), percentile(&ours, share), Unit::Milliseconds);
        figure.beside("reading them from memory", percentile(&theirs, share)).report();
    }
    let found = same as f64 / (10 * queries.len()) as f64 * 100.0;
    Figure::new(name("of the ten nearest found"), found, Unit::Percent).report();
    Figure::new(name("memory of searches"), more, Unit::Megabytes).report();
    let files = std::fs::read_dir(dir.path().join("index/vectors")).unwrap();
    let bytes: u64 = files.map(|f| f.unwrap().metadata().unwrap().len()).sum();
    let numbers = size_of_val(flat.as_slice()) as f64 / 1e6;
    Figure::new(name("on disk, beside the log"), bytes as f64 / 1e6, Unit::Megabytes)
        .beside("their numbers", numbers)
        .report();
    drop(archive);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let begun = Instant::now();
    Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
    Figure::new(name("start-up, index lost"), begun.elapsed().as_secs_f64(), Unit::Seconds).report();
}

/// Reads all numbers once, in all threads: a lower bound for the time of an exact search.
fn sum(numbers: &[f32]) -> u32 {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let parts = numbers.chunks(numbers.len().div_ceil(threads));
        let sums: Vec<_> =
            parts.map(|part| scope.spawn(|| part.iter().fold(0_u32, |sum, v| sum.wrapping_add(v.to_bits())))).collect();
        sums.into_iter().fold(0_u32, |sum, part| sum.wrapping_add(part.join().unwrap()))
    })
}

fn squared(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn id(job: JobId, n: usize) -> ObjectId {
    ObjectId { job, object_type: ObjectType::face(), track: TrackId(n as u64), shot: 0 }
}
