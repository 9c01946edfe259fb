//! Covers: the check and commit of an upload, which are atomic: nothing changes the record in
//! between, and a refused upload leaves nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed assumption fails the test")]

use std::{
    io::Write,
    sync::{Arc, mpsc},
    time::Duration,
};

use ocellus_core::{Error, ErrorKind, SettingsSchema, SystemClock, VideoRecord, VideoStatus};
use ocellus_store::{Archive, StoreError};

#[test]
fn nothing_changes_a_record_between_the_check_of_an_upload_and_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = Archive::open(dir.path(), Arc::new(SystemClock)).unwrap();
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let id = archive.create(|id, now| VideoRecord::new(id, 1, Some("x".into()), settings, now)).unwrap().id;
    let mut upload = archive.begin_upload(id).unwrap();
    upload.write_all(b"source").unwrap();
    let ((begin, begun), (done, is_done)) = (mpsc::channel(), mpsc::channel());
    std::thread::scope(|scope| {
        let archive = &archive;
        scope.spawn(move || {
            begun.recv().unwrap();
            let queue = |v: &mut VideoRecord| {
                assert_eq!(v.file_size, Some(6));
                v.status = VideoStatus::Awaiting;
                Ok(())
            };
            archive.update(id, queue).unwrap();
            done.send(()).unwrap();
        });
        let check = |_: &VideoRecord| {
            begin.send(()).unwrap();
            assert!(is_done.recv_timeout(Duration::from_millis(200)).is_err(), "the record was changed in between");
            Ok(())
        };
        upload.commit_if(check).unwrap();
    });

    let mut refused = archive.begin_upload(id).unwrap();
    refused.write_all(b"another").unwrap();
    let check = |v: &VideoRecord| match v.status {
        VideoStatus::Awaiting => Err(Error::new(ErrorKind::Conflict, "queued")),
        _ => Ok(()),
    };
    assert!(matches!(refused.commit_if(check), Err(StoreError::Refused(e)) if e.kind() == ErrorKind::Conflict));
    let source = archive.source_path(id);
    assert_eq!(std::fs::read(&source).unwrap(), b"source");
    let names =
        std::fs::read_dir(source.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.contains("part")));
}
