//! Build of components: core modules by cargo, components by wit-component.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{TRIPLE, Toolchain};

/// Compiles the crate or workspace in `source` and writes its components to `to`, named after their
/// crates; returns their paths. `target`: cargo's target folder, where given. An unchanged
/// component is not written, so that a running server does not reload it.
///
/// # Errors
/// There is no compiler for WebAssembly, cargo fails, the crate is no plugin, or a file cannot be
/// written.
pub fn build(source: &Path, target: Option<&Path>, to: &Path) -> Result<Vec<PathBuf>> {
    let toolchain = Toolchain::find().with_context(|| {
        let packages = Toolchain::DEBIAN_PACKAGES.join(" ");
        format!(
            "there is no Rust compiler for WebAssembly: rustup target add {TRIPLE}, or on Debian apt install {packages}"
        )
    })?;
    let mut command = toolchain.command();
    command.current_dir(source).arg("--quiet");
    if let Some(target) = target {
        command.arg("--target-dir").arg(target);
    }
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    modules(&mut command)?.iter().map(|module| component(module, to)).collect()
}

/// The message in which cargo reports an artifact.
#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Runs a build and returns its core modules, by cargo's messages: the folder may also contain
/// outdated ones.
fn modules(build: &mut Command) -> Result<Vec<PathBuf>> {
    let output = build
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cargo failed ({})", output.status);
    }
    let mut modules = Vec::new();
    for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let artifact: Artifact = serde_json::from_slice(line).context("cannot read what cargo says it built")?;
        modules.extend(artifact.filenames.into_iter().filter(|f| f.extension().is_some_and(|e| e == "wasm")));
    }
    if modules.is_empty() {
        bail!("there is nothing to build: a plugin is a crate with crate-type = [\"cdylib\"]");
    }
    Ok(modules)
}

fn component(module: &Path, to: &Path) -> Result<PathBuf> {
    let name = module.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = wit_component::ComponentEncoder::default()
        .module(&bytes)
        .and_then(|e| e.validate(true).encode())
        .with_context(|| format!("{name} cannot be made a component"))?;
    let out = to.join(format!("{name}.wasm"));
    if fs::read(&out).ok().as_ref() != Some(&component) {
        // Renamed into place, so that a server that watches the folder never loads a partial file.
        let part = out.with_extension("part");
        fs::write(&part, &component)
            .and_then(|()| fs::rename(&part, &out))
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(out)
}
