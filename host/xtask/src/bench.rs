//! `cargo xtask bench`: the benchmarks of all crates, one after the other, as cargo knows them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{
    plugins, setup,
    shell::{self, cargo, root, say, target},
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
    let native = native_chain()?;
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
            let mut command = cargo();
            command.args(["bench", "--profile", "release", "--workspace", "--bench", &bench.name]);
            shell::run(command.env("OCELLUS_NATIVE_CHAIN", &native))?;
        }
    }
    if measured { Ok(()) } else { bail!("there is no benchmark of that name") }
}

/// The shipped plugins as native code, for the benchmark of calls to compare with.
fn native_chain() -> Result<PathBuf> {
    let folder = target().join("native-chain");
    let manifest = root().join("host/runtime/benches/native/Cargo.toml");
    shell::run(cargo().args(["build", "--release", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release/native-chain"))
}
