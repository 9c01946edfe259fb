//! `cargo xtask bench`: the benchmarks of all crates, one after the other.

use anyhow::Result;

use crate::{plugins, setup, shell};

/// Crates with a benchmark, and its name.
const BENCHES: &[(&str, &str)] = &[];

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    setup::ensure()?;
    plugins::build()?;
    for (package, bench) in BENCHES.iter().filter(|(_, b)| filter.is_none_or(|f| b.contains(f))) {
        shell::say("Measuring", &format!("{bench} ({package})"));
        // The profile of the release: cargo's own bench profile would compile every dependency once more.
        shell::run(shell::cargo().args(["bench", "--profile", "release", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
