//! Commands that see another folder as the root of all files, and the rest of this system as it is.
//! Mounts end with the process, which keeps its id.

use std::{path::Path, process::Command};

use crate::shell::succeeds;

/// Needs rights that containers may lack.
pub(super) fn is_possible() -> bool {
    flags().is_some()
}

/// What separates the mounts: as root, or as a user who is root only there.
fn flags() -> Option<&'static [&'static str]> {
    const WAYS: [&[&str]; 2] = [&["--mount"], &["--mount", "--map-root-user"]];
    WAYS.into_iter().find(|flags| succeeds("unshare", &[*flags, &["true"]].concat()))
}

/// A command in the working directory `folder` of `root`, which has folders `dev` and `proc`. The
/// program and its arguments are still to be added.
pub(super) fn command(root: &Path, folder: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(flags().unwrap_or(&["--mount"])).args(["sh", "-c", ENTER]).arg(root).arg(folder);
    command
}

/// Enters root `$0` and folder `$1` and becomes the program that follows.
const ENTER: &str = r#"mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && folder=$1 && shift &&
    exec unshare --root="$0" --wd="$folder" "$@""#;
