//! Components from source: core modules by cargo, components by wit-component, no other tool.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::shell::{assets, cargo, root, run, say, succeeds, target};

const TRIPLE: &str = "wasm32-unknown-unknown";

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
    pub(crate) fn find() -> Option<Self> {
        let output = Command::new("rustc").args(["--print", "target-libdir", "--target", TRIPLE]).current_dir(root()).output().ok()?;
        let library = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        if output.status.success() && library.is_dir() {
            return Some(Self::Rustup);
        }
        let linker = ["wasm-ld-19", "wasm-ld"].into_iter().find(|l| succeeds(l, &["--version"]))?;
        let source = fs::read_dir("/usr/lib/rustlib").is_ok() || Path::new("/usr/src").is_dir();
        (source && succeeds("/usr/bin/rustc", &["--version"])).then(|| Self::Debian { linker: linker.into() })
    }

    /// `cargo build` for the target.
    fn build(&self) -> Command {
        let mut command = cargo();
        command.args(["build", "--release", "--target", TRIPLE]);
        if let Self::Debian { linker } = self {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }
}

/// Builds the plugins that ship, and the guests of the tests.
pub(crate) fn build() -> Result<()> {
    let toolchain = Toolchain::find().context("there is no Rust compiler for WebAssembly: run cargo xtask setup")?;
    for (workspace, kind) in [("plugins", "plugins"), ("tests/guests", "guests")] {
        say("Building", &format!("{workspace} for WebAssembly ({toolchain})"));
        let built = target().join("wasm").join(kind);
        run(toolchain.build().current_dir(root().join(workspace)).arg("--quiet").arg("--target-dir").arg(&built))?;
        components(&built.join(TRIPLE).join("release"), &assets().join(kind))?;
    }
    Ok(())
}

/// Makes a component of each core module; one that did not change is not written, so that a running server keeps it.
fn components(modules: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(modules).with_context(|| format!("cannot read {}", modules.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "wasm") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        let module = fs::read(&path)?;
        let component = wit_component::ComponentEncoder::default()
            .module(&module)
            .and_then(|e| e.validate(true).encode())
            .with_context(|| format!("{name} cannot be made a component"))?;
        let out = to.join(format!("{name}.wasm"));
        if fs::read(&out).ok().as_ref() != Some(&component) {
            // Renamed into place: whoever watches the folder never sees half of it.
            let part = out.with_extension("part");
            fs::write(&part, &component)?;
            fs::rename(&part, &out)?;
        }
    }
    Ok(())
}
