//! `cargo xtask build`: programs and plugins.

use anyhow::Result;

use crate::{
    plugins, setup,
    shell::{self, cargo, say, target},
};

/// Sets up, then builds the plugins and, unless `plugins_only`, the programs.
pub(crate) fn run(plugins_only: bool) -> Result<()> {
    if plugins_only {
        setup::ensure()?;
        return plugins::build();
    }
    everything()?;
    say("Finished", &target().join("release/ocellus").display().to_string());
    Ok(())
}

/// Sets up, then builds the plugins and the programs.
pub(crate) fn everything() -> Result<()> {
    setup::ensure()?;
    plugins::build()?;
    programs()
}

/// Builds the whole workspace: dependencies are then built once, with the features that the tests
/// need, too.
pub(crate) fn programs() -> Result<()> {
    say("Building", "the programs (a first build takes half an hour on two cores)");
    shell::run(cargo().args(["build", "--release", "--workspace", "--bins", "--benches"]))
}
