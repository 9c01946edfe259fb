//! Files of a package in the folder that it is packed from.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::licences;
use crate::shell::{assets, output, root, run};

/// What ships beside the program. The licences of the networks allow it: see their manifests.
const SHARED: [&str; 4] = ["plugins", "detectors", "embedders", "onnxruntime"];

/// Folder of what packages hold besides what is built.
pub(super) fn files() -> PathBuf {
    root().join("host/xtask/package")
}

/// Fills `prefix`, such as `/usr`, with the program without its debug information, all that it
/// needs at run time but libraries, its manual and licences.
pub(super) fn fill(program: &Path, prefix: &Path) -> Result<()> {
    let installed = prefix.join("bin/ocellus");
    place(program, &installed, 0o755)?;
    strip(&installed)?;
    for name in SHARED {
        copy_folder(&assets().join(name), &prefix.join("share/ocellus").join(name))?;
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "README.md"] {
        place(&root().join(name), &prefix.join("share/doc/ocellus").join(name), 0o644)?;
    }
    fs::write(prefix.join("share/doc/ocellus/THIRD-PARTY.txt"), licences::of_libraries()?)?;
    // By the program as it was built: that of the archive may not find its libraries yet.
    let manual = prefix.join("share/man/man1");
    run(Command::new(program).arg("man").arg(&manual))?;
    for page in fs::read_dir(&manual)? {
        run(Command::new("gzip").args(["--best", "--no-name"]).arg(page?.path()))?;
    }
    let completions = prefix.join("share/bash-completion/completions");
    fs::create_dir_all(&completions)?;
    fs::write(completions.join("ocellus"), output(Command::new(program).args(["completions", "bash"]))?)?;
    Ok(())
}

/// Removes what only debuggers read.
pub(super) fn strip(file: &Path) -> Result<()> {
    run(Command::new("strip").arg("--strip-unneeded").arg(file))
}

/// Copies a file and makes its folder.
pub(super) fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("{} is missing", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() { copy_folder(&entry.path(), &target)? } else { place(&entry.path(), &target, 0o644)? }
    }
    Ok(())
}

/// Bytes of all files in a folder.
pub(super) fn size(folder: &Path) -> Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let path = entry?.path();
        Ok(sum + if path.is_dir() { size(&path)? } else { fs::metadata(&path)?.len() })
    })
}
