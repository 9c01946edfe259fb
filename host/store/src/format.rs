//! Format of a data folder, and its migration to the present one.
//!
//! `format.json` says in which format the folder is and which release wrote it last. A folder
//! without it is of release 0.1, format 1, or new. Files have formats of their own (see `codec` and
//! `log`): a migration need not rewrite files that can still be read.
//!
//! Guarantees: a folder of any earlier format is brought to [`FORMAT`] by [`migrate`], step by
//! step; each step may be interrupted by a crash and run again. A folder of a later format is
//! refused before anything in it is changed.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    codec::{FORMAT, decode_file, encode_file, parse},
    disk::Disk,
    error::{At, Result, StoreError},
};

/// `STEPS[n]` migrates from format `n + 1` to the next one.
const STEPS: [fn(&Disk, &Path) -> Result<()>; FORMAT as usize - 1] = [restrict_to_owner];

#[derive(Serialize, Deserialize)]
struct Written {
    /// The release that wrote it last.
    written_by: String,
}

#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(default)]
    written_by: String,
}

/// The format of a data folder; `None` where it is new.
///
/// # Errors
/// `Newer` for a later format than [`FORMAT`], `Damaged` where `format.json` cannot be read.
pub(crate) fn of(data: &Path) -> Result<Option<u32>> {
    let path = data.join("format.json");
    let bytes = match fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(data.join("archive").is_dir().then_some(1)),
        bytes => bytes.at(&path)?,
    };
    let head: Head = parse(&path, &bytes)?;
    if head.format > FORMAT {
        return Err(StoreError::Newer {
            path: data.to_path_buf(),
            made_by: format!("{}, format {}", head.written_by, head.format),
        });
    }
    decode_file::<Written>(&path, &bytes)?;
    Ok(Some(head.format))
}

/// Migrates a data folder to the present format.
pub(crate) fn migrate(disk: &Disk, data: &Path) -> Result<()> {
    let found = match of(data) {
        // Harmless: every file has a format of its own, and every step can be run again.
        Err(error @ StoreError::Damaged { .. }) => {
            warn!("{error}; it is rewritten");
            Some(1)
        }
        found => found?,
    };
    if found == Some(FORMAT) {
        return Ok(());
    }
    for step in STEPS.iter().skip(found.map_or(0, |format| format.saturating_sub(1) as usize)) {
        step(disk, data)?;
    }
    disk.replace(&data.join("format.json"), &encode_file(&Written { written_by: env!("CARGO_PKG_VERSION").into() }))?;
    if let Some(found) = found {
        info!("{} is now of format {FORMAT}, was {found}", data.display());
    }
    Ok(())
}

/// Format 2: only the owner may read recordings of people. The folders within need no change:
/// others cannot reach them.
fn restrict_to_owner(disk: &Disk, data: &Path) -> Result<()> {
    match disk.restrict(data) {
        Ok(true) => {
            info!("{} could be read by other users of this machine; from now on only by its owner", data.display())
        }
        Ok(false) => {}
        // The folder belongs to another user, as a mounted volume may.
        Err(error) => warn!("other users of this machine may be able to read the archive: {error}"),
    }
    Ok(())
}
