//! The server under test: its data folder, starts and stops, and `ocellus check`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    build,
    client::{Client, admin_token},
    running::Running,
    shell::target,
};

/// Longest time until the server listens, also after a kill.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time from SIGTERM until the server ends: connections get 10 s to finish, posts 2 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Timeout of every request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The program of `--exe`, or else that of this repository, built before.
pub(crate) fn program(exe: Option<&Path>) -> Result<PathBuf> {
    match exe {
        Some(program) => Ok(program.to_path_buf()),
        None => {
            build::everything()?;
            Ok(target().join("release/ocellus"))
        }
    }
}

/// A program and its data folder.
pub(crate) struct Installation {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
}

/// A running server that listens. Stopped when dropped.
pub(crate) struct LiveServer {
    running: Running,
    token: String,
    /// Time from the start of the process until it listened.
    pub(crate) start_up: Duration,
}

impl Installation {
    /// The data folder and the log of all starts lie in `home`. `arguments` are those of
    /// `ocellus serve`.
    pub(crate) fn new(program: PathBuf, home: &Path, arguments: &[&str]) -> Result<Self> {
        if !program.is_file() {
            bail!("{} is not a file: cargo xtask build makes it, --exe names another", program.display());
        }
        fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Ok(Self { program, data: home.join("data"), log: home.join("server.log"), arguments })
    }

    /// With the log at another path.
    pub(crate) fn log_to(self, log: PathBuf) -> Self {
        Self { log, ..self }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Path of a video's source file in the archive; see host/store.
    pub(crate) fn source(&self, video: u64) -> PathBuf {
        self.data.join(format!("archive/{:03}/{video}/source", video / 1000))
    }

    /// Starts a server without waiting until it listens.
    pub(crate) fn spawn(&self) -> Result<Running> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        // The default limit of open files, not the higher one of this process.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 1024; exec \"$0\" \"$@\""]).arg(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data).args(&self.arguments);
        Running::spawn(command.env("OCELLUS_LOG", "info,onnx_ir=warn").stderr(log))
    }

    /// Starts a server; fails if it does not listen within [`START_TIMEOUT`].
    pub(crate) fn start(&self) -> Result<LiveServer> {
        let begun = Instant::now();
        let mut running = self.spawn()?;
        running
            .listening(START_TIMEOUT)
            .with_context(|| format!("the server does not start; the end of its log: {}", self.log_tail()))?;
        let token = admin_token(&self.data)?;
        Ok(LiveServer { running, token, start_up: begun.elapsed() })
    }

    /// Runs `ocellus check`; its output if it found anything.
    pub(crate) fn check(&self) -> Result<Option<String>> {
        let output = Command::new(&self.program)
            .args(["check", "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join(" ");
        Ok((!output.status.success()).then_some(text))
    }

    /// The last three lines of the log.
    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.trim_end().lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl LiveServer {
    /// A client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::with_timeout(self.running.url.clone(), self.token.clone(), Some(REQUEST_TIMEOUT))
    }

    /// Address that it listens on, `127.0.0.1:8000`.
    pub(crate) fn address(&self) -> &str {
        self.running.url.trim_start_matches("http://")
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.check()
    }

    pub(crate) fn kill(self) -> Result<()> {
        self.running.kill()
    }

    /// Sends SIGTERM; fails if the exit status is not 0 or the server does not end within
    /// [`STOP_TIMEOUT`].
    pub(crate) fn terminate(self) -> Result<()> {
        let status = self.running.terminate(STOP_TIMEOUT)?;
        if !status.success() {
            bail!("it failed after SIGTERM ({status})");
        }
        Ok(())
    }
}
