//! Programs of ours that run beside a command of this one.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

/// A program of ours that listens; ended when dropped.
pub(crate) struct Running {
    process: Child,
    pub(crate) url: String,
}

impl Running {
    /// Starts it and waits until it says where it listens.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| format!("cannot run {name}"))?;
        let output = process.stdout.take().context("no output")?;
        let mut running = Self { process, url: String::new() };
        let mut lines = BufReader::new(output).lines();
        for line in &mut lines {
            if let Some(url) = line?.strip_prefix("listening on ") {
                running.url = url.to_owned();
                // Whatever it says later must not fill the pipe.
                thread::spawn(move || lines.for_each(drop));
                return Ok(running);
            }
        }
        bail!("{name} ended before it listened")
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
}

impl Drop for Running {
    /// Asks it to end, and waits until it has.
    fn drop(&mut self) {
        // By the shell, whose own `kill` is there also where the program of that name is not.
        let asked = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.process.id().to_string()]).stderr(Stdio::null()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}
