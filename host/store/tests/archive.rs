//! Covers: durability over a shutdown, a crash and the loss of the index; ids; aborted uploads; the
//! queue's order; removal of the results of earlier jobs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed assumption fails the test"
)]

use std::{io::Write, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use ocellus_core::{SettingsSchema, SystemClock, Timestamp, VideoId, VideoRecord, VideoStatus};
use ocellus_store::{Archive, ListQuery, OpenReport, Order, OrderKey, StoreError, VideoFilter, check};
use serde_json::json;

fn open(dir: &Path) -> (Archive, OpenReport) {
    Archive::open(dir, Arc::new(SystemClock)).unwrap()
}

fn record(name: &str) -> impl FnOnce(VideoId, Timestamp) -> VideoRecord {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let name = name.to_owned();
    move |id, now| VideoRecord::new(id, 1, Some(name), settings, now)
}

fn names(archive: &Archive) -> Vec<String> {
    let order = Order { key: OrderKey::Name, descending: false };
    let query = ListQuery { filter: VideoFilter::default(), order, limit: 100, cursor: None };
    archive.list(&query).unwrap().items.into_iter().filter_map(|v| v.name).collect()
}

#[test]
fn videos_survive_a_restart_and_the_loss_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, report) = open(dir.path());
    assert_eq!(report.index_rebuilt, None);
    for name in ["b", "A", "c"] {
        archive.create(record(name)).unwrap();
    }
    drop(archive);

    let (archive, report) = open(dir.path());
    assert_eq!((report.videos, report.index_rebuilt), (3, None));
    assert_eq!(names(&archive), ["A", "b", "c"]);
    drop(archive);

    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (archive, report) = open(dir.path());
    assert!(report.index_rebuilt.unwrap().contains("missing"));
    assert_eq!(names(&archive), ["A", "b", "c"]);
}

#[test]
fn an_index_without_a_clean_shutdown_mark_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    archive.create(record("kept")).unwrap();
    drop(archive);
    std::fs::remove_file(dir.path().join("index.clean")).unwrap();
    let (archive, report) = open(dir.path());
    assert!(report.index_rebuilt.is_some());
    assert_eq!(names(&archive), ["kept"]);
}

#[test]
fn an_id_is_never_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let first = archive.create(record("first")).unwrap().id;
    assert!(archive.delete(first).unwrap());
    assert!(!archive.delete(first).unwrap());
    drop(archive);
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let (archive, _) = open(dir.path());
    assert!(archive.create(record("second")).unwrap().id > first);
}

#[test]
fn a_second_opener_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = open(dir.path());
    assert!(matches!(Archive::open(dir.path(), Arc::new(SystemClock)), Err(StoreError::InUse(_))));
}

#[test]
fn an_aborted_upload_leaves_nothing_and_a_committed_one_replaces_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let id = archive.create(record("x")).unwrap().id;
    let mut kept = archive.begin_upload(id).unwrap();
    kept.write_all(b"source").unwrap();
    assert_eq!(kept.commit().unwrap().file_size, Some(6));
    let mut aborted = archive.begin_upload(id).unwrap();
    aborted.write_all(b"something else").unwrap();
    drop(aborted);
    assert_eq!(std::fs::read(archive.source_path(id)).unwrap(), b"source");
    let folder = archive.source_path(id).parent().unwrap().to_path_buf();
    let parts = std::fs::read_dir(folder)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains("part"))
        .count();
    assert_eq!(parts, 0);
    let video = archive.delete_source(id).unwrap();
    assert_eq!((video.status, video.file_size), (VideoStatus::NoSource, None));
}

#[test]
fn the_queue_keeps_its_order_over_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let ids: Vec<VideoId> = (0..3).map(|n| archive.create(record(&n.to_string())).unwrap().id).collect();
    let [a, b, c] = ids[..] else { panic!() };
    for id in [c, a, b] {
        archive.start_job(id, &json!({})).unwrap();
    }
    drop(archive);
    std::fs::remove_file(dir.path().join("index.clean")).unwrap();
    let (archive, _) = open(dir.path());
    let waiting = [c, a, b].map(|id| (archive.video(id).unwrap().unwrap().queued_date.unwrap(), id));
    assert_eq!(archive.waiting().unwrap(), waiting);
    for id in [c, a, b] {
        assert_eq!(archive.waiting().unwrap()[0].1, id);
        archive
            .update(id, |v| {
                v.status = VideoStatus::Starting;
                Ok(())
            })
            .unwrap();
    }
    assert!(archive.waiting().unwrap().is_empty());
    assert_eq!(archive.in_progress().unwrap(), [a, b, c]);
}

