//! `cargo xtask bench`: cargo's benchmarks of all crates one after the other, then those of a
//! running server: lists, uploads and jobs.
//!
//! With `--keep`, what was measured becomes a row of the tables in `tests/bench`.

mod build;
mod clips;
mod identities;
mod jobs;
mod overhead;
mod peer;
mod quality;
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
    children, plugins, setup,
    shell::{self, cargo, remove_file, root, say, target},
};

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// Run only benchmarks whose name, or crate's name, contains one of these. Of parts: stages,
    /// networks, decode, calls, lists, similarity, identities. Of a running server: serving
    /// (100,000 videos, uploads), jobs. Run only if named: build (without a cache, as long as a
    /// first build), quality (what is found in labelled material; alone). `identities FOLDER`
    /// measures an embedder by the pictures of a folder, which has a folder for each identity.
    only: Vec<String>,

    /// With `identities FOLDER`: what is measured.
    #[command(flatten)]
    pictures: identities::PictureArguments,

    /// Use only these recordings: bikes, street-720p, street-1080p.
    #[arg(long, value_name = "NAME")]
    clip: Vec<String>,

    /// Add the figures as a row to the tables in tests/bench.
    #[arg(long, value_name = "WHAT CHANGED")]
    keep: Option<String>,

    /// With --keep: seconds that CI took, from its log.
    #[arg(long, value_name = "SECONDS", requires = "keep")]
    ci: Option<f64>,

    /// With --keep: seconds that a cold build took, if it was measured before.
    #[arg(long, value_name = "SECONDS", requires = "keep")]
    build: Option<f64>,

    #[command(flatten)]
    quality: quality::QualityArguments,
}

/// The part of `cargo metadata` that is needed here.
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
    children::end_by_signal()?;
    if arguments.only.iter().any(|only| only == "quality") {
        if arguments.only.len() > 1 {
            bail!("quality runs alone: its settings and labels are not those of the other benchmarks");
        }
        return quality::run(&arguments.quality, arguments.keep.as_deref());
    }
    setup::ensure()?;
    if let [name, folder] = arguments.only.as_slice()
        && name == "identities"
    {
        return identities::measure(folder.as_ref(), &arguments.pictures);
    }
    plugins::build()?;
    let only = &arguments.only;
    let wanted =
        |name: &str, package: &str| only.is_empty() || only.iter().any(|o| name.contains(o) || package.contains(o));
    let folder = target().join("bench");
    fs::create_dir_all(&folder)?;
    let figures = folder.join("figures.jsonl");
    remove_file(&figures)?;

    let native = native_chain()?;
    let python = peer::python()?;
    let mut clips = clips::make()?;
    clips.retain(|made| arguments.clip.is_empty() || arguments.clip.contains(&made.name));
    if clips.is_empty() {
        bail!("there is no recording with that name");
    }
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("cargo metadata failed")?;
    let mut measured = false;
    for package in metadata.packages {
        for bench in package.targets.iter().filter(|t| t.kind.iter().any(|k| k == "bench")) {
            // Needs labelled pictures.
            if bench.name == identities::BENCH || !wanted(&bench.name, &package.name) {
                continue;
            }
            measured = true;
            say("Measuring", &format!("{} ({})", bench.name, package.name));
            // The release profile and the whole workspace: another profile or other features would
            // compile everything again.
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
        say("Measuring", "build (without a cache)");
        build::measure(&report)?;
    }
    if !measured {
        bail!("there is no benchmark with that name");
    }
    if let Some(change) = &arguments.keep {
        let measured = if figures.is_file() { Figure::read(&figures)? } else { Vec::new() };
        let all = measured.into_iter().chain(arguments.build.map(build::figure)).collect();
        table::keep(change, all, arguments.ci)?;
    }
    Ok(())
}

/// Writes the tables in `tests/bench` again.
pub(crate) fn bless() -> Result<()> {
    table::bless()?;
    quality::bless()
}

/// Cargo's message about a target that it has built.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

/// Builds a benchmark; the path of its program, to be run without cargo.
fn executable(bench: &str) -> Result<PathBuf> {
    let mut command = cargo();
    command.args(["bench", "--no-run", "--profile", "release", "--workspace", "--bench", bench]);
    let output = command
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    // Messages of other kinds have other fields and do not parse.
    let artifacts =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    let mut of_bench = artifacts
        .filter(|artifact| artifact.target.name == bench && artifact.target.kind.iter().any(|kind| kind == "bench"));
    of_bench
        .find_map(|artifact| artifact.executable)
        .with_context(|| format!("cargo has not built the benchmark {bench}"))
}

/// Builds the shipped plugins as native code, which the benchmark `calls` compares with.
fn native_chain() -> Result<PathBuf> {
    let folder = target().join("native-chain");
    let manifest = root().join("host/runtime/benches/native/Cargo.toml");
    shell::run(cargo().args(["build", "--release", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release/native-chain"))
}
