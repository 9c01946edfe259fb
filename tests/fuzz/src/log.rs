//! Target `log`: detection logs. Either records that are framed with valid checksums, so that
//! damage within them is reached, or raw bytes behind the log's header.

use std::{fs, path::PathBuf, sync::LazyLock};

use ocellus_store::DetectionReader;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder for a log"));
/// Bytes of a log before its first record (`host/store/docs/files.md`).
const HEAD: &[u8] = b"OCLOGD\x02\x00";

/// The first byte chooses. For records, each begins with its length in two bytes.
pub(crate) fn run(bytes: &[u8]) {
    let Some((&kind, bytes)) = bytes.split_first() else { return };
    let content = if kind.is_multiple_of(2) { framed(bytes) } else { [HEAD, bytes].concat() };
    let path: PathBuf = FOLDER.path().join("detections.log");
    fs::write(&path, &content).expect("the log can be written");
    let Ok(Some(log)) = DetectionReader::open(path) else { return };
    let records = log.take(content.len()).count();
    assert!(records < content.len(), "a record takes bytes");
}

fn framed(mut bytes: &[u8]) -> Vec<u8> {
    let mut log = HEAD.to_vec();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(rest.len().min(u16::from_le_bytes(*length).into()));
        let length = (payload.len() as u32).to_le_bytes();
        let checksum = crc32fast::hash(&[&length, payload].concat());
        log.extend([&length, &checksum.to_le_bytes(), payload].concat());
        bytes = rest;
    }
    log
}
