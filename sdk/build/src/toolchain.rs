//! WebAssembly toolchain of this machine, rustup's or Debian's.

use std::{
    fmt,
    path::PathBuf,
    process::{Command, Stdio},
};

/// Target of plugins: without WASI, so that they cannot import it.
pub const TRIPLE: &str = "wasm32-unknown-unknown";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A Rust compiler that can compile for [`TRIPLE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The active toolchain, which has the target.
    Rustup,
    /// Debian's compiler, which builds the standard library from its source:
    /// [`Toolchain::DEBIAN_PACKAGES`].
    Debian {
        /// Name of the linker.
        linker: String,
    },
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
    /// Packages of [`Toolchain::Debian`].
    pub const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src", "lld-19"];

    /// Finds an installed toolchain, the active one first.
    pub fn find() -> Option<Self> {
        if folder_of("rustc", &["target-libdir", "--target", TRIPLE]).is_some() {
            return Some(Self::Rustup);
        }
        let linker = ["wasm-ld-19", "wasm-ld"].into_iter().find(|l| runs(l))?;
        let source = folder_of(DEBIAN_RUSTC, &["sysroot"])?.join("lib/rustlib/src/rust/library/Cargo.toml");
        source.is_file().then(|| Self::Debian { linker: linker.into() })
    }

    /// `cargo build` for the target.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["build", "--release", "--target", TRIPLE]);
        if let Self::Debian { linker } = self {
            command.arg("-Zbuild-std=std,panic_abort").env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }
}

/// The folder that a compiler prints, if it exists.
fn folder_of(rustc: &str, print: &[&str]) -> Option<PathBuf> {
    let output = Command::new(rustc).arg("--print").args(print).output().ok().filter(|o| o.status.success())?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    folder.is_dir().then_some(folder)
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|s| s.success())
}
