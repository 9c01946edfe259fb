//! `cargo xtask fuzz`: fuzzing of the code that reads untrusted bytes, for a given time. Damaged
//! media and the property tests of all parsers come first, with a random seed; then the targets of
//! `tests/fuzz` under libFuzzer, all for the same time.
//!
//! Findings become regression tests: a recording that crashes the decoder is put into
//! `host/media/tests/corpus`, an input of a target that fails or reaches new code into
//! `tests/fuzz/corpus`, and proptest keeps its failures in files beside the sources.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, cargo, root, say, target};

#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// Only this target, without the property tests: a folder of tests/fuzz/corpus.
    target: Option<String>,
    /// Duration without compiling; the round of property tests is always finished.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Seed of the random numbers; a random one by default.
    #[arg(long)]
    seed: Option<u32>,
}

/// Mutations of each recording in a round.
const MUTATIONS: &str = "2000";
/// Cases of each property in a round.
const CASES: &str = "5000";
/// Crates whose unit tests have properties of parsers and codecs.
const PARSERS: [&str; 5] = ["ocellus-core", "ocellus-media", "ocellus-store", "ocellus-api", "ocellus-runtime"];

/// Seconds that a target gets at least.
const LEAST: u64 = 5;

pub(crate) fn run(arguments: &FuzzArguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u32(1..));
    let time = Duration::from_secs(arguments.minutes * 60);
    let mut targets = targets()?;
    if let Some(name) = &arguments.target {
        if !targets.contains(name) {
            bail!("there is no target {name:?}; there are {}", targets.join(", "));
        }
        targets = vec![name.clone()];
    }
    coverage_build()?;
    let begun = Instant::now();
    if arguments.target.is_none() {
        say("Fuzzing", &format!("media and properties, seed {seed}"));
        rounds(seed)?;
    }
    let share = time.saturating_sub(begun.elapsed()) / targets.len().max(1) as u32;
    for target in &targets {
        under_libfuzzer(target, share.as_secs().max(LEAST), seed)?;
    }
    say("Finished", &format!("seed {seed}: nothing failed"));
    Ok(())
}

/// Names of the targets; each has a corpus.
fn targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root().join("tests/fuzz/corpus"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Damaged media and the property tests.
fn rounds(seed: u32) -> Result<()> {
    // All at once, as the features of the whole workspace are built anyway.
    shell::run(cargo().args(["test", "--release", "--workspace", "--no-run"]))?;
    media(seed.into())?;
    let properties = &mut cargo();
    properties.args(["test", "--release", "--workspace", "--lib", "--quiet"]).env("PROPTEST_CASES", CASES);
    // Other crates have no parser, and take long.
    for package in excluded()? {
        properties.args(["--exclude", &package]);
    }
    shell::run(properties).context("a property does not hold: the failing case is in a file proptest-regressions")
}

/// Builds the targets with coverage instrumentation for libFuzzer. The rest of the workspace stays
/// as it was built.
fn coverage_build() -> Result<()> {
    shell::run(
        cargo()
            .args(["build", "--release", "--workspace", "--bin", "fuzz", "--features", "ocellus-fuzz/libfuzzer"])
            .env("RUSTC_WORKSPACE_WRAPPER", root().join("tests/fuzz/rustc-with-coverage.sh")),
    )
}

fn under_libfuzzer(name: &str, seconds: u64, seed: u32) -> Result<()> {
    say("Fuzzing", &format!("{name} for {seconds} s, seed {seed}"));
    let (found, corpus) = (target().join("fuzz").join(name), root().join("tests/fuzz/corpus").join(name));
    fs::create_dir_all(&found)?;
    let libfuzzer = || {
        let mut command = Command::new(target().join("release/fuzz"));
        // Folder for files of the targets: in memory, since on a disk they would wait for each
        // write.
        let memory = Path::new("/dev/shm");
        command.env("OCELLUS_FUZZ_TARGET", name).env("TMPDIR", if memory.is_dir() { memory } else { &found });
        command.arg(format!("-seed={seed}")).args(["-timeout=30", "-rss_limit_mb=3072"]);
        command
    };
    let ended = shell::run(
        libfuzzer()
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", corpus.display()))
            .args([&found, &corpus]),
    );
    ended.with_context(|| format!("{name} failed: its input is now a regression test in tests/fuzz/corpus/{name}"))?;
    // Adds the fewest of the new inputs that reach all edges.
    shell::run_quietly(libfuzzer().args(["-set_cover_merge=1", "-use_counters=0"]).args([&corpus, &found]))
}

/// Members of the workspace without parsers.
fn excluded() -> Result<Vec<String>> {
    let output = cargo().args(["metadata", "--no-deps", "--format-version", "1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata.get("packages").and_then(|p| p.as_array()).context("cargo metadata lists no packages")?;
    let names = packages.iter().filter_map(|package| package.get("name")?.as_str());
    Ok(names.filter(|name| !PARSERS.contains(name)).map(str::to_owned).collect())
}

fn media(seed: u64) -> Result<()> {
    let case = target().join("fuzz-case");
    let status = cargo()
        .args(["test", "--release", "--workspace", "--test", "mutations", "--quiet"])
        .env("OCELLUS_MUTATIONS", MUTATIONS)
        .env("OCELLUS_MUTATIONS_SEED", seed.to_string())
        .env("OCELLUS_MUTATIONS_CASE", &case)
        .status()?;
    if status.success() {
        return Ok(());
    }
    let kept = keep(&case, seed)?;
    bail!("a damaged recording crashed the decoder ({status}): it is now a regression test, {kept}")
}

/// Puts a case into the corpus; its path in the repository.
fn keep(case: &Path, seed: u64) -> Result<String> {
    let corpus = "host/media/tests/corpus";
    fs::create_dir_all(root().join(corpus))?;
    let name = format!("{corpus}/seed-{seed}");
    fs::copy(case, root().join(&name)).with_context(|| format!("{} cannot be kept", case.display()))?;
    Ok(name)
}
