//! Disk of the data folder (tmpfs) that can be filled and freed. Needs root to mount it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::shell::say;

const MEGABYTES: u32 = 160;

/// A mounted tmpfs. Unmounted when dropped, with its content.
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    fn of(home: &Path) -> PathBuf {
        home.join("disk")
    }

    /// Mounts the disk; `None`, with a line to the user, if mounting is not permitted.
    pub(super) fn mount(home: &Path) -> Result<Option<Self>> {
        let folder = Self::of(home);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let size = format!("size={MEGABYTES}m,mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&folder);
        let mounted = mount.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Ok(Some(Self { folder }));
        }
        say("Without", "a full disk: only root may mount one");
        Ok(None)
    }

    /// Unmounts the disk that a killed run left.
    pub(super) fn unmount_left(home: &Path) -> Result<()> {
        let folder = Self::of(home);
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let is_mounted = mounts.lines().any(|line| line.split(' ').nth(1) == folder.to_str());
        if is_mounted && !unmount(&folder) {
            bail!("{} cannot be unmounted: another process may use it", folder.display());
        }
        Ok(())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn filling(&self) -> PathBuf {
        self.folder.join("filling")
    }

    /// Fills the disk to the last byte.
    pub(super) fn fill(&self) -> Result<()> {
        let path = self.filling();
        // A full disk may refuse even an empty file.
        let Ok(mut file) = File::options().create(true).append(true).open(&path) else { return Ok(()) };
        for size in [1 << 20, 4096, 1] {
            let block = vec![0; size];
            loop {
                match file.write_all(&block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
                }
            }
        }
        Ok(())
    }

    pub(super) fn free(&self) -> Result<()> {
        match fs::remove_file(self.filling()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("the disk cannot be freed"),
            _ => Ok(()),
        }
    }
}

fn unmount(folder: &Path) -> bool {
    Command::new("umount").arg(folder).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

impl Drop for Disk {
    fn drop(&mut self) {
        if !unmount(&self.folder) {
            say("Warning", &format!("{} is still mounted", self.folder.display()));
        }
    }
}
