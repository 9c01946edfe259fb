//! Certificate of the server: read at the start, and again whenever its files change.
//!
//! Owns the watch on the files' folders: programs that renew certificates replace files, or the
//! links to them. A key that does not match the certificate, as while only one of the files has
//! been written, changes nothing: the next event reads them again. The watch ends when it is
//! dropped.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use ocellus_api::Tls;
use tracing::{info, warn};

/// Debounce: time from the first event in which a renewal writes both files.
const DEBOUNCE: Duration = Duration::from_millis(500);

/// Reads a certificate and its key, and reads them again when their files change.
pub(crate) fn follow(certificate: &Path, key: &Path) -> Result<(Tls, RecommendedWatcher)> {
    let files = [certificate.to_path_buf(), key.to_path_buf()];
    let mut seen = contents(&files);
    let tls = Tls::read(certificate, key).context("--tls-cert, --tls-key")?;
    let (folders, reloaded) = (folders(&files), tls.clone());
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !may_change(event.kind)) {
            return;
        }
        // One renewal is many events, of the certificate and of its key.
        thread::sleep(DEBOUNCE);
        let now = contents(&files);
        if now == seen {
            return;
        }
        seen = now;
        match reloaded.reload() {
            Ok(()) => info!("the certificate was read again: new connections get it"),
            Err(error) => warn!("the certificate changed but cannot be used; the old one stays: {error}"),
        }
    })
    .context("cannot watch the certificate")?;
    for folder in folders {
        watcher
            .watch(&folder, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}", folder.display()))?;
    }
    Ok((tls, watcher))
}

/// Whether an event may have changed a file; reading one is an event, too.
fn may_change(kind: EventKind) -> bool {
    !matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|file| fs::read(file).ok()).collect()
}

/// The folders of files, and of those that they are links to.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let targets = files.iter().filter_map(|file| file.canonicalize().ok());
    let parent = |file: PathBuf| match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Some(PathBuf::from(".")),
        folder => folder.map(Path::to_path_buf),
    };
    files.iter().cloned().chain(targets).filter_map(parent).collect()
}
