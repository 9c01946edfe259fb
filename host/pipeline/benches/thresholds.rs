//! Evaluation of an embedder on labelled pictures: separation of identities by distance, and the
//! value of `same` for its manifest.
//!
//! `cargo xtask bench identities FOLDER` names the pictures in `OCELLUS_PICTURES`: a folder for
//! each identity. With `OCELLUS_WHOLE`, pictures are crops, on which no detector runs. Each goes
//! through detectors and embedder as a job's best shot does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed assumption ends the measurement")]
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use ocellus_bench_report::identities::{Pairs, agreement};
use ocellus_core::ObjectType;
use ocellus_detect::{Detectors, Device, DeviceChoice, Embedders};
use ocellus_pipeline::{Point, agglomerate, embed_picture};

/// Number of distances in the table.
const STEPS: u32 = 24;

fn main() {
    let Some(folder) = env::var_os("OCELLUS_PICTURES") else {
        return println!("no pictures: cargo xtask bench identities FOLDER");
    };
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets");
    let device = Device::choose(DeviceChoice::Auto, Some(&assets.join("onnxruntime"))).unwrap();
    let networks = env::var_os("OCELLUS_EMBEDDERS").map_or_else(|| assets.join("embedders"), PathBuf::from);
    let detectors = Detectors::load(&assets.join("detectors"), &device).unwrap();
    let embedders = Embedders::load(&networks, &device).unwrap();
    for refused in &embedders.report().refused {
        println!("{} is not used: {}", refused.name, refused.reason);
    }
    let object_type: ObjectType = env::var("OCELLUS_TYPE").map_or_else(|_| ObjectType::face(), |t| t.parse().unwrap());
    let whole = env::var_os("OCELLUS_WHOLE").is_some();

    let mut pictures = Vec::new();
    let (mut people, mut without) = (0, 0);
    for (identity, person) in sorted(Path::new(&folder)).into_iter().filter(|path| path.is_dir()).enumerate() {
        people += 1;
        for path in sorted(&person) {
            match embed_picture(&detectors, &embedders, fs::read(&path).unwrap().into(), &object_type, whole) {
                Ok(embedding) => pictures.push((identity, embedding)),
                Err(error) => {
                    without += 1;
                    println!("{}: {error}", path.display());
                }
            }
        }
    }
    let pairs = Pairs::of(&pictures);
    println!("{} pictures of {people} identities ({without} without an embedding), type {object_type}", pictures.len());
    let (Some(auc), Some(rank1)) = (pairs.auc(), pairs.rank1) else {
        return println!("too few: two identities at least, and two pictures of one");
    };
    println!("AUC {auc:.4}   rank-1 {rank1:.3}");
    for far in [0.01, 0.001] {
        if let Some(distance) = pairs.distance_at_far(far) {
            println!("TAR {:.3} at FAR {far} (distance {distance:.3})", pairs.tar(distance));
        }
    }
    if let Some(best) = pairs.best_distance() {
        println!("best single threshold {best:.3}: TAR {:.3}, FAR {:.4}", pairs.tar(best), pairs.far(best));
    }
    clusters(&pictures, &pairs);
}

/// Prints the clusters for several values of `same`, and which one to choose.
fn clusters(pictures: &[(usize, Vec<f32>)], pairs: &Pairs) {
    println!("{:>8} {:>8} {:>8} {:>12} {:>8} {:>8}", "same", "clusters", "purity", "completeness", "TAR", "FAR");
    let greatest = pairs.different.get(pairs.different.len() / 2).copied().unwrap_or_default();
    let mut pure = None;
    let mut is_pure = true;
    for step in 1..=STEPS {
        let same = greatest * step as f32 / STEPS as f32;
        // Pictures have no time: any two may be of one identity.
        let points: Vec<_> =
            (0_u64..).zip(pictures).map(|(n, (_, vector))| Point { vector, spread: 0.0, during: (n, n) }).collect();
        let found = agglomerate(&points, same);
        let identity = |n: &usize| pictures.get(*n).map(|(identity, _)| *identity);
        let labels: Vec<Vec<usize>> = found.iter().map(|group| group.iter().filter_map(identity).collect()).collect();
        let (purity, completeness) = agreement(&labels);
        println!(
            "{same:8.3} {:8} {purity:8.3} {completeness:12.3} {:8.3} {:8.4}",
            found.len(),
            pairs.tar(same),
            pairs.far(same)
        );
        is_pure &= purity == 1.0;
        if is_pure {
            pure = Some((same, completeness));
        }
    }
    if let Some((same, completeness)) = pure {
        println!("the greatest of these with purity 1: {same:.3}, completeness {completeness:.3}");
    }
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}
