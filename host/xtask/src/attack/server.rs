//! The server that is attacked: its data folder, its starts and ends, and `ocellus check`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{client::Client, running::Running};

/// Within this it listens, whatever the end before left.
const START: Duration = Duration::from_secs(30);
/// Within this it ends by itself: connections have 10 s to finish what they are at, posts 2.
const END: Duration = Duration::from_secs(60);
/// Within this every request is answered.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program and its data folder.
pub(crate) struct Place {
    program: PathBuf,
    data: PathBuf,
    log: PathBuf,
    arguments: Vec<String>,
}

/// A server that listens. Ended when dropped.
pub(crate) struct Served {
    running: Running,
    token: String,
    /// From its start until it listened.
    pub(crate) start_up: Duration,
}

impl Place {
    /// `home` gets the data folder and the log of all servers that are started. `arguments`: for
    /// `ocellus serve`.
    pub(crate) fn new(program: PathBuf, home: &Path, arguments: &[&str]) -> Result<Self> {
        if !program.is_file() {
            bail!("{} is no program: cargo xtask build makes it, --exe names another", program.display());
        }
        fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Ok(Self { program, data: home.join("data"), log: home.join("server.log"), arguments })
    }

    /// Keeps the log elsewhere.
    pub(crate) fn log_to(self, log: PathBuf) -> Self {
        Self { log, ..self }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Where the archive keeps the file of a video; see host/store.
    pub(crate) fn source(&self, video: u64) -> PathBuf {
        self.data.join(format!("archive/{:03}/{video}/source", video / 1000))
    }

    /// Starts a server and waits for nothing.
    pub(crate) fn spawn(&self) -> Result<Running> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        // As many files as systems give to a process that asks for no more, however many this one
        // has.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 1024; exec \"$0\" \"$@\""]).arg(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&self.data).args(&self.arguments);
        Running::spawn(command.env("OCELLUS_LOG", "info,onnx_ir=warn").stderr(log))
    }

    /// Starts a server; fails where it does not listen in time.
    pub(crate) fn start(&self) -> Result<Served> {
        let begun = Instant::now();
        let mut running = self.spawn()?;
        running
            .listening(START)
            .with_context(|| format!("the server does not start; the end of its log: {}", self.last_words()))?;
        let token = fs::read_to_string(self.data.join("admin.token"))
            .context("the server has no admin token")?
            .trim()
            .to_owned();
        Ok(Served { running, token, start_up: begun.elapsed() })
    }

    /// What `ocellus check` says where it finds something; nothing where all is well.
    pub(crate) fn check(&self) -> Result<Option<String>> {
        let output = Command::new(&self.program)
            .args(["check", "--data"])
            .arg(&self.data)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).join(" ");
        Ok((!output.status.success()).then_some(said))
    }

    /// The end of the log, for an error that names its cause.
    fn last_words(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.trim_end().lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Served {
    /// A client with connections of its own.
    pub(crate) fn client(&self) -> Client {
        Client::patient(self.running.url.clone(), self.token.clone(), Some(PATIENCE))
    }

    /// Where it listens, as `127.0.0.1:8000`.
    pub(crate) fn address(&self) -> &str {
        self.running.url.trim_start_matches("http://")
    }

    pub(crate) fn id(&self) -> u32 {
        self.running.id()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.check()
    }

    pub(crate) fn kill(self) -> Result<()> {
        self.running.kill()
    }

    /// SIGTERM; fails where it does not end in good order and in time.
    pub(crate) fn terminate(self) -> Result<()> {
        let status = self.running.terminate(END)?;
        if !status.success() {
            bail!("it ended badly after SIGTERM ({status})");
        }
        Ok(())
    }
}
