//! Consistency check of an archive, for `ocellus check`.
//!
//! Every file is read to its end and verified by its checksum or its record; the index is compared,
//! entry by entry, with one that is built from the folders. Nothing is changed except the index,
//! and that only on request.

use std::path::Path;

pub use self::finding::{CheckSummary, Finding};
use self::report::Report;
use crate::{
    clean_mark::{self, Shutdown},
    disk::Disk,
    error::{Result, StoreError},
    folder::Folder,
    format, ids,
    index::Index,
    opening, recovery,
};

mod finding;
mod job;
mod report;
mod video;

/// Checks the archive in `data`, with `rebuild` after rebuilding its index. `on_finding` is called
/// with each finding.
///
/// # Errors
/// `InUse` where a server has it open, `Newer` for an archive of a later release, `Io` where it
/// cannot be read.
pub fn check(data: &Path, rebuild: bool, on_finding: &mut dyn FnMut(Finding)) -> Result<CheckSummary> {
    let _lock = opening::lock(data)?;
    let folder = Folder::new(data, Disk::default());
    let mut report = Report { data, folder: &folder, summary: CheckSummary::default(), on_finding };
    match format::of(data) {
        Err(error @ StoreError::Damaged { .. }) => report.error(&data.join("format.json"), &error),
        found => {
            found?;
        }
    }
    if rebuild {
        let path = data.join("index");
        clean_mark::unmark(folder.disk(), data)?;
        opening::set_aside(folder.disk(), &path)?;
        let index = Index::open(&path)?;
        if recovery::rebuild(&folder, &index, true)?.is_some() {
            // Incomplete: without the mark, the next start rebuilds it.
            index.flush()?;
        } else {
            close(index, &folder, data)?;
        }
        report.summary.rebuilt = true;
    }
    let shutdown = clean_mark::verify(data)?;
    report.summary.after_crash = matches!(shutdown, Shutdown::Unclean);
    if let Err(error) = ids::read_last_id(&folder) {
        report.error(&folder.last_id_file(), &error);
    }
    for id in folder.ids()? {
        video::check(&mut report, id);
    }
    match shutdown {
        Shutdown::Unclean => {}
        Shutdown::Changed(reason) => report.find(Finding::Index { reason }),
        Shutdown::Clean => compare_index(&mut report)?,
    }
    Ok(report.summary)
}

/// Closes an index that is complete, and marks it as clean.
fn close(index: Index, folder: &Folder, data: &Path) -> Result<()> {
    index.flush()?;
    drop(index);
    clean_mark::mark(folder.disk(), data)
}

/// Compares the index with one that is built from the folders.
fn compare_index(report: &mut Report<'_>) -> Result<()> {
    let (data, folder) = (report.data, report.folder);
    let path = data.join("index");
    if !path.exists() {
        report.find(Finding::Index { reason: "there is none; the next start makes one".into() });
        return Ok(());
    }
    // sled may write to its files, and the check may be interrupted.
    clean_mark::unmark(folder.disk(), data)?;
    let index = match Index::open(&path) {
        Ok(index) => index,
        Err(error) => {
            report.find(Finding::Index { reason: error.to_string() });
            return Ok(());
        }
    };
    if !index.is_current()? {
        // An index of another version: the next start rebuilds it.
        return close(index, folder, data);
    }
    let rebuilt = data.join("index.check");
    folder.disk().remove(&rebuilt)?;
    let compared = (|| {
        let expected = Index::open(&rebuilt)?;
        recovery::rebuild(folder, &expected, false)?;
        index.differences(&expected, &mut |reason| report.find(Finding::Index { reason }))
    })();
    folder.disk().remove(&rebuilt)?;
    compared?;
    close(index, folder, data)
}
