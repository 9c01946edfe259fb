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

/// Builds the programs of the whole workspace: tests then find their dependencies built, since no
/// test asks for another feature of one.
pub(crate) fn programs() -> Result<()> {
    say("Building", "the programs (a first build takes half an hour on two cores)");
    shell::run(cargo().args(["build", "--release", "--workspace", "--bins"]))
}
