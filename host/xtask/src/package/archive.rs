//! The archive for Linuxes without the Debian package: the program with everything that not every
//! Linux has.
//!
//! FFmpeg lies beside the program as shared libraries, which is what its licence asks for: whoever
//! has the archive can put libraries of his own in their place. Its source goes along.

use std::{
    env::consts::ARCH,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    ffmpeg::{self, Ffmpeg},
    libraries,
    tools::{self, Tool, program},
    tree::{self, place},
};
use crate::shell::{self, cargo, run, say, target};

const TOOLS: &[Tool] = &[
    program("objdump", "binutils"),
    program("strip", "binutils"),
    program("ldd", "libc-bin"),
    program("gzip", "gzip"),
    program("tar", "tar"),
    program("zstd", "zstd"),
];

/// Where the program looks for libraries; host/server/build.rs links it so.
const LIBRARIES: &str = "lib/ocellus";

/// Makes the archive in `folder`, of what is built.
pub(super) fn make(folder: &Path) -> Result<PathBuf> {
    tools::ensure(TOOLS)?;
    tools::ensure(ffmpeg::TOOLS)?;
    let ffmpeg = ffmpeg::build()?;
    let program = program_for_any_linux()?;
    let name = format!("ocellus-{}-linux-{ARCH}", env!("CARGO_PKG_VERSION"));
    say("Packing", &name);
    let tree = folder.join("archive").join(&name);
    shell::remove_folder(&folder.join("archive"))?;
    tree::fill(&program, &tree)?;
    let installed = tree.join("bin/ocellus");
    let taken = libraries::collect(&installed, &ffmpeg.libraries, &tree.join(LIBRARIES))?;
    let licences = tree.join("share/doc/ocellus/licences");
    for library in &taken {
        let (package, text) = libraries::licence(library)?;
        place(&text, &licences.join(package), 0o644)?;
    }
    give_source(&ffmpeg, &licences.join("ffmpeg"))?;
    let files = tree::files();
    place(&files.join("ocellus.service"), &tree.join("share/doc/ocellus/ocellus.service"), 0o644)?;
    place(&files.join("ocellus.toml"), &tree.join("share/doc/ocellus/ocellus.toml"), 0o644)?;
    let glibc = libraries::glibc(&installed, &tree.join(LIBRARIES))?;
    let readme = fs::read_to_string(files.join("archive.md"))?.replace("{glibc}", &glibc);
    fs::write(tree.join("README.md"), readme)?;

    let archive = folder.join(format!("{name}.tar.zst"));
    let mut pack = Command::new("tar");
    pack.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--use-compress-program"]);
    pack.arg("zstd -15 --threads=0 --quiet").arg("--file").arg(&archive);
    run(pack.arg("--directory").arg(folder.join("archive")).arg(&name))?;
    say("Packed", &format!("{} for Linuxes with glibc {glibc} or later", archive.display()));
    Ok(archive)
}

/// Links the program again: for older glibcs, and to look for libraries beside it. In a build
/// folder of its own, so that the usual program stays built.
fn program_for_any_linux() -> Result<PathBuf> {
    say("Building", "the program for any Linux");
    let (usual, own) = (target().join("release"), target().join("portable/release"));
    shell::remove_folder(&own)?;
    fs::create_dir_all(&own)?;
    // All but the program itself is the same; compilers replace files and do not change them.
    for part in ["build", "deps", ".fingerprint"] {
        let copied = Command::new("cp").args(["--archive", "--link"]).arg(usual.join(part)).arg(&own).status();
        copied.ok().filter(|status| status.success()).with_context(|| format!("cannot link {part} of the build"))?;
    }
    let mut build = cargo();
    build
        .args(["build", "--release", "--workspace", "--bin", "ocellus", "--target-dir"])
        .arg(target().join("portable"));
    run(build.env("OCELLUS_PORTABLE", libraries::for_older_glibc()?))?;
    Ok(own.join("ocellus"))
}

/// The licence of FFmpeg, its source, and how to put another build in its place.
fn give_source(ffmpeg: &Ffmpeg, folder: &Path) -> Result<()> {
    for name in ["COPYING.LGPLv2.1", "LICENSE.md"] {
        place(&ffmpeg.unpacked.join(name), &folder.join(name), 0o644)?;
    }
    for file in &ffmpeg.source {
        let name = file.file_name().context("a file without a name")?;
        place(file, &folder.join("source").join(name), 0o644)?;
    }
    place(&libraries::older_glibc(), &folder.join("older-glibc.c"), 0o644)?;
    let text = fs::read_to_string(tree::files().join("ffmpeg.md"))?;
    let text = text.replace("{version}", &ffmpeg.version).replace("{options}", &ffmpeg.options);
    Ok(fs::write(folder.join("README.md"), text)?)
}
