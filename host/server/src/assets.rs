//! Default folders of plugins and detectors.

use std::path::PathBuf;

/// Folders that [`find`] searches, for messages.
pub(crate) const PLACES: &str = "beside the program, in ../assets and in ../share/ocellus from there";

/// The folder `name` beside the program, or where a build or an installation puts it.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let beside = program.parent()?;
    ["", "../assets", "../share/ocellus"]
        .iter()
        .map(|place| beside.join(place).join(name))
        .find(|dir| dir.is_dir())
        .and_then(|d| d.canonicalize().ok())
}
