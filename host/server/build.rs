//! Build script: sets the commit that `ocellus --version` shows, and passes `-z
//! pack-relative-relocs` to the linker: plain relocations take 7 MB, nearly all of which becomes
//! resident at start-up. With `OCELLUS_PORTABLE`, which names an object file to link with, the
//! program runs on older Linuxes, too, for the archive that `cargo xtask package` makes.

#![allow(clippy::print_stdout, reason = "it is how a build script speaks to cargo")]

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    println!("cargo::rerun-if-env-changed=OCELLUS_PORTABLE");
    if target("OS") == "linux" && target("ENV") == "gnu" {
        if let Ok(object) = env::var("OCELLUS_PORTABLE") {
            println!("cargo::rustc-link-arg-bins={object}");
            println!("cargo::rerun-if-changed={object}");
            // The libraries that lie beside the program in the archive for other Linuxes, also
            // those that its libraries need, as only the older kind of this entry says.
            println!("cargo::rustc-link-arg-bins=-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib/ocellus");
        } else {
            // Linkers that lack the option warn. glibc reads the packed form since 2.36, and GNU ld
            // marks the program as needing that version.
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
    // Files that change with the commit, also in a worktree.
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-env-changed=OCELLUS_COMMIT");
    // Set for packages that are built from an archive of the sources, without git.
    let commit = env::var("OCELLUS_COMMIT").ok().or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    if let Some(commit) = commit {
        println!("cargo::rustc-env=OCELLUS_VERSION={} ({commit})", env!("CARGO_PKG_VERSION"));
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
