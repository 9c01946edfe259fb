//! `cargo xtask bench`: the benchmarks of all crates, one after the other, as cargo knows them,
//! then a running server: its lists and its jobs.
//!
//! With `--keep`, what was measured becomes a row of the tables in `tests/bench`.

mod build;
mod clips;
mod jobs;
mod overhead;
mod peer;
mod report;
mod server;
mod serving;
mod table;

use std::{fs, path::PathBuf, process::Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use ocellus_bench_report::{FILE, Figure};
use serde::Deserialize;

use self::report::Report;
use crate::{
    build::programs,
    plugins, setup,
    shell::{self, cargo, root, say, target},
};

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Only those whose name contains one of these, or all of a crate. Benchmarks of parts: stages,
    /// networks, decode, calls, lists, similarity, identities. Of a running server: serving
    /// (100,000 videos, uploads), jobs. Only where it is named: build (cold; takes as long as a
    /// first build does).
    only: Vec<String>,

    /// Only with these recordings: bikes, street-720p, street-1080p.
    #[arg(long, value_name = "NAME")]
    clip: Vec<String>,

    /// Keep what was measured as a row of the tables in tests/bench.
    #[arg(long, value_name = "WHAT CHANGED")]
    keep: Option<String>,

    /// With --keep: seconds that CI took, which only its log knows.
    #[arg(long, value_name = "SECONDS", requires = "keep")]
    ci: Option<f64>,

    /// With --keep: seconds that a cold build took, where it was measured before.
    #[arg(long, value_name = "SECONDS", requires = "keep")]
    build: Option<f64>,
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
    let wanted =
        |name: &str, package: &str| only.is_empty() || only.iter().any(|o| name.contains(o) || package.contains(o));
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let figures = folder.join("figures.jsonl");
    match fs::remove_file(&figures) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot clear {}: {error}", figures.display())
        }
        _ => {}
    }

    let native = native_chain()?;
    let python = peer::python()?;
    let mut clips = clips::make()?;
    clips.retain(|made| arguments.clip.is_empty() || arguments.clip.contains(&made.name));
    if clips.is_empty() {
        bail!("there is no recording of that name");
    }
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata failed")?;
    let mut measured = false;
    for package in metadata.packages {
        for bench in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "bench")) {
            if !wanted(&bench.name, &package.name) {
                continue;
            }
            measured = true;
            say("Measuring", &format!("{} ({})", bench.name, package.name));
            // The release profile and all of the workspace: nothing is compiled once more in
            // another shape.
            let mut command = cargo();
            command.args(["bench", "--profile", "release", "--workspace", "--bench", &bench.name]);
            command.env("OCELLUS_NATIVE_CHAIN", &native).env("OCELLUS_PEER", &python).env(FILE, &figures);
            shell::run(command.env("OCELLUS_CLIPS", std::env::join_paths(clips.iter().map(|c| &c.file))?))?;
        }
    }
    let report = Report(&figures);
    if wanted("serving", "xtask") {
        measured = true;
        programs()?;
        say("Measuring", "serving (a running server)");
        serving::measure(&report)?;
    }
    if wanted("jobs", "xtask") {
        measured = true;
        programs()?;
        let beside = jobs::Beside { python, stages: executable("stages")? };
        say("Measuring", "jobs (a running server)");
        jobs::measure(&clips, &beside, &report)?;
    }
    if only.iter().any(|o| o == "build") {
        measured = true;
        say("Measuring", "build (from nothing)");
        build::measure(&report)?;
    }
    if !measured {
        bail!("there is no benchmark of that name");
    }
    if let Some(change) = &arguments.keep {
        let measured = if figures.is_file() { Figure::read(&figures)? } else { Vec::new() };
        let all = measured.into_iter().chain(arguments.build.map(build::figure)).collect();
        table::keep(change, all, arguments.ci)?;
    }
    Ok(())
}

/// Writes the tables in `tests/bench` as they now look.
pub(crate) fn bless() -> Result<()> {
    table::bless()
}

/// What cargo says of something that it has built.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

/// The program of a benchmark, to be run without cargo.
fn executable(bench: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["bench", "--no-run", "--profile", "release", "--workspace", "--bench", bench]);
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    // Lines of other kinds have other fields.
    let artifacts =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    let mut of_bench = artifacts
        .filter(|artifact| artifact.target.name == bench && artifact.target.kind.iter().any(|kind| kind == "bench"));
    of_bench
        .find_map(|artifact| artifact.executable)
        .with_context(|| format!("cargo has not built the benchmark {bench}"))
}

/// The shipped plugins as native code, for the benchmark of calls to compare with.
fn native_chain() -> Result<PathBuf> {
    let folder = target().join("native-chain");
    let manifest = root().join("host/runtime/benches/native/Cargo.toml");
    shell::run(cargo().args(["build", "--release", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release/native-chain"))
}
