//! Report of the figures that xtask measures itself, outside of cargo's benchmarks.

use std::path::Path;

use anyhow::{Context, Result};
use ocellus_bench_report::{Figure, percentile};

pub(super) struct Report<'a>(pub &'a Path);

impl Report<'_> {
    #[expect(clippy::print_stdout, reason = "its purpose")]
    pub(super) fn add(&self, figure: &Figure) -> Result<()> {
        println!("{figure}");
        figure.append(self.0).with_context(|| format!("cannot write {}", self.0.display()))
    }
}

pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}