#[test]
fn a_new_job_replaces_the_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let id = archive.create(record("x")).unwrap().id;
    let first = archive.start_job(id, &json!({"n": 1})).unwrap().id();
    let second = archive.start_job(id, &json!({"n": 2})).unwrap();
    assert!(archive.job(first).unwrap().is_none());
    assert_eq!(second.spec().unwrap(), json!({"n": 2}));
}

#[test]
fn files_that_a_crash_left_without_a_record_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let [without_source, with_source] =
        ["without source", "with source"].map(|name| archive.create(record(name)).unwrap().id);
    let mut upload = archive.begin_upload(with_source).unwrap();
    upload.write_all(b"before").unwrap();
    upload.commit().unwrap();
    archive.start_job(with_source, &json!({})).unwrap();
    let sources = [without_source, with_source].map(|id| archive.source_path(id));
    drop(archive);
    // A source and a job that the records do not name.
    std::fs::write(&sources[0], b"not acknowledged").unwrap();
    let jobs = sources[1].with_file_name("jobs");
    std::fs::create_dir_all(jobs.join("2/pictures")).unwrap();
    std::fs::remove_file(dir.path().join("index.clean")).unwrap();

    let (archive, _) = open(dir.path());
    assert!(!sources[0].exists());
    assert_eq!(archive.video(without_source).unwrap().unwrap().file_size, None);
    assert_eq!(archive.video(with_source).unwrap().unwrap().file_size, Some(6));
    assert_eq!(std::fs::read_dir(jobs).unwrap().count(), 1);
    drop(archive);
    let mut findings = Vec::new();
    check(dir.path(), false, &mut |f| findings.push(f)).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn a_source_changed_on_the_disk_is_found_damaged_and_not_adopted() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    let id = archive.create(record("x")).unwrap().id;
    let mut upload = archive.begin_upload(id).unwrap();
    upload.write_all(b"before").unwrap();
    let sha256 = upload.commit().unwrap().source_sha256.unwrap();
    assert_eq!(sha256.len(), 64);
    let source = archive.source_path(id);
    drop(archive);
    for contents in ["after!", "longer than before"] {
        std::fs::write(&source, contents).unwrap();
        let mut findings = Vec::new();
        check(dir.path(), true, &mut |f| findings.push(f.to_string())).unwrap();
        assert!(findings.len() == 1 && findings[0].contains("source"), "{findings:?}");
        std::fs::remove_file(dir.path().join("index.clean")).unwrap();
        let (archive, _) = open(dir.path());
        assert_eq!(archive.video(id).unwrap().unwrap().file_size, Some(6));
    }
}

#[test]
fn only_the_owner_may_read_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (archive, _) = open(dir.path());
    let id = archive.create(record("x")).unwrap().id;
    let mut upload = archive.begin_upload(id).unwrap();
    upload.write_all(b"a recording").unwrap();
    upload.commit().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let source = archive.source_path(id);
    assert_eq!((mode(dir.path()), mode(source.parent().unwrap()), mode(&source)), (0o700, 0o700, 0o600));
}

#[test]
fn beginning_an_upload_while_its_video_is_deleted_succeeds_or_finds_no_video() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    for _ in 0..200 {
        let id = archive.create(record("x")).unwrap().id;
        std::thread::scope(|scope| {
            scope.spawn(|| archive.delete(id).unwrap());
            let begun = archive.begin_upload(id);
            assert!(matches!(begun, Ok(_) | Err(StoreError::NoVideo(_))), "{:?}", begun.err());
        });
    }
}

/// Opening a job while its video is deleted does not create its files again.
#[test]
fn a_job_that_is_opened_while_its_video_is_deleted_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, _) = open(dir.path());
    for _ in 0..200 {
        let id = archive.create(record("x")).unwrap().id;
        let job = archive.start_job(id, &json!({})).unwrap().id();
        let begin = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begin.wait();
                while archive.job(job).unwrap().is_some() {}
            });
            begin.wait();
            assert!(archive.delete(id).unwrap());
        });
        assert!(!archive.source_path(id).parent().unwrap().exists(), "the folder of video {id} exists again");
    }
}
