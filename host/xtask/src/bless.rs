//! `cargo xtask bless`: what the code now says becomes the golden files.

use anyhow::Result;

use crate::{
    bench, setup,
    shell::{self, cargo, say},
};

/// Runs the tests that hold golden files, with leave to write them. All of the workspace is named,
/// so that dependencies are built as for the tests, once. The tables of figures are written here.
pub(crate) fn run() -> Result<()> {
    setup::ensure()?;
    shell::run(
        cargo().args(["test", "--release", "--workspace", "--test", "api", "golden"]).env("OCELLUS_BLESS", "1"),
    )?;
    bench::bless()?;
    say("Finished", "see git diff for what changed");
    Ok(())
}
