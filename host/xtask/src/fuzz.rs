//! `cargo xtask fuzz`: damaged media and the property tests of all parsers, with new random cases
//! until the time is over.
//!
//! What fails stays: a recording that ends the decoder badly is put into `host/media/tests/corpus`,
//! which the tests of media try each time, and proptest keeps its failures in files beside the
//! sources.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell::{self, cargo, root, say, target};

#[derive(Args)]
pub(crate) struct FuzzArguments {
    /// How long; a round that has begun is finished.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Seed of the first round; the next ones count from it. Random by default.
    #[arg(long)]
    seed: Option<u64>,
}

/// Mutations of each recording in a round.
const MUTATIONS: &str = "2000";
/// Cases of each property in a round.
const CASES: &str = "5000";
/// Crates whose unit tests have properties of parsers and codecs.
const PARSERS: [&str; 5] = ["ocellus-core", "ocellus-media", "ocellus-store", "ocellus-api", "ocellus-runtime"];

pub(crate) fn run(arguments: &FuzzArguments) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(arguments.minutes * 60);
    let first = arguments.seed.unwrap_or_else(|| fastrand::u64(..1 << 48));
    // All at once, as the features of the whole workspace are built anyway.
    shell::run(cargo().args(["test", "--release", "--workspace", "--no-run"]))?;
    let mut rounds = 0;
    while rounds == 0 || Instant::now() < end {
        let seed = first + rounds;
        say("Fuzzing", &format!("round {}, seed {seed}", rounds + 1));
        media(seed)?;
        let properties = &mut cargo();
        properties.args(["test", "--release", "--workspace", "--lib", "--quiet"]).env("PROPTEST_CASES", CASES);
        // Other crates have no parser, and take long.
        for package in excluded()? {
            properties.args(["--exclude", &package]);
        }
        shell::run(properties)
            .context("a property does not hold: the failing case is in a file proptest-regressions")?;
        rounds += 1;
    }
    say("Finished", &format!("{rounds} rounds from seed {first}, nothing found"));
    Ok(())
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
    bail!("a damaged recording ended the decoder badly ({status}): it is {kept} now, and a test")
}

/// Puts a case into the corpus; its path in the repository.
fn keep(case: &Path, seed: u64) -> Result<String> {
    let corpus = "host/media/tests/corpus";
    fs::create_dir_all(root().join(corpus))?;
    let name = format!("{corpus}/seed-{seed}");
    fs::copy(case, root().join(&name)).with_context(|| format!("{} cannot be kept", case.display()))?;
    Ok(name)
}
