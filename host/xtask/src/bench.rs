//! `cargo xtask bench`: the benchmarks of all crates, one after the other, as cargo knows them.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    plugins, setup,
    shell::{self, cargo, say},
};

/// What matters here of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    setup::ensure()?;
    plugins::build()?;
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata failed")?;
    let mut measured = false;
    for package in metadata.packages {
        for bench in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "bench")) {
            if filter.is_some_and(|f| !bench.name.contains(f) && !package.name.contains(f)) {
                continue;
            }
            measured = true;
            say("Measuring", &format!("{} ({})", bench.name, package.name));
            // The release profile and all of the workspace: nothing is compiled once more in another shape.
            shell::run(cargo().args(["bench", "--profile", "release", "--workspace", "--bench", &bench.name]))?;
        }
    }
    if measured { Ok(()) } else { bail!("there is no benchmark of that name") }
}
