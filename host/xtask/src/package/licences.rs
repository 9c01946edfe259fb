//! Licences of the libraries in Rust that the program is built of, which ask to be given along.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::shell::{cargo, output};

/// One text: the libraries with their licences, then each text with the libraries that have it.
pub(super) fn of_libraries() -> Result<String> {
    // Not those of tests, build scripts and other systems.
    let used = output(
        cargo()
            .args(["tree", "--locked", "--package", "ocellus-server", "--edges", "normal"])
            .args(["--prefix", "none", "--format", "{p}|{l}"]),
    )?;
    let used: BTreeSet<&str> = used.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let mut text = String::from("Ocellus is built of these libraries, each under the licence that it names.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in used {
        let (package, licence) = line.split_once('|').context("cargo tree prints something else")?;
        let Some((name, version)) = package.split_once(" v") else { continue };
        // A path follows the version of our own; `(proc-macro)` may follow that of others.
        if version.contains(" (/") {
            continue;
        }
        let version = version.split(' ').next().unwrap_or_default();
        writeln!(text, "{name} {version}: {licence}")?;
        for file in files(&source(name, version)?)? {
            // A few are in older encodings.
            let content = String::from_utf8_lossy(&fs::read(file)?).trim().replace("\r\n", "\n");
            texts.entry(content).or_default().push(format!("{name} {version}"));
        }
    }
    for (content, names) in texts {
        write!(text, "\n{}\n{}\n\n{content}\n", "-".repeat(100), names.join(", "))?;
    }
    Ok(text)
}

/// The folder of a library that cargo has unpacked.
fn source(name: &str, version: &str) -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo"))).context("there is no home folder")?;
    let sources = home.join("registry/src");
    let registries = fs::read_dir(&sources).with_context(|| format!("cannot read {}", sources.display()))?;
    let mut folders = registries.flatten().map(|registry| registry.path().join(format!("{name}-{version}")));
    folders.find(|folder| folder.is_dir()).with_context(|| format!("the source of {name} {version} is not there"))
}

/// The licences and notices in a library's folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.file_type()?.is_file() && BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
