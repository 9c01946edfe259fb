//! The Debian package, and the Containerfile that installs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    tools::{self, Tool, program},
    tree::{self, place},
};
use crate::shell::{self, output, run, say, target};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const CONFIGURATION: &str = "etc/ocellus/ocellus.toml";

pub(super) const TOOLS: &[Tool] = &[
    program("dpkg", "dpkg"),
    program("dpkg-deb", "dpkg"),
    program("dpkg-shlibdeps", "dpkg-dev"),
    program("strip", "binutils"),
    program("gzip", "gzip"),
];

/// Compression of what is given away: some 20 s.
pub(super) const SMALL: &[&str] = &["-Zxz", "-z3"];
/// None: for what is only tested.
pub(super) const FAST: &[&str] = &["-Znone"];

/// Makes the package in `folder`, of what is built.
pub(super) fn make(folder: &Path, compression: &[&str]) -> Result<PathBuf> {
    tools::ensure(TOOLS)?;
    say("Packing", "the Debian package");
    let tree = folder.join("root");
    shell::remove_folder(&tree)?;
    tree::fill(&target().join("release/ocellus"), &tree.join("usr"))?;
    let files = tree::files();
    place(&files.join("ocellus.service"), &tree.join("lib/systemd/system/ocellus.service"), 0o644)?;
    place(&files.join("ocellus.toml"), &tree.join(CONFIGURATION), 0o640)?;
    place(&files.join("copyright"), &tree.join("usr/share/doc/ocellus/copyright"), 0o644)?;

    let control = tree.join("DEBIAN");
    for name in SCRIPTS {
        place(&files.join(name), &control.join(name), 0o755)?;
    }
    fs::write(control.join("conffiles"), format!("/{CONFIGURATION}\n"))?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
    let (version, depends) = (env!("CARGO_PKG_VERSION"), depends(folder, &tree.join("usr/bin/ocellus"))?);
    fs::write(
        control.join("control"),
        format!(
            "Package: ocellus\nVersion: {version}\nArchitecture: {architecture}\nSection: video\nPriority: optional\n\
             Maintainer: The Ocellus authors <ocellus@localhost>\nInstalled-Size: {}\nDepends: adduser, {depends}\n\
             Description: server for video archives\n Finds the faces, bodies and vehicles in recordings, tracks them \
             and posts them to\n the system you name. Speaks the Videos API of FindFace Multi.\n",
            tree::size(&tree)? / 1024
        ),
    )?;
    let package = folder.join(format!("ocellus_{version}_{architecture}.deb"));
    let mut pack = Command::new("dpkg-deb");
    run(pack
        .args(["--build", "--root-owner-group"])
        .args(compression)
        .arg(&tree)
        .arg(&package)
        .stdout(std::io::stderr()))?;
    for name in ["Containerfile", "Containerfile.dockerignore"] {
        place(&files.join(name), &folder.join(name), 0o644)?;
    }
    Ok(package)
}

/// The packages of the libraries that a program is linked with.
fn depends(folder: &Path, program: &Path) -> Result<String> {
    // dpkg-shlibdeps reads it, and nothing in it.
    fs::create_dir_all(folder.join("debian"))?;
    fs::write(folder.join("debian/control"), "Source: ocellus\n\nPackage: ocellus\nArchitecture: any\n")?;
    let said =
        output(Command::new("dpkg-shlibdeps").arg("-O").arg(format!("-e{}", program.display())).current_dir(folder))?;
    let found = said.lines().find_map(|line| line.strip_prefix("shlibs:Depends="));
    found.map(str::to_owned).context("dpkg-shlibdeps found no libraries")
}
