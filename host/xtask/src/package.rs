//! `cargo xtask package`: the Debian package, a Containerfile, and a server run from its files.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    build,
    running::Running,
    shell::{self, assets, root, run, say, target},
};

/// What ships beside the program. The licences of the networks allow it: see their manifests.
const SHARED: [&str; 4] = ["plugins", "detectors", "embedders", "onnxruntime"];
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const CONFIGURATION: &str = "etc/ocellus/ocellus.toml";

/// Builds everything, the package of it, and runs a server from the package's files.
pub(crate) fn package() -> Result<()> {
    build::everything()?;
    let package = make()?;
    check(&package)?;
    say("Finished", &package.display().to_string());
    Ok(())
}

/// Makes the package of what is built.
fn make() -> Result<PathBuf> {
    let folder = target().join("package");
    shell::remove_folder(&folder)?;
    let tree = folder.join("root");
    let program = tree.join("usr/bin/ocellus");
    place(&target().join("release/ocellus"), &program, 0o755)?;
    run(Command::new("strip").arg("--strip-unneeded").arg(&program))?;
    for name in SHARED {
        copy_folder(&assets().join(name), &tree.join("usr/share/ocellus").join(name))?;
    }
    let files = root().join("host/xtask/package");
    place(&files.join("ocellus.service"), &tree.join("lib/systemd/system/ocellus.service"), 0o644)?;
    place(&files.join("ocellus.toml"), &tree.join(CONFIGURATION), 0o640)?;
    for name in ["LICENSE-MIT", "LICENSE-APACHE", "CHANGELOG.md", "README.md"] {
        place(&root().join(name), &tree.join("usr/share/doc/ocellus").join(name), 0o644)?;
    }
    let manual = tree.join("usr/share/man/man1");
    run(Command::new(&program).arg("man").arg(&manual))?;
    for page in fs::read_dir(&manual)? {
        run(Command::new("gzip").args(["--best", "--no-name"]).arg(page?.path()))?;
    }
    let script = output(Command::new(&program).args(["completions", "bash"]))?;
    let completions = tree.join("usr/share/bash-completion/completions");
    fs::create_dir_all(&completions)?;
    fs::write(completions.join("ocellus"), script)?;

    let control = tree.join("DEBIAN");
    for name in SCRIPTS {
        place(&files.join(name), &control.join(name), 0o755)?;
    }
    fs::write(control.join("conffiles"), format!("/{CONFIGURATION}\n"))?;
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned();
    let (version, depends) = (env!("CARGO_PKG_VERSION"), depends(&folder, &program)?);
    fs::write(
        control.join("control"),
        format!(
            "Package: ocellus\nVersion: {version}\nArchitecture: {architecture}\nSection: video\nPriority: optional\n\
             Maintainer: The Ocellus authors <ocellus@localhost>\nInstalled-Size: {}\nDepends: adduser, {depends}\n\
             Description: server for video archives\n Finds the faces, bodies and vehicles in recordings, tracks them \
             and posts them to\n the system you name. Speaks the Videos API of FindFace Multi.\n",
            size(&tree)? / 1024
        ),
    )?;
    let package = folder.join(format!("ocellus_{version}_{architecture}.deb"));
    run(Command::new("dpkg-deb").args(["--build", "--root-owner-group", "-Zxz", "-z3"]).arg(&tree).arg(&package))?;
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

/// Unpacks the package, has its program name itself, and processes a recording by it: plugins and
/// networks are found where the package has them.
fn check(package: &Path) -> Result<()> {
    let folder = target().join("package/unpacked");
    run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&folder))?;
    let program = folder.join("usr/bin/ocellus");
    let version = output(Command::new(&program).arg("--version"))?;
    if !version.starts_with(&format!("ocellus {}", env!("CARGO_PKG_VERSION"))) {
        bail!("the package's program calls itself {version:?}");
    }
    let unit = folder.join("lib/systemd/system/ocellus.service");
    if shell::succeeds("systemd-analyze", &["--version"]) {
        let found = Command::new("systemd-analyze").arg("verify").arg("--root").arg(&folder).arg(&unit).output()?;
        let said = String::from_utf8_lossy(&found.stderr);
        if said.contains("ocellus.service") && said.contains("Unknown") {
            bail!("systemd does not take the unit: {said}");
        }
    }
    let data = folder.join("data");
    let server =
        Running::start(Command::new(&program).args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data))?;
    let sample = assets().join("media/bikes.mp4");
    run(Command::new(&program).arg("add").arg(sample).args(["--wait", "--server", &server.url, "--data"]).arg(&data))
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
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
fn size(folder: &Path) -> Result<u64> {
    fs::read_dir(folder)?.try_fold(0, |sum, entry| {
        let path = entry?.path();
        Ok(sum + if path.is_dir() { size(&path)? } else { fs::metadata(&path)?.len() })
    })
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{:?} failed: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
