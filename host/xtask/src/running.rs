//! Child processes that serve HTTP: the server and the example receiver.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::children::{Listed, ask_to_end};

/// Rebuilding the index of an archive of 100,000 videos on a slow machine takes minutes.
const START_TIMEOUT: Duration = Duration::from_secs(600);

/// A child process that prints the URL that it listens on. Stopped when dropped.
pub(crate) struct Running {
    process: Child,
    /// URL that it listens on; empty before.
    pub(crate) url: String,
    /// Receives the URL; closed when standard output is.
    announced: Receiver<String>,
    /// Dropped after the process has ended.
    _listed: Listed,
}

impl Running {
    /// Starts a process and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut running = Self::spawn(command)?;
        running.listening(START_TIMEOUT)?;
        Ok(running)
    }

    /// Starts a process without waiting.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {name}"))?;
        let output = process.stdout.take().context("no output")?;
        let (announce, announced) = mpsc::channel();
        // Reads to the end, so that later output does not fill the pipe.
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening on ") {
                    // Fails if the process was dropped meanwhile.
                    let _ = announce.send(url.to_owned());
                }
            }
        });
        Ok(Self { _listed: Listed::new(&process), process, url: String::new(), announced })
    }

    /// Waits until it listens.
    pub(crate) fn listening(&mut self, timeout: Duration) -> Result<()> {
        match self.announced.recv_timeout(timeout) {
            Ok(url) => self.url = url,
            Err(RecvTimeoutError::Timeout) => bail!("it does not listen after {} s", timeout.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended before it listened ({})", self.process.wait()?),
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Fails if the process has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.try_wait()? {
            Some(status) => bail!("it ended ({status})"),
            None => Ok(()),
        }
    }

    /// Sends SIGKILL and waits for the end of the process.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and waits for the exit status; after `timeout` the process is killed, which is
    /// an error.
    pub(crate) fn terminate(mut self, timeout: Duration) -> Result<ExitStatus> {
        ask_to_end(self.process.id())?;
        let asked = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            if asked.elapsed() > timeout {
                self.process.kill()?;
                bail!("it still runs {} s after SIGTERM", timeout.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    /// Sends SIGTERM and waits for the end of the process.
    fn drop(&mut self) {
        // A process that was waited for has ended, and its id may be reused.
        if matches!(self.process.try_wait(), Ok(Some(_))) {
            return;
        }
        if ask_to_end(self.process.id()).is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
