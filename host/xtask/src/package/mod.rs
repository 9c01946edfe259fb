//! `cargo xtask package`: the Debian package with a Containerfile, and an archive for other
//! Linuxes, each with a smoke test: a server that is started from its files processes a recording.
//!
//! Everything is made in `target/package`, of the programs and plugins that were built before.

mod archive;
mod chroot;
mod container;
mod deb;
mod ffmpeg;
mod install;
mod libraries;
mod licences;
mod smoke_test;
mod tools;
mod tree;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    build,
    shell::{self, say, target},
};

#[derive(Args)]
pub(crate) struct PackageArguments {
    /// Make only this one. [default: both]
    #[arg(long, value_enum)]
    only: Option<Kind>,

    /// Also install the Debian package in a new Debian, have its service process a recording, and
    /// remove it again. Needs root, the network, and debootstrap and systemd-nspawn.
    #[arg(long)]
    install: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// The Debian package and the Containerfile.
    Deb,
    /// The archive (tar.zst) for other Linuxes, with FFmpeg in it.
    Archive,
}

/// Builds everything, makes the packages and tests them.
pub(crate) fn run(arguments: &PackageArguments) -> Result<()> {
    build::everything()?;
    let folder = target().join("package");
    if arguments.only != Some(Kind::Archive) {
        let package = deb::make(&folder, deb::SMALL)?;
        smoke_test::deb(&package)?;
        if arguments.install {
            install::in_new_debian(&package)?;
        }
        say("Finished", &package.display().to_string());
    }
    if arguments.only != Some(Kind::Deb) {
        let archive = archive::make(&folder)?;
        smoke_test::archive(&archive)?;
        say("Finished", &archive.display().to_string());
    }
    Ok(())
}

/// The part of it that takes seconds: makes the Debian package of what is built, and tests it.
pub(crate) fn test() -> Result<()> {
    let missing = tools::missing(deb::TOOLS);
    if !missing.is_empty() {
        say("Without", &format!("{}: no Debian package is made and tested", missing.join(", ")));
        return Ok(());
    }
    let folder = target().join("package-test");
    let tested = deb::make(&folder, deb::FAST).and_then(|package| smoke_test::deb(&package));
    // Some hundred megabytes.
    shell::remove_folder(&folder)?;
    tested
}
