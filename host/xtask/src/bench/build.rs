//! Build benchmark: everything compiled from nothing.

use std::{fs, time::Instant};

use anyhow::{Context, Result};
use ocellus_bench_report::{Figure, Unit};

use super::report::Report;
use crate::shell::{self, cargo, target};

/// What [`super::table`] knows it by.
pub(super) const NAME: &str = "cold build";

/// Builds into a folder of its own, which is removed. Packages are fetched before.
pub(super) fn measure(report: &Report<'_>) -> Result<()> {
    shell::run(cargo().args(["fetch", "--locked"]))?;
    let folder = target().join("bench/cold");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    let start = Instant::now();
    // As `cargo xtask build` does it.
    let mut build = cargo();
    build.args(["build", "--release", "--workspace", "--bins", "--benches", "--target-dir"]).arg(&folder);
    let built = shell::run(&mut build);
    let seconds = start.elapsed().as_secs_f64();
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    built?;
    report.add(&figure(seconds))
}

pub(super) fn figure(seconds: f64) -> Figure {
    Figure::new(NAME, seconds, Unit::Seconds)
}
