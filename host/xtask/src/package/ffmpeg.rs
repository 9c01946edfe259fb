//! FFmpeg's libraries under the LGPL, built from the distribution's own source.
//!
//! Debian's packages of them are a GPL build, which a program that is given away under MIT or
//! Apache-2.0 cannot take with it. The same version is built here without the parts under the GPL,
//! with the same interface, so that a program built with Debian's headers runs with either.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;

use super::{
    libraries,
    tools::{Tool, headers, program},
};
use crate::shell::{self, output, run_quietly, say, target};

pub(super) const TOOLS: &[Tool] = &[
    program("apt-get", "apt"),
    program("dpkg-source", "dpkg-dev"),
    program("cc", "gcc"),
    program("make", "make"),
    program("pkg-config", "pkg-config"),
    headers("dav1d", "libdav1d-dev"),
    headers("zlib", "zlib1g-dev"),
    headers("ffnvcodec", "libffmpeg-nvenc-dev"),
];

/// All decoders, demuxers and parsers, since a recording may be anything; of the rest, what
/// host/media calls: the two containers that recordings of streams are written to, and the
/// connection to its own relay. TLS, HTTP and pictures are done without FFmpeg.
///
/// Not Debian's: VA-API, whose drivers belong to the system's own libva. NVIDIA's decoders are
/// loaded where there is a driver.
const OPTIONS: &[&str] = &[
    "--disable-gpl",
    "--disable-nonfree",
    "--enable-shared",
    "--disable-static",
    "--disable-programs",
    "--disable-doc",
    "--disable-debug",
    "--disable-autodetect",
    "--enable-pthreads",
    "--enable-zlib",
    "--enable-libdav1d",
    "--enable-ffnvcodec",
    "--enable-cuvid",
    "--enable-nvdec",
    "--disable-avdevice",
    "--disable-avfilter",
    "--disable-encoders",
    "--disable-muxers",
    "--enable-muxer=matroska,mov",
    "--disable-protocols",
    "--enable-protocol=tcp",
];

/// What the licence asks to be given along.
pub(super) struct Ffmpeg {
    /// Folder of the libraries.
    pub(super) libraries: PathBuf,
    /// The source package: what the distribution has, signed by it.
    pub(super) source: Vec<PathBuf>,
    /// Folder of the source, unpacked.
    pub(super) unpacked: PathBuf,
    /// Version of the source package.
    pub(super) version: String,
    /// The options it was built with.
    pub(super) options: String,
}

/// Builds the libraries, unless those of the present source and options are there.
pub(super) fn build() -> Result<Ffmpeg> {
    let home = target().join("ffmpeg");
    let (source, version) = fetch(&home).context("cannot get the source of FFmpeg")?;
    let (unpacked, folder, installed) = (home.join("unpacked"), home.join("build"), home.join("installed"));
    let options = OPTIONS.join(" ");
    let (stamp, made_of) = (installed.join("made-of"), format!("{version}\n{options}\n"));
    if fs::read_to_string(&stamp).ok().as_ref() != Some(&made_of) {
        for old in [&unpacked, &folder, &installed] {
            shell::remove_folder(old)?;
        }
        let description = source.iter().find(|file| file.extension().is_some_and(|e| e == "dsc"));
        let description = description.context("the source package has no .dsc")?;
        run_quietly(Command::new("dpkg-source").arg("--extract").arg(description).arg(&unpacked))?;
        fs::create_dir_all(&folder)?;
        say("Configuring", &format!("FFmpeg {version}"));
        let prefix = format!("--prefix={}", installed.display());
        let older = format!("--extra-ldsoflags={}", libraries::for_older_glibc()?.display());
        run_quietly(Command::new(unpacked.join("configure")).args(OPTIONS).args([prefix, older]).current_dir(&folder))?;
        // The options that need the GPL are off unless asked for; FFmpeg itself says so.
        let configured = fs::read_to_string(folder.join("config.h"))?;
        if !configured.lines().any(|line| line == "#define FFMPEG_LICENSE \"LGPL version 2.1 or later\"") {
            bail!("FFmpeg {version} is not under the LGPL 2.1 as it is configured");
        }
        compile(&folder).context("cannot build FFmpeg")?;
        run_quietly(Command::new("make").args(["--silent", "install-libs"]).current_dir(&folder))?;
        shell::remove_folder(&folder)?;
        fs::write(&stamp, made_of)?;
    }
    Ok(Ffmpeg { libraries: installed.join("lib"), source, unpacked, version, options })
}

/// Fetches the source package by apt, which checks its signature; the files and the version.
/// What apt has on this system stays as it is: lists, sources and caches are in `home`.
fn fetch(home: &Path) -> Result<(Vec<PathBuf>, String)> {
    let (lists, cache, to) = (home.join("apt/lists"), home.join("apt/cache"), home.join("source"));
    for folder in [lists.join("partial"), cache.join("archives/partial")] {
        fs::create_dir_all(folder)?;
    }
    shell::remove_folder(&to)?;
    fs::create_dir_all(&to)?;
    // The distribution's own sources, as source packages.
    let targets = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(ORIGIN)|deb-src $(REPO_URI) $(RELEASE) $(COMPONENT)",
        "Created-By: Packages",
    ]))?;
    let mut entries: Vec<_> =
        targets.lines().filter_map(|l| l.strip_prefix("Debian|").or(l.strip_prefix("Ubuntu|"))).collect();
    entries.sort_unstable();
    entries.dedup();
    if entries.is_empty() {
        bail!("apt knows no packages of Debian or Ubuntu: run apt-get update");
    }
    let list = home.join("apt/sources.list");
    fs::write(&list, entries.join("\n") + "\n")?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        let set = |command: &mut Command, key: &str, path: &Path| {
            command.arg("-o").arg(format!("{key}={}", path.display()));
        };
        set(&mut command, "Dir::Etc::sourcelist", &list);
        set(&mut command, "Dir::Etc::sourceparts", Path::new("/dev/null"));
        set(&mut command, "Dir::State::lists", &lists);
        set(&mut command, "Dir::Cache", &cache);
        // The user that apt downloads as may not write here.
        command.args(["-o", "APT::Sandbox::User=root", "-qq"]).args(arguments).current_dir(&to);
        run_quietly(&mut command)
    };
    say("Fetching", "the source of FFmpeg, by apt");
    apt(&["update"])?;
    apt(&["source", "--download-only", "ffmpeg"])?;
    let mut files = fs::read_dir(&to)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let version = names.find_map(|name| name.strip_prefix("ffmpeg_")?.strip_suffix(".dsc"));
    let version = version.context("apt gave no .dsc")?.to_owned();
    Ok((files, version))
}

/// Runs make, and shows how far it is.
fn compile(folder: &Path) -> Result<()> {
    say("Building", "FFmpeg's libraries (some 6 minutes on two cores)");
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let log = folder.join("make.log");
    let mut make = Command::new("make")
        .arg(format!("--jobs={jobs}"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("make.errors"))?)
        .spawn()
        .context("cannot run make")?;
    let spinner = ProgressBar::new_spinner();
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut written = File::create(&log)?;
    let output = make.stdout.take().context("no output")?;
    for (n, line) in BufReader::new(output).lines().map_while(Result::ok).enumerate() {
        writeln!(written, "{line}")?;
        spinner.set_message(format!("{n} files; {}", line.split_whitespace().last().unwrap_or_default()));
    }
    let status = make.wait()?;
    spinner.finish_and_clear();
    if !status.success() {
        bail!("make failed ({status}): see make.log and make.errors in {}", folder.display());
    }
    Ok(())
}
