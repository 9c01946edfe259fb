//! Covers: backups of an archive that keeps changing; incremental copies; deleted videos and
//! sources.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test"
)]

use std::{
    fs,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use ocellus_core::{SettingsSchema, SystemClock, Timestamp, VideoId, VideoRecord, VideoStatus};
use ocellus_store::{Archive, BackupSummary, backup, check};
use serde_json::json;

fn open(dir: &Path) -> Archive {
    Archive::open(dir, Arc::new(SystemClock)).unwrap().0
}

fn record() -> impl FnOnce(VideoId, Timestamp) -> VideoRecord {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    move |id, now| VideoRecord::new(id, 1, None, settings, now)
}

fn put_source(archive: &Archive, id: VideoId, bytes: &[u8]) {
    let mut upload = archive.begin_upload(id).unwrap();
    upload.write_all(bytes).unwrap();
    upload.commit().unwrap();
}

fn copy(data: &Path, target: &Path) -> BackupSummary {
    backup(data, target, Timestamp::UNIX_EPOCH, &mut |_, _| {}).unwrap()
}

fn assert_sound(data: &Path) {
    let summary = check(data, false, &mut |finding| panic!("{finding}")).unwrap();
    assert!(summary.is_sound());
}

#[test]
fn every_copy_of_a_changing_archive_is_sound() {
    let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = open(data.path());
    let ids: Vec<_> = (0..4).map(|_| archive.create(record()).unwrap().id).collect();
    let stop = AtomicBool::new(false);
    let rounds = 10;
    std::thread::scope(|scope| {
        for id in &ids {
            let (archive, stop) = (archive.clone(), &stop);
            scope.spawn(move || {
                for n in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // Of another length each time: two versions of one length may have one
                    // modification time.
                    put_source(&archive, *id, format!("source {n} of {id}").repeat(1 + n as usize % 99).as_bytes());
                    archive.start_job(*id, &json!({"n": n})).unwrap();
                    let end = |video: &mut VideoRecord| {
                        (video.status, video.finished) = (VideoStatus::Completed, true);
                        Ok(())
                    };
                    archive.update(*id, end).unwrap();
                }
            });
        }
        // A panic is caught to stop the writers, for which the scope waits.
        let sound = std::panic::catch_unwind(|| {
            for _ in 0..rounds {
                copy(data.path(), target.path());
                assert_sound(target.path());
            }
        });
        stop.store(true, Ordering::Relaxed);
        sound.unwrap();
    });
    assert_eq!(copy(data.path(), target.path()).busy_videos, []);
    drop(archive);
    let (here, there) = (open(data.path()), open(target.path()));
    for id in ids {
        assert_eq!(here.video(id).unwrap(), there.video(id).unwrap());
        assert_eq!(fs::read(here.source_path(id)).unwrap(), fs::read(there.source_path(id)).unwrap());
    }
}

#[test]
fn only_changed_files_are_copied_and_deleted_ones_are_removed() {
    let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = open(data.path());
    let [a, b, c] = [(); 3].map(|()| archive.create(record()).unwrap().id);
    for id in [a, b, c] {
        put_source(&archive, id, b"a recording");
    }
    let first = copy(data.path(), target.path());
    assert_eq!((first.videos, first.unchanged_files), (3, 0));
    let again = copy(data.path(), target.path());
    assert_eq!((again.copied_files, again.unchanged_files), (0, first.copied_files));

    archive.delete(c).unwrap();
    archive.delete_source(b).unwrap();
    put_source(&archive, a, b"another recording");
    let after = copy(data.path(), target.path());
    assert_eq!((after.videos, after.removed_videos), (2, 1));
    // Two records, one source, and the highest id that was deleted.
    assert_eq!(after.copied_files, 4, "{after:?}");
    assert_sound(target.path());
    drop(archive);
    let restored = open(target.path());
    assert_eq!(fs::read(restored.source_path(a)).unwrap(), b"another recording");
    assert!(!restored.source_path(b).exists());
    assert!(restored.create(record()).unwrap().id > c);
}

#[test]
fn a_copy_cannot_be_read_by_other_users() {
    use std::os::unix::fs::PermissionsExt;
    let (data, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(data.path().join("admin.token"), "secret").unwrap();
    drop(open(data.path()));
    let target = target.path().join("copy");
    copy(data.path(), &target);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&target), mode(&target.join("admin.token"))), (0o700, 0o600));
}
