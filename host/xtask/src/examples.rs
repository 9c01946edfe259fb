//! Build of the example plugins in Python and JavaScript, as in their READMEs, with tools of pinned
//! versions that are kept in the build folder.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    shell::{assets, root, run, run_quietly, say, succeeds, target},
    system,
};

/// Builds both into `assets/examples`.
pub(crate) fn build() -> Result<()> {
    fs::create_dir_all(assets().join("examples")).context("cannot create the folder of examples")?;
    python()?;
    javascript()
}

fn python() -> Result<()> {
    let (source, tools) = (root().join("examples/python-filter"), target().join("examples/python"));
    say("Building", "examples/python-filter");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--upgrade",
        "--target",
    ]);
    run_quietly(pip.arg(&tools).arg("-r").arg(source.join("requirements.txt")))?;
    let mut componentize = Command::new(tools.join("bin/componentize-py"));
    componentize.env("PYTHONPATH", &tools).env("PYTHONDONTWRITEBYTECODE", "1").current_dir(source);
    run_quietly(
        componentize
            .args(["-q", "-d", "../../wit/v0.1", "-w", "filter", "componentize", "--stub-wasi", "tall", "-o"])
            .arg(component("tall")),
    )
}

fn javascript() -> Result<()> {
    const PACKAGES: &[&str] = &["nodejs", "npm"];
    if !succeeds("npm", &["--version"]) {
        system::install(PACKAGES);
    }
    if !succeeds("npm", &["--version"]) {
        bail!("{}", system::with_command("Node.js with npm, which builds examples/javascript-filter", PACKAGES));
    }
    // In a copy: npm installs packages beside the manifest.
    let (source, copy) = (root().join("examples/javascript-filter"), target().join("examples/javascript"));
    say("Building", "examples/javascript-filter");
    fs::create_dir_all(&copy)?;
    for file in ["package.json", "loiter.js"] {
        fs::copy(source.join(file), copy.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    run_quietly(
        Command::new("npm").args(["install", "--no-package-lock", "--no-fund", "--no-audit"]).current_dir(&copy),
    )?;
    let mut componentize = Command::new("npm");
    componentize
        .args(["run", "--silent", "build", "--", "--wit"])
        .arg(root().join("wit/v0.1"))
        .arg("--out")
        .arg(component("loiter"));
    run(componentize.current_dir(&copy))
}

fn component(name: &str) -> PathBuf {
    assets().join("examples").join(format!("{name}.wasm"))
}
