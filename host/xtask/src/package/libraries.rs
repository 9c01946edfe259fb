//! Shared libraries that a program takes along, and the glibc that they need of a system.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::tree;
use crate::shell::{output, run_quietly, target};

/// What every Linux with glibc has. The loader is named after the architecture.
const SYSTEM: [&str; 6] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "libpthread.so.0", "libdl.so.2", "librt.so.1"];
const LOADER: &str = "ld-linux";

/// The source of [`for_older_glibc`].
pub(super) fn older_glibc() -> PathBuf {
    tree::files().join("older-glibc.c")
}

/// An object file to link with, so that what was compiled here runs with an older glibc.
pub(super) fn for_older_glibc() -> Result<PathBuf> {
    let folder = target().join("portable");
    fs::create_dir_all(&folder)?;
    let object = folder.join("older-glibc.o");
    run_quietly(Command::new("cc").args(["-O2", "-fPIC", "-c", "-o"]).arg(&object).arg(older_glibc()))?;
    Ok(object)
}

/// What a program or library says that it needs.
struct Needs {
    /// Names of libraries.
    libraries: Vec<String>,
    /// Versions of symbols: `GLIBC_2.34`.
    versions: Vec<String>,
}

fn needs(file: &Path) -> Result<Needs> {
    let said = output(Command::new("objdump").arg("--private-headers").arg(file))?;
    let words: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    let libraries = words.iter().filter_map(|line| match line.as_slice() {
        ["NEEDED", name] => Some((*name).to_owned()),
        _ => None,
    });
    // `0x06969194 0x00 05 GLIBC_2.34`
    let versions = words.iter().filter_map(|line| match line.as_slice() {
        [hash, _, _, version] if hash.starts_with("0x") && version.starts_with("GLIBC_") => Some((*version).to_owned()),
        _ => None,
    });
    Ok(Needs { libraries: libraries.collect(), versions: versions.collect() })
}

/// Copies to `folder` all libraries that a program needs and not every system has: those in
/// `built`, others from this system. Returns the paths of the latter.
///
/// # Errors
/// Names a library of FFmpeg that is not in `built`: the program was built with another FFmpeg.
pub(super) fn collect(program: &Path, built: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut from_system = Vec::new();
    let mut known = BTreeSet::new();
    let mut open = vec![program.to_owned()];
    while let Some(file) = open.pop() {
        for name in needs(&file)?.libraries {
            let has_each_system = SYSTEM.contains(&name.as_str()) || name.starts_with(LOADER);
            if has_each_system || !known.insert(name.clone()) {
                continue;
            }
            let made = built.join(&name);
            let source = if made.is_file() {
                made
            } else if ["libav", "libsw"].iter().any(|begin| name.starts_with(begin)) {
                bail!("{} needs {name}, which the source of FFmpeg does not give", file.display());
            } else {
                let found = on_this_system(&file, &name)?;
                from_system.push(found.clone());
                found
            };
            let to = folder.join(&name);
            tree::place(&source, &to, 0o644)?;
            tree::strip(&to)?;
            open.push(to);
        }
    }
    Ok(from_system)
}

/// Where this system's loader finds a library that `file` needs.
fn on_this_system(file: &Path, name: &str) -> Result<PathBuf> {
    let said = output(Command::new("ldd").arg(file))?;
    let found = said.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(name) && words.next() == Some("=>")).then(|| words.next()).flatten()
    });
    let path = found.with_context(|| format!("{name}, which {} needs, is not on this system", file.display()))?;
    Ok(fs::canonicalize(path)?)
}

/// The glibc that a program and the libraries in a folder need: `2.34`.
pub(super) fn glibc(program: &Path, folder: &Path) -> Result<String> {
    let mut files = vec![program.to_owned()];
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    let mut newest = Vec::new();
    for file in files {
        for version in needs(&file)?.versions {
            // That of packed relocations, which came with 2.36.
            let version = if version == "GLIBC_ABI_DT_RELR" { "GLIBC_2.36" } else { version.as_str() };
            let numbers: Option<Vec<u32>> =
                version.strip_prefix("GLIBC_").and_then(|v| v.split('.').map(|n| n.parse().ok()).collect());
            newest = numbers.unwrap_or_default().max(newest);
        }
    }
    Ok(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

/// The text on a library's licence, of the Debian package that it comes from; the package, too.
pub(super) fn licence(library: &Path) -> Result<(String, PathBuf)> {
    let path = library.to_str().context("a path that is no text")?;
    // dpkg may know it by the path from before /lib was in /usr.
    let owner = [path, path.trim_start_matches("/usr")]
        .iter()
        .find_map(|path| output(Command::new("dpkg").args(["--search", path])).ok())
        .with_context(|| format!("no Debian package owns {path}"))?;
    let package = owner.split(':').next().unwrap_or_default().to_owned();
    let text = Path::new("/usr/share/doc").join(&package).join("copyright");
    Ok((package, text))
}
