//! Smoke test of a package: a server that is started from its files in an empty folder processes
//! the demonstration's recording.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use super::{chroot, tree::place};
use crate::{
    client::{Client, Video, admin_token},
    running::Running,
    shell::{self, assets, output, run, run_quietly, say, succeeds},
};

/// A job ends long before.
const STOP: Duration = Duration::from_secs(30);

/// What is processed: a street, and settings that find what is small in it. By default only faces
/// are looked for.
pub(super) const RECORDING: &str = "bikes.mp4";
pub(super) const SETTINGS: &str = "settings.json";
const FOUND: &str = r#"{"detectors": {"body": {"filter_min_size": 24, "filter_min_quality": 0.3},
                                      "car": {"filter_min_size": 24, "filter_min_quality": 0.3}}}"#;

/// Puts both into a folder.
pub(super) fn place_recording(folder: &Path) -> Result<()> {
    place(&assets().join("media").join(RECORDING), &folder.join(RECORDING), 0o644)?;
    Ok(fs::write(folder.join(SETTINGS), FOUND)?)
}

/// The program's arguments that have the recording processed, which is in `folder`.
fn add(mut program: Command, folder: &Path) -> Command {
    program.arg("add").arg(folder.join(RECORDING)).arg("--settings").arg(folder.join(SETTINGS));
    program
}

/// Unpacks the Debian package in an empty folder and starts its program there as its unit does.
pub(super) fn deb(package: &Path) -> Result<()> {
    say("Testing", &format!("the program in {}", package.display()));
    let root = package.with_file_name("unpacked");
    shell::remove_folder(&root)?;
    run_quietly(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&root))?;
    let unit = root.join("lib/systemd/system/ocellus.service");
    let mut words = exec_start(&unit)?.into_iter().map(|word| match word.strip_prefix('/') {
        Some(path) => root.join(path).into_os_string(),
        None => word.into(),
    });
    let program = PathBuf::from(words.next().context("the unit starts nothing")?);
    let arguments: Vec<_> = words.collect();
    let data = root.join("var/lib/ocellus");
    for (name, path) in [("--data", &data), ("--config", &root.join("etc/ocellus/ocellus.toml"))] {
        let given = arguments.iter().zip(arguments.iter().skip(1)).any(|(key, value)| key == name && *value == **path);
        ensure!(given, "the unit does not start the server with {name} of the package");
    }
    names_itself(&mut Command::new(&program))?;
    ensure!(root.join("usr/share/man/man1/ocellus.1.gz").is_file(), "the package has no manual, which the unit names");
    verify(&root, &unit)?;
    place_recording(&root)?;
    let mut server = Command::new(&program);
    server.args(&arguments);
    process(server, Command::new(&program), &root, (&data, &data))
}

/// The words of the line that starts the service.
pub(super) fn exec_start(unit: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(unit).with_context(|| format!("cannot read {}", unit.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("the unit starts nothing")?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// Has systemd read the unit, where there is one.
fn verify(root: &Path, unit: &Path) -> Result<()> {
    if !succeeds("systemd-analyze", &["--version"]) {
        say("Without", "systemd-analyze: the unit is not checked");
        return Ok(());
    }
    let mut analyze = Command::new("systemd-analyze");
    let found = analyze.args(["verify", "--man=no", "--root"]).arg(root).arg(unit).output()?;
    let said = String::from_utf8_lossy(&found.stderr);
    // The root has none of the system's units, so that this one could not be started there.
    let about_ours = said.lines().filter(|line| line.contains("ocellus.service:") && !line.contains("/start: Unit "));
    let about_ours: Vec<_> = about_ours.collect();
    ensure!(about_ours.is_empty(), "systemd does not take the unit: {}", about_ours.join("; "));
    Ok(())
}

/// Unpacks the archive in a root folder that has glibc, the compilers' libraries and nothing else,
/// and starts its program there. Where a process may not have a root of its own, the program is
/// started beside this system's libraries.
pub(super) fn archive(archive: &Path) -> Result<()> {
    say("Testing", &format!("the program in {}", archive.display()));
    let root = archive.with_file_name("other-linux");
    shell::remove_folder(&root)?;
    let (place_of_it, empty) = (root.join("opt"), root.join("empty"));
    fs::create_dir_all(&place_of_it)?;
    fs::create_dir_all(&empty)?;
    run(Command::new("tar").arg("--extract").arg("--file").arg(archive).arg("--directory").arg(&place_of_it))?;
    let name = archive.file_name().and_then(|name| name.to_str()?.strip_suffix(".tar.zst"));
    let name = name.context("an archive without a name")?;
    let inside = format!("/opt/{name}/bin/ocellus");
    place_recording(&root)?;
    for folder in ["dev", "proc", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    base_system(&root)?;

    let data = empty.join("ocellus-data");
    let as_named = Path::new("ocellus-data");
    let serve = |mut program: Command| {
        program.arg("serve");
        program
    };
    if chroot::is_possible() {
        let program = || {
            let mut command = chroot::command(&root, "/empty");
            command.arg(&inside);
            command
        };
        names_itself(&mut program()).context("the program does not start where there is only glibc")?;
        return process(serve(program()), program(), Path::new("/"), (&data, as_named));
    }
    say("Without", "a root folder of its own (unshare fails): the program starts beside this system's libraries");
    let program = || {
        let mut command = Command::new(place_of_it.join(name).join("bin/ocellus"));
        command.current_dir(&empty);
        command
    };
    names_itself(&mut program())?;
    process(serve(program()), program(), &root, (&data, as_named))
}

/// Copies the loader, glibc and the compilers' libraries to the same places in `root`.
fn base_system(root: &Path) -> Result<()> {
    // ONNX Runtime needs all of them, and nothing else.
    let said = output(Command::new("ldd").arg(assets().join("onnxruntime/libonnxruntime.so")))?;
    for path in said.split_whitespace().filter(|word| word.starts_with('/') && Path::new(word).is_file()) {
        place(Path::new(path), &root.join(path.trim_start_matches('/')), 0o755)?;
    }
    Ok(())
}

/// Fails if the program does not say its version.
pub(super) fn names_itself(program: &mut Command) -> Result<()> {
    let said = output(program.arg("--version"))?;
    let version = format!("ocellus {}", env!("CARGO_PKG_VERSION"));
    // A commit follows where the sources have one.
    ensure!(said.trim() == version || said.starts_with(&format!("{version} (")), "the program calls itself {said:?}");
    Ok(())
}

/// Starts a server on a free port, and has `program` upload the recording in `folder` and wait for
/// the end of its job. `data` is the server's folder, as seen from here and from `program`.
fn process(mut server: Command, program: Command, folder: &Path, data: (&Path, &Path)) -> Result<()> {
    let log = data.0.with_extension("log");
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent)?;
    }
    server.args(["--listen", "127.0.0.1:0"]).stderr(fs::File::create(&log)?);
    let server = Running::start(&mut server).with_context(|| format!("the server's log is {}", log.display()))?;
    let mut add = add(program, folder);
    run_quietly(add.args(["--wait", "--server", &server.url, "--data"]).arg(data.1))?;
    let video: Video = Client::new(server.url.clone(), admin_token(data.0)?).get("/videos/1/")?;
    let found = format!("{} bodies, {} vehicles", video.body_count, video.car_count);
    ensure!(video.body_count > 0 && video.car_count > 0, "the recording was processed, and has {found}");
    let status = server.terminate(STOP)?;
    ensure!(status.success(), "the server ended with {status}");
    say("Processed", &format!("{} frames: {found}", video.health_status.statistic.frames_processed));
    Ok(())
}
