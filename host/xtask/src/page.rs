//! Checks of the page: its built files, which are committed, are what its sources give.
//!
//! Owns the step of `cargo xtask test` that runs `npm run check` of `host/ui` where Node.js is
//! installed, and a test that needs none: by a digest of the sources it notices a page that was not
//! built since they changed.

use std::process::Command;

use anyhow::{Context, Result};

use crate::shell::{output, root, run, run_quietly, say, succeeds};

/// What esbuild and the page's tests need.
const OLDEST_NODE: u32 = 18;

/// Runs `npm run check` in `host/ui`, or says why not.
///
/// # Errors
/// If the types, the format, the unit tests or the built files are not right, or packages cannot be
/// installed.
pub(crate) fn check() -> Result<()> {
    let Some(version) = node() else {
        say("Skipping", &format!("npm run check in host/ui: it needs Node.js {OLDEST_NODE} or newer, and npm"));
        return Ok(());
    };
    if version < OLDEST_NODE {
        say("Skipping", &format!("npm run check in host/ui: Node.js {version} is older than {OLDEST_NODE}"));
        return Ok(());
    }
    let npm = |arguments: &[&str]| {
        let mut command = Command::new("npm");
        command.args(arguments).current_dir(root().join("host/ui"));
        command
    };
    run_quietly(&mut npm(&["ci", "--no-fund", "--no-audit"])).context("cannot install the page's packages")?;
    run(&mut npm(&["run", "--silent", "check"]))
}

/// The major version of Node.js; `None` where it or npm is not installed.
fn node() -> Option<u32> {
    if !succeeds("npm", &["--version"]) {
        return None;
    }
    major(&output(Command::new("node").arg("--version")).ok()?)
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use sha2::{Digest, Sha256};

    use super::*;

    /// All files below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn versions_of_node() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major("nonsense"), None);
    }

    #[test]
    fn the_page_was_built_since_its_sources_changed() {
        let ui = root().join("host/ui");
        let name = |path: PathBuf| path.strip_prefix(&ui).unwrap().to_str().unwrap().to_owned();
        let mut names: Vec<String> = files(&ui.join("src")).into_iter().map(name).collect();
        names.extend(["build.mjs", "package-lock.json", "tsconfig.json"].map(str::to_owned));
        names.sort();
        let mut hash = Sha256::new();
        for name in &names {
            hash.update(format!("{name}\n"));
            hash.update(fs::read(ui.join(name)).unwrap());
        }
        let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let built = fs::read_to_string(ui.join("sources.sha256")).unwrap();
        assert_eq!(built.trim(), digest, "run npm run build in host/ui");
    }
}
