//! `cargo xtask clients`: the programs that integrators and operators use, against a real server.
//!
//! Generated clients in Python, TypeScript, Go and Java, schemathesis, the libraries of Standard
//! Webhooks and of tus, promtool. `tests/clients/setup.sh` installs them into `target/clients`; the
//! suite's tests that use them run there, and fail here where a tool is missing.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{
    build,
    shell::{cargo, root, run as run_shown, say, succeeds},
    system,
};

/// Tests of the suite in which these programs run.
const TESTS: &[&str] = &["clients::", "webhooks::", "resumable::", "metrics::"];

/// What pip and npm do not have: whether it is there, and Debian's packages of it.
type Needed = (fn() -> bool, &'static [&'static str]);

const NEEDED: &[Needed] = &[
    (|| succeeds("python3", &["-m", "venv", "--help"]), &["python3-venv"]),
    (|| succeeds("npm", &["--version"]), &["npm"]),
    (|| succeeds("javac", &["-version"]), &["default-jdk-headless"]),
    (|| Path::new("/usr/share/java/httpclient5.jar").exists(), &["libhttpclient5-java"]),
    (|| Path::new("/usr/share/java/jakarta-annotation-api.jar").exists(), &["libjakarta-annotation-api-java"]),
    (|| succeeds("go", &["version"]), &["golang-go"]),
    (|| Path::new("/usr/share/gocode/src/gopkg.in/validator.v2").exists(), &["golang-gopkg-validator.v2-dev"]),
];

pub(crate) fn run() -> Result<()> {
    build::everything()?;
    let missing = || NEEDED.iter().filter(|(is_there, _)| !is_there()).flat_map(|(_, packages)| *packages).copied();
    let packages: Vec<_> = missing().collect();
    if !packages.is_empty() {
        system::install(&packages);
    }
    let packages: Vec<_> = missing().collect();
    if !packages.is_empty() {
        bail!("still missing:\n  - {}", system::with_command("clients' languages", &packages));
    }
    say("Installing", "generators, schemathesis and client libraries into target/clients");
    run_shown(&mut Command::new(root().join("tests/clients/setup.sh")))?;
    let mut tests = cargo();
    // The whole workspace: a single package would have its dependencies built with other features.
    tests.args(["test", "--release", "--workspace", "--test", "suite", "--"]).args(TESTS);
    run_shown(tests.env("OCELLUS_CLIENTS", "all"))
}
