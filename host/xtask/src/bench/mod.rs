//! `cargo xtask bench`: the benchmarks of all crates, one after the other, as cargo knows them, and whole jobs of a running server.
//!
//! With `--keep`, what was measured becomes a row of the table in `tests/bench`.

mod clips;
mod jobs;
mod peer;
mod table;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use ocellus_figures::{FILE, Figure};
use serde::Deserialize;

use crate::{
    build, plugins, setup,
    shell::{self, cargo, root, say, target},
};

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Only those whose name contains one of these: stages, networks, jobs, calls, lists, likeness, individuals, decode, or a crate.
    only: Vec<String>,

    /// Keep what was measured as a row of the table in tests/bench; says what has changed since the row before.
    #[arg(long, value_name = "WHAT CHANGED")]
    keep: Option<String>,

    /// With --keep: seconds that CI took, which only its log knows.
    #[arg(long, value_name = "SECONDS", requires = "keep")]
    ci: Option<f64>,
}

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

pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    setup::ensure()?;
    plugins::build()?;
    let only = &arguments.only;
    let wanted = |name: &str, package: &str| only.is_empty() || only.iter().any(|o| name.contains(o) || package.contains(o));
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let figures = folder.join("figures.jsonl");
    match fs::remove_file(&figures) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("cannot clear {}: {error}", figures.display()),
        _ => {}
    }

    let native = native_chain()?;
    let python = peer::python()?;
    let clips = clips::make()?;
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output().context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata failed")?;
    let mut measured = false;
    for package in metadata.packages {
        for bench in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "bench")) {
            if !wanted(&bench.name, &package.name) {
                continue;
            }
            measured = true;
            say("Measuring", &format!("{} ({})", bench.name, package.name));
            // The release profile and all of the workspace: nothing is compiled once more in another shape.
            let mut command = cargo();
            command.args(["bench", "--profile", "release", "--workspace", "--bench", &bench.name]);
            command.env("OCELLUS_NATIVE_CHAIN", &native).env("OCELLUS_PEER", &python).env(FILE, &figures);
            shell::run(command.env("OCELLUS_CLIPS", std::env::join_paths(clips.iter().map(|c| &c.file))?))?;
        }
    }
    if wanted("jobs", "xtask") {
        measured = true;
        build::programs()?;
        say("Measuring", "jobs (a running server)");
        jobs::measure(&clips, &python, &figures)?;
    }
    if !measured {
        bail!("there is no benchmark of that name");
    }
    let mut all = if figures.is_file() { Figure::read(&figures)? } else { Vec::new() };
    let overheads = table::overheads(&all);
    overheads.iter().for_each(Figure::report);
    all.extend(overheads);
    if let Some(change) = &arguments.keep {
        table::keep(change, all, arguments.ci)?;
    }
    Ok(())
}

/// The shipped plugins as native code, for the benchmark of calls to compare with.
fn native_chain() -> Result<PathBuf> {
    let folder = target().join("native-chain");
    let manifest = root().join("host/runtime/benches/native/Cargo.toml");
    shell::run(cargo().args(["build", "--release", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release/native-chain"))
}
