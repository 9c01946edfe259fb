//! Programs and headers that packages are made with, and the Debian packages that hold them.

use std::{env, path::Path};

use anyhow::{Result, bail};

use crate::{shell::succeeds, system};

/// What has to be installed.
pub(super) struct Tool {
    pub(super) what: What,
    /// The Debian package that holds it.
    pub(super) package: &'static str,
}

pub(super) enum What {
    /// A program, by its name.
    Program(&'static str),
    /// Headers of a library, by their name for pkg-config.
    Headers(&'static str),
}

pub(super) const fn program(name: &'static str, package: &'static str) -> Tool {
    Tool { what: What::Program(name), package }
}

pub(super) const fn headers(name: &'static str, package: &'static str) -> Tool {
    Tool { what: What::Headers(name), package }
}

impl Tool {
    fn is_installed(&self) -> bool {
        match self.what {
            What::Program(name) => is_in_path(name),
            What::Headers(name) => succeeds("pkg-config", &["--exists", name]),
        }
    }

    fn shown(&self) -> String {
        match self.what {
            What::Program(name) => format!("{name} (Debian package {})", self.package),
            What::Headers(name) => format!("the headers of {name} (Debian package {})", self.package),
        }
    }
}

/// Those that are missing, each with its Debian package.
pub(super) fn missing(tools: &[Tool]) -> Vec<String> {
    tools.iter().filter(|tool| !tool.is_installed()).map(Tool::shown).collect()
}

/// Installs what is missing, where that is possible.
///
/// # Errors
/// Names what is still missing.
pub(super) fn ensure(tools: &[Tool]) -> Result<()> {
    let mut packages: Vec<_> = tools.iter().filter(|tool| !tool.is_installed()).map(|tool| tool.package).collect();
    packages.dedup();
    if !packages.is_empty() {
        system::install(&packages);
    }
    let missing = missing(tools);
    if !missing.is_empty() {
        bail!("missing:\n  - {}", missing.join("\n  - "));
    }
    Ok(())
}

fn is_in_path(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    // Administrators' programs are not in the path of other users.
    env::split_paths(&folders).chain([Path::new("/usr/sbin").to_owned()]).any(|f| f.join(program).is_file())
}
