//! Covers: resumable uploads: they continue after the archive was reopened, have one writer at a
//! time, become the source as a whole, and end by removal, by time and with their video.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use std::{path::Path, sync::Arc};

use ocellus_core::{Error, ErrorKind, SettingsSchema, SystemClock, Timestamp, VideoId, VideoRecord};
use ocellus_store::{Archive, FoundUpload, ResumableUpload, StoreError};
use tempfile::TempDir;

fn open(data: &Path) -> Archive {
    Archive::open(data, Arc::new(SystemClock)).unwrap().0
}

fn video(archive: &Archive) -> VideoId {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    archive.create(|id, now| VideoRecord::new(id, 1, Some("x".into()), settings, now)).unwrap().id
}

fn begun(length: u64) -> (TempDir, Archive, VideoId) {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let id = video(&archive);
    archive.begin_resumable(id, "a1", length).unwrap();
    (dir, archive, id)
}

fn take(archive: &Archive, id: VideoId) -> ResumableUpload {
    match archive.open_resumable(id, "a1").unwrap() {
        FoundUpload::Free(upload) => upload,
        FoundUpload::Busy => panic!("busy"),
        FoundUpload::None => panic!("none"),
    }
}

fn is_gone(archive: &Archive, id: VideoId) -> bool {
    archive.resumable(id, "a1").unwrap().is_none()
        && matches!(archive.open_resumable(id, "a1").unwrap(), FoundUpload::None)
}

#[test]
fn an_upload_continues_after_the_archive_was_reopened() {
    let (dir, archive, id) = begun(10);
    let mut upload = take(&archive, id);
    upload.append(b"sou").unwrap();
    upload.sync().unwrap();
    assert!(matches!(archive.open_resumable(id, "a1").unwrap(), FoundUpload::Busy));
    drop((upload, archive));

    let archive = open(dir.path());
    let state = archive.resumable(id, "a1").unwrap().unwrap();
    assert_eq!((state.offset, state.length), (3, 10));
    assert_eq!(archive.video(id).unwrap().unwrap().file_size, None);
    let mut upload = take(&archive, id);
    assert!(upload.append(b"more than there is to be").is_err());
    upload.append(b"rce").unwrap();
    // An incomplete upload is not committed, and stays.
    assert!(upload.commit_if(|_| Ok(())).is_err());
    let mut upload = take(&archive, id);
    upload.append(b"file").unwrap();
    let busy = |_: &VideoRecord| Err(Error::new(ErrorKind::Conflict, "busy"));
    assert!(matches!(upload.commit_if(busy), Err(StoreError::Refused(_))));
    let record = take(&archive, id).commit_if(|_| Ok(())).unwrap();
    assert_eq!(record.file_size, Some(10));
    assert_eq!(std::fs::read(archive.source_path(id)).unwrap(), b"sourcefile");
    assert!(is_gone(&archive, id));
    drop(archive);
    ocellus_store::check(dir.path(), false, &mut |finding| panic!("{finding:?}")).unwrap();
}

#[test]
fn an_upload_ends_by_removal_by_time_and_with_its_video() {
    let (_dir, archive, id) = begun(10);
    take(&archive, id).remove().unwrap();
    assert!(is_gone(&archive, id));

    let old = Timestamp::now();
    archive.begin_resumable(id, "a1", 10).unwrap();
    archive.expire_resumables(old - hour()).unwrap();
    assert!(!is_gone(&archive, id));
    let writer = take(&archive, id);
    archive.expire_resumables(old + hour()).unwrap();
    drop(writer);
    assert!(!is_gone(&archive, id), "while somebody writes to it");
    archive.expire_resumables(old + hour()).unwrap();
    assert!(is_gone(&archive, id));

    archive.begin_resumable(id, "a1", 10).unwrap();
    archive.delete(id).unwrap();
    assert!(take(&archive, id).append(b"0123456789").is_ok());
    assert!(matches!(take(&archive, id).commit_if(|_| Ok(())), Err(StoreError::NoVideo(_))));
    archive.expire_resumables(old - hour()).unwrap();
    assert!(is_gone(&archive, id));
    assert!(matches!(archive.begin_resumable(id, "a1", 10), Err(StoreError::NoVideo(_))));
}

fn hour() -> std::time::Duration {
    std::time::Duration::from_secs(3600)
}

#[test]
fn names_are_letters_and_digits() {
    let (_dir, archive, id) = begun(10);
    for bad in ["../a", "a-b", "a/b", "a b"] {
        assert!(archive.begin_resumable(id, bad, 10).is_err(), "{bad}");
    }
    assert!(archive.begin_resumable(id, "a1", 10).is_err(), "there is one");
    assert!(matches!(archive.open_resumable(id, "../a").unwrap(), FoundUpload::None));
}
