//! The format of a data folder, and the way from one to the next.
//!
//! `format.json` says in which format the folder is and which release wrote it last. A folder
//! without it is of release 0.1, format 1, or new. Files say their format, too (see `codec` and
//! `log`): a step need not rewrite what can still be read.
//!
//! Guarantees: a folder of any earlier format is brought to [`FORMAT`] by [`migrate`], step by
//! step; each step may be cut off by a crash and run again. A folder of a later format is refused
//! before anything in it is changed.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    codec::{FORMAT, parse, seal, unseal},
    disk::Disk,
    error::{At, Result, StoreError},
};

/// `STEPS[n]` leads from format `n + 1` to the next one.
const STEPS: [fn(&Disk, &Path) -> Result<()>; FORMAT as usize - 1] = [close_to_others];

#[derive(Serialize, Deserialize)]
struct Written {
    /// The release.
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
    unseal::<Written>(&path, &bytes)?;
    Ok(Some(head.format))
}

/// Brings a data folder to the present format.
pub(crate) fn migrate(disk: &Disk, data: &Path) -> Result<()> {
    let found = match of(data) {
        // Each file in the folder says what it is; this one only spares looking at them.
        Err(error @ StoreError::Damaged { .. }) => {
            warn!("{error}; it is written anew");
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
    disk.replace(&data.join("format.json"), &seal(&Written { written_by: env!("CARGO_PKG_VERSION").into() }))?;
    if let Some(found) = found {
        info!("{} is now of format {FORMAT}, was {found}", data.display());
    }
    Ok(())
}

/// Recordings of people are nobody's business but the operator's. The folders within need not be
/// looked at: nobody gets to them.
fn close_to_others(disk: &Disk, data: &Path) -> Result<()> {
    match disk.restrict(data) {
        Ok(true) => {
            info!("{} could be read by other users of this machine; from now on only by its owner", data.display())
        }
        Ok(false) => {}
        // A folder of somebody else's that was lent to the server.
        Err(error) => warn!("other users of this machine may be able to read the archive: {error}"),
    }
    Ok(())
}
