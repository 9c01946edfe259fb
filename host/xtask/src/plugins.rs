//! Build of the shipped plugins and of the tests' plugins (guests) to WebAssembly.

use anyhow::{Context, Result};
use ocellus_build::Toolchain;

use crate::shell::{assets, root, say, target};

/// Builds both.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::find().context("there is no Rust compiler for WebAssembly: run cargo xtask setup")?;
    for (workspace, kind) in [("plugins", "plugins"), ("tests/guests", "guests")] {
        say("Building", &format!("{workspace} for WebAssembly ({toolchain})"));
        let (from, to) = (target().join("wasm").join(kind), assets().join(kind));
        ocellus_build::build(&root().join(workspace), Some(&from), &to)
            .with_context(|| format!("{workspace} cannot be built"))?;
    }
    Ok(())
}
