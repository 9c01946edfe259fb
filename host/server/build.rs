//! Names the commit that the program is built from, for `ocellus --version`.

#![allow(clippy::print_stdout, reason = "it is how a build script speaks to cargo")]

use std::process::Command;

fn main() {
    // Where the commit changes: in a worktree, too.
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-env-changed=OCELLUS_COMMIT");
    // A package that is built from an archive of the sources names it.
    let commit = std::env::var("OCELLUS_COMMIT").ok().or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    if let Some(commit) = commit {
        println!("cargo::rustc-env=OCELLUS_VERSION={} ({commit})", env!("CARGO_PKG_VERSION"));
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
