//! New plugin projects: a crate that compiles unchanged, with a copy of the SDK.

use std::{fs, path::Path, str::FromStr};

use anyhow::{Context, Result, bail};
use include_dir::{Dir, include_dir};

static PLUGIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../plugin");
static TRACKING: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../tracking");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit/v0.1");
const SDK_MANIFEST: &str = include_str!("../../Cargo.toml");

/// Folder of the SDK's copy within a new plugin.
const CARRIED: &str = "ocellus";

/// Template of a new plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Drops shots that are too wide for their height.
    Filter,
    /// Associates each detection with the nearest track.
    Tracker,
    /// Posts objects as JSON.
    Router,
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "filter" => Ok(Self::Filter),
            "tracker" => Ok(Self::Tracker),
            "router" => Ok(Self::Router),
            other => Err(format!("{other:?} is no kind of plugin: filter, tracker or router")),
        }
    }
}

impl Kind {
    fn source(self) -> &'static str {
        match self {
            Self::Filter => include_str!("../templates/filter.rs"),
            Self::Tracker => include_str!("../templates/tracker.rs"),
            Self::Router => include_str!("../templates/router.rs"),
        }
    }
}

/// Creates a plugin called `name` in the new folder `to`.
///
/// # Errors
/// The name is invalid for a crate or a plugin, the folder exists already, or it cannot be written.
pub fn begin(kind: Kind, name: &str, to: &Path) -> Result<()> {
    let mut bytes = name.bytes();
    let sound = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !sound || name.len() > 64 || name.ends_with('-') {
        bail!("{name:?} is no name: lower-case letters, digits and -, a letter first, 64 at most");
    }
    if to.exists() {
        bail!("{} is there already", to.display());
    }
    let filled = |text: &str| text.replace("{name}", name).replace("{type}", &camel_case(name));
    let carried = to.join(CARRIED);
    for (dir, at) in [(&PLUGIN, "sdk/plugin"), (&TRACKING, "sdk/tracking"), (&WIT, "wit/v0.1")] {
        let at = carried.join(at);
        fs::create_dir_all(&at)
            .and_then(|()| dir.extract(&at))
            .with_context(|| format!("cannot write {}", at.display()))?;
    }
    for (path, text) in [
        ("Cargo.toml", filled(include_str!("../templates/Cargo.toml.txt"))),
        ("src/lib.rs", filled(kind.source())),
        ("README.md", filled(include_str!("../templates/README.md"))),
        (".gitignore", "/target\n*.wasm\n".to_owned()),
        ("ocellus/sdk/Cargo.toml", SDK_MANIFEST.to_owned()),
    ] {
        let path = to.join(path);
        let folder = path.parent().unwrap_or(to);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Converts `red-cars` to `RedCars`.
fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    name.split('-').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types() {
        assert_eq!(camel_case("red-cars-2"), "RedCars2");
        assert_eq!(camel_case("x"), "X");
    }
}
