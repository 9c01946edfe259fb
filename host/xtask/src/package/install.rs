//! Installation of the Debian package in a Debian that has nothing else, under systemd, and its
//! removal.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    chroot,
    container::{self, Container},
    smoke_test::{self, RECORDING, SETTINGS},
    tools::{self, Tool, program},
    tree::place,
};
use crate::shell::{self, output, run_quietly, say};

const TOOLS: &[Tool] = &[
    program("debootstrap", "debootstrap"),
    program("systemd-nspawn", "systemd-container"),
    program("nsenter", "util-linux"),
];
const DATA: &str = "/var/lib/ocellus";

/// Installs the package with what it depends on, has its service process a recording, restarts it,
/// installs the package over itself, and purges it, which leaves the data.
pub(super) fn in_new_debian(package: &Path) -> Result<()> {
    tools::ensure(TOOLS)?;
    ensure!(container::is_possible(), "a Debian of its own takes root, and not in a container");
    let root = package.with_file_name("debian");
    shell::remove_folder(&root)?;
    let tested = install(package, &root).context("the package fails in a new Debian");
    // Half a gigabyte.
    shell::remove_folder(&root)?;
    tested
}

fn install(package: &Path, root: &Path) -> Result<()> {
    let release = release()?;
    say("Installing", &format!("a new Debian ({release}) in {}", root.display()));
    let mut debootstrap = Command::new("debootstrap");
    run_quietly(debootstrap.args(["--variant=minbase", "--include=systemd,systemd-sysv", &release]).arg(root))?;
    place(package, &root.join("ocellus.deb"), 0o644)?;
    smoke_test::place_recording(root)?;
    let apt = ["apt-get", "-qq", "-y", "--no-install-recommends"];
    // The container has no network.
    for words in [&["update"][..], &["install", "--download-only", "/ocellus.deb"]] {
        run_quietly(chroot::command(root, "/").args(apt).args(words))?;
    }

    say("Installing", &format!("{} in it", package.display()));
    let debian = Container::boot(root)?;
    let run = |words: &[&str]| output(&mut debian.command(words)).map(|said| said.trim().to_owned());
    let active = || ensure_is(&run(&["systemctl", "is-active", "ocellus"])?, "active", "the service");
    run(&["sh", "-c", "dpkg --install /var/cache/apt/archives/*.deb /ocellus.deb"])?;
    active()?;
    let rights = |path: &str| run(&["stat", "--format=%U:%G %a", path]);
    ensure_is(&rights("/etc/ocellus/ocellus.toml")?, "root:ocellus 640", "the configuration")?;
    ensure_is(&rights(DATA)?, "ocellus:ocellus 700", "the data folder")?;
    let (recording, settings) = (format!("/{RECORDING}"), format!("/{SETTINGS}"));
    run(&["ocellus", "add", &recording, "--settings", &settings, "--wait", "--data", DATA])?;
    run(&["systemctl", "restart", "ocellus"])?;
    let shown = run(&["ocellus", "show", "1", "--data", DATA])?;
    let bodies = shown.lines().find_map(|line| line.strip_prefix("bodies")).unwrap_or_default().trim();
    ensure!(
        bodies.parse().is_ok_and(|n: u64| n > 0),
        "the service processed the recording and found nothing:\n{shown}"
    );

    run(&["dpkg", "--install", "/ocellus.deb"])?;
    active()?;
    run(&["dpkg", "--purge", "ocellus"])?;
    ensure!(!root.join("usr/bin/ocellus").exists(), "a purge leaves the program");
    ensure!(run(&["systemctl", "is-active", "ocellus"]).is_err(), "a purge leaves the service");
    ensure!(root.join("var/lib/ocellus/archive").is_dir(), "a purge removes recordings");
    say("Processed", &format!("by the service: {bodies} bodies; the package is removed again, the recording is not"));
    Ok(())
}

fn ensure_is(found: &str, expected: &str, what: &str) -> Result<()> {
    ensure!(found == expected, "{what} is {found:?} instead of {expected:?}");
    Ok(())
}

/// The name of this system's release, for whose libraries the package is made.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("this is no Debian")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("this is no Debian")?.to_owned())
}
