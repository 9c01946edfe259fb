//! Telling individuals apart: 1,000, 10,000 and 50,000 objects of ten appearances each, of a hundred each, and all of one man.
//!
//! `cargo xtask bench individuals`

#![allow(clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark prints, and ends where something is wrong")]

use std::time::Instant;

use ocellus_pipeline::{Point, agglomerate};

/// In a row of dlib's.
const NUMBERS: usize = 128;
/// Of dlib's rows: below it two are of one individual.
const SAME: f32 = 0.45;

fn main() {
    let mut random = fastrand::Rng::with_seed(7);
    for (objects, people) in [(1_000, 100), (10_000, 1_000), (50_000, 5_000), (50_000, 500), (50_000, 1)] {
        // About .8 from each other, and .2 from themselves, as dlib's are.
        let mut row = |centre: Option<&Vec<f32>>, spread: f32| -> Vec<f32> {
            (0..NUMBERS).map(|k| centre.map_or(0.0, |c| c[k]) + (random.f32() - 0.5) * spread).collect()
        };
        let centres: Vec<Vec<f32>> = (0..people).map(|_| row(None, 0.17)).collect();
        let rows: Vec<Vec<f32>> = (0..objects).map(|n| row(Some(&centres[n % people]), 0.05)).collect();
        let points: Vec<_> = rows.iter().enumerate().map(|(n, row)| Point { row, during: (n as u64, n as u64) }).collect();
        let begun = Instant::now();
        let found = agglomerate(&points, SAME).len();
        println!("{objects:>6} objects of {people:>5}: {found:>5} individuals in {:>7.2} s", begun.elapsed().as_secs_f64());
        assert_eq!(found, people, "those that were made");
    }
}
