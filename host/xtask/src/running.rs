//! Programs of ours that run beside a command of this one.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// A start takes seconds; with an archive of a hundred thousand videos and no index some more.
const START: Duration = Duration::from_secs(600);

/// A program of ours that listens; ended when dropped.
pub(crate) struct Running {
    process: Child,
    /// Empty until it listens.
    pub(crate) url: String,
    /// Gets the URL; closed when the program says nothing more.
    said: Receiver<String>,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut running = Self::spawn(command)?;
        running.listening(START)?;
        Ok(running)
    }

    /// Starts it, and waits for nothing.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let output = process.stdout.take().context("no output")?;
        let (say, said) = mpsc::channel();
        // To its end: whatever it says later must not fill the pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    // Nobody waits any more where it was killed meanwhile.
                    let _ = say.send(url.to_owned());
                }
            }
        });
        Ok(Self { process, url: String::new(), said })
    }

    /// Waits until it says where it listens.
    pub(crate) fn listening(&mut self, patience: Duration) -> Result<()> {
        match self.said.recv_timeout(patience) {
            Ok(url) => self.url = url,
            Err(RecvTimeoutError::Timeout) => bail!("it does not listen after {} s", patience.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended before it listened ({})", self.process.wait()?),
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("it ended ({status})"),
            None => Ok(()),
        }
    }

    /// SIGKILL; waits until it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGTERM, and how it ended; fails where it goes on for longer than `patience`.
    pub(crate) fn terminate(mut self, patience: Duration) -> Result<ExitStatus> {
        self.ask_to_end()?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > patience {
                self.process.kill()?;
                bail!("it still runs {} s after SIGTERM", patience.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// By the shell, whose own `kill` is there also where the program of that name is not.
    fn ask_to_end(&self) -> Result<()> {
        let status = Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.process.id().to_string()])
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("process {} cannot be ended", self.process.id());
        }
        Ok(())
    }
}

impl Drop for Running {
    /// Asks it to end, and waits until it has.
    fn drop(&mut self) {
        // Its number may be another's once it was waited for.
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        if self.ask_to_end().is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
