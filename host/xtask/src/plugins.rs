//! Components from source: core modules by cargo, components by wit-component, no other tool.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::shell::{assets, cargo, root, say, succeeds, target};

const TRIPLE: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// What compiles to WebAssembly on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Toolchain {
    /// The one in use has the target.
    Rustup,
    /// Debian's compiler for the web, which brings the library's source: `rustc-web`, `rust-web-src`, `lld-19`.
    Debian { linker: String },
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rustup => "the toolchain in use has the target",
            Self::Debian { .. } => "Debian's rustc-web",
        })
    }
}

impl Toolchain {
    pub(crate) const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src", "lld-19"];

    /// What is installed, the toolchain in use first.
    pub(crate) fn find() -> Option<Self> {
        if folder_of("rustc", &["target-libdir", "--target", TRIPLE]).is_some() {
            return Some(Self::Rustup);
        }
        let linker = ["wasm-ld-19", "wasm-ld"].into_iter().find(|l| succeeds(l, &["--version"]))?;
        let source = folder_of(DEBIAN_RUSTC, &["sysroot"])?.join("lib/rustlib/src/rust/library/Cargo.toml");
        source.is_file().then(|| Self::Debian { linker: linker.into() })
    }

    /// `cargo build` for the target.
    fn build(&self) -> Command {
        let mut command = cargo();
        command.args(["build", "--release", "--target", TRIPLE]);
        if let Self::Debian { linker } = self {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }
}

/// A folder that a compiler prints, if it exists.
fn folder_of(rustc: &str, print: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc).arg("--print").args(print).current_dir(root()).output().ok().filter(|o| o.status.success())?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    folder.is_dir().then_some(folder)
}

/// Builds the plugins that ship, and the guests of the tests.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::find().context("there is no Rust compiler for WebAssembly: run cargo xtask setup")?;
    for (workspace, kind) in [("plugins", "plugins"), ("tests/guests", "guests")] {
        say("Building", &format!("{workspace} for WebAssembly ({toolchain})"));
        let mut build = toolchain.build();
        build.current_dir(root().join(workspace)).arg("--quiet").arg("--target-dir").arg(target().join("wasm").join(kind));
        let to = assets().join(kind);
        fs::create_dir_all(&to)?;
        for module in modules(&mut build).with_context(|| format!("{workspace} cannot be built"))? {
            component(&module, &to)?;
        }
    }
    Ok(())
}

/// The line in which cargo tells of something that it built.
#[derive(Deserialize)]
struct Artifact {
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// Runs a build; the core modules that it made. Asking cargo, and not the folder, leaves out what an earlier state of
/// the source left there.
fn modules(build: &mut Command) -> Result<Vec<PathBuf>> {
    let output = build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("cargo failed ({})", output.status);
    }
    let mut modules = Vec::new();
    for line in output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let artifact: Artifact = serde_json::from_slice(line).context("cannot read what cargo says it built")?;
        modules.extend(artifact.filenames.into_iter().filter(|f| f.extension().is_some_and(|e| e == "wasm")));
    }
    Ok(modules)
}

/// Makes a component of a core module; one that did not change is not written, so that a running server keeps it.
fn component(module: &Path, to: &Path) -> Result<()> {
    let name = module.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
    let bytes = fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = wit_component::ComponentEncoder::default()
        .module(&bytes)
        .and_then(|e| e.validate(true).encode())
        .with_context(|| format!("{name} cannot be made a component"))?;
    let out = to.join(format!("{name}.wasm"));
    if fs::read(&out).ok().as_ref() != Some(&component) {
        // Renamed into place: whoever watches the folder never sees half of it.
        let part = out.with_extension("part");
        fs::write(&part, &component)?;
        fs::rename(&part, &out)?;
    }
    Ok(())
}
