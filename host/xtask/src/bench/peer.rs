//! Virtual environment of the Python peer, which the server is compared with.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::shell::{root, run_quietly, say, target};

/// Creates the environment if it is missing or has other packages; the path of its interpreter.
pub(super) fn python() -> Result<PathBuf> {
    let folder = target().join("bench/peer");
    let wanted = root().join("tests/peer/requirements.txt");
    let text = fs::read_to_string(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    let (python, installed) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if fs::read_to_string(&installed).is_ok_and(|installed| installed == text) {
        return Ok(python);
    }
    say("Fetching", "Python packages for tests/peer");
    run_quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut pip = Command::new(&python);
    run_quietly(pip.args(["-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "-r"]).arg(&wanted))?;
    fs::write(&installed, text)?;
    Ok(python)
}
