//! A Debian that runs systemd in a container of systemd-nspawn, with a network of its own. Ends
//! when the value is dropped.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    children::ask_to_end,
    shell::{output, succeeds},
};

const BOOT: Duration = Duration::from_secs(60);

pub(super) struct Container {
    process: Child,
    /// Its systemd, as seen from here.
    leader: u32,
}

impl Container {
    /// Starts systemd in `root`, and waits until it has started its services.
    ///
    /// # Errors
    /// Names the log of what it printed.
    pub(super) fn boot(root: &Path) -> Result<Self> {
        let log = root.with_extension("log");
        let file = File::create(&log)?;
        let process = Command::new("systemd-nspawn")
            .arg("--directory")
            .arg(root)
            // Not known to this system's systemd, if there is one.
            .args(["--keep-unit", "--register=no", "--private-network", "--console=pipe"])
            // Its filter lacks these calls, with which decoders confine themselves.
            .arg("--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self")
            .arg("--boot")
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot run systemd-nspawn")?;
        let mut container = Self { process, leader: 0 };
        let begun = Instant::now();
        while !container.is_up()? {
            if begun.elapsed() > BOOT || container.process.try_wait()?.is_some() {
                bail!("systemd does not start in a container: see {}", log.display());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(container)
    }

    fn is_up(&mut self) -> Result<bool> {
        let id = self.process.id();
        // Gone where it has ended, which the caller sees.
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let systemd = children
            .split_whitespace()
            .find(|child| fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|name| name.trim() == "systemd"));
        let Some(systemd) = systemd else { return Ok(false) };
        self.leader = systemd.parse()?;
        // Fails where it is still starting.
        Ok(output(&mut self.command(&["systemctl", "is-system-running"])).is_ok())
    }

    /// A command within the container.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.leader.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.leader != 0 {
            // Stops the services in order.
            let poweroff = self.command(&["systemctl", "poweroff"]).stderr(Stdio::null()).status();
            if poweroff.is_ok_and(|status| status.success()) {
                let _ = self.process.wait();
                return;
            }
        }
        let _ = ask_to_end(self.process.id());
        let _ = self.process.wait();
    }
}

/// Whether this user may make one.
pub(super) fn is_possible() -> bool {
    succeeds("unshare", &["--mount", "--pid", "--net", "--fork", "true"])
}
