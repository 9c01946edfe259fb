//! `cargo xtask bless`: rewrites the golden files with the present output.

use anyhow::Result;

use crate::{
    bench, setup,
    shell::{self, cargo, say},
};

/// Runs the tests that have golden files, with the environment variable that lets them write the
/// files, and writes the benchmark tables. Names the whole workspace, so that dependencies are
/// built with the features of the tests.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    shell::run(
        cargo().args(["test", "--release", "--workspace", "--test", "api", "golden"]).env("OCELLUS_BLESS", "1"),
    )?;
    bench::bless()?;
    say("Finished", "see git diff for what changed");
    Ok(())
}
