//! Benchmark of clustering: 1,000, 10,000 and 50,000 objects of identities with ten objects each,
//! with a hundred each, and all of one identity; compared with kodama, where all distances fit into
//! memory.
//!
//! `cargo xtask bench identities`

#![allow(clippy::indexing_slicing, reason = "a failed assumption ends the benchmark")]

use std::time::Instant;

use ocellus_bench_report::{Figure, Unit};
use ocellus_pipeline::{Point, agglomerate};

/// Length of dlib's embeddings.
const NUMBERS: usize = 128;
/// Distance below which two of dlib's embeddings are of one identity.
const SAME: f32 = 0.45;
/// Greatest number of objects for kodama: their pairwise distances take 200 MB.
const MOST_BY_DISTANCES: usize = 10_000;

fn main() {
    let mut random = fastrand::Rng::with_seed(7);
    for (objects, people) in [(1_000, 100), (10_000, 1_000), (50_000, 5_000), (50_000, 500), (50_000, 1)] {
        // Identities are about .8 apart, and embeddings of one identity .2, as with dlib.
        let mut vector = |centre: Option<&Vec<f32>>, spread: f32| -> Vec<f32> {
            (0..NUMBERS).map(|k| centre.map_or(0.0, |c| c[k]) + (random.f32() - 0.5) * spread).collect()
        };
        let centres: Vec<Vec<f32>> = (0..people).map(|_| vector(None, 0.17)).collect();
        let vectors: Vec<Vec<f32>> = (0..objects).map(|n| vector(Some(&centres[n % people]), 0.05)).collect();
        let points: Vec<_> = vectors
            .iter()
            .enumerate()
            .map(|(n, vector)| Point { vector, spread: 0.0, during: (n as u64, n as u64) })
            .collect();
        let begun = Instant::now();
        let found = agglomerate(&points, SAME).len();
        let figure = Figure::new(
            format!("{objects} objects of {people}: tell apart"),
            begun.elapsed().as_secs_f64(),
            Unit::Seconds,
        );
        assert_eq!(found, people, "the identities that were generated");
        if objects > MOST_BY_DISTANCES {
            figure.report();
            continue;
        }
        let begun = Instant::now();
        let found = by_distances(&vectors);
        figure.beside("kodama", begun.elapsed().as_secs_f64()).report();
        assert_eq!(found, people, "the same by kodama");
    }
}

/// Number of identities by average linkage of all squared distances.
fn by_distances(vectors: &[Vec<f32>]) -> usize {
    let squared = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let mut distances: Vec<f32> = (1..vectors.len())
        .flat_map(|n| vectors[n..].iter().map(move |vector| squared(&vectors[n - 1], vector)))
        .collect();
    let dendrogram = kodama::linkage(&mut distances, vectors.len(), kodama::Method::Average);
    vectors.len() - dendrogram.steps().iter().filter(|step| step.dissimilarity < SAME * SAME).count()
}
