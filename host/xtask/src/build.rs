//! `cargo xtask build`: programs and plugins.

use anyhow::Result;

use crate::{
    plugins, setup,
    shell::{self, cargo, say, target},
};

/// The programs and the plugins, everything set up before.
pub(crate) fn run(plugins_only: bool) -> Result<()> {
    setup::ensure()?;
    plugins::build()?;
    if plugins_only {
        return Ok(());
    }
    programs()?;
    say("Finished", &format!("{}", target().join("release/ocellus").display()));
    Ok(())
}

/// All of the workspace, so that dependencies are built once, with the features that the tests use,
/// too.
pub(crate) fn programs() -> Result<()> {
    say("Building", "the programs (a first build takes half an hour on two cores)");
    shell::run(cargo().args(["build", "--release", "--workspace", "--bins", "--benches"]))
}
