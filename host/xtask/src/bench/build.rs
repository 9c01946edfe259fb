//! Build benchmark: the whole workspace without any cache.

use std::time::Instant;

use anyhow::Result;
use ocellus_bench_report::{Figure, Unit};

use super::report::Report;
use crate::shell::{self, cargo, remove_folder, target};

/// Name of the figure, which [`super::table`] looks up.
pub(super) const NAME: &str = "cold build";

/// Builds into an empty folder, which is removed afterwards. Packages are fetched before.
pub(super) fn measure(report: &Report<'_>) -> Result<()> {
    shell::run(cargo().args(["fetch", "--locked"]))?;
    let folder = target().join("bench/cold");
    remove_folder(&folder)?;
    let start = Instant::now();
    // The same arguments as `cargo xtask build`.
    let mut build = cargo();
    build.args(["build", "--release", "--workspace", "--bins", "--target-dir"]).arg(&folder);
    let built = shell::run(&mut build);
    let seconds = start.elapsed().as_secs_f64();
    remove_folder(&folder)?;
    built?;
    report.add(&figure(seconds))
}

pub(super) fn figure(seconds: f64) -> Figure {
    Figure::new(NAME, seconds, Unit::Seconds)
}
