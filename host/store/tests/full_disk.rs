//! Covers: a file system without room. What needs room fails with an error that says so, and leaves what there was; deleting needs none;
//! with room again everything goes on in the same process, the index included.
//!
//! Needs a file system of its own, and so the right to mount one; without it the test says that it was left out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test ends where something is wrong")]

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
    sync::Arc,
};

use ocellus_core::{SettingsSchema, SystemClock, VideoId, VideoRecord};
use ocellus_store::{Archive, ListQuery, Order, OrderKey, StoreError, VideoFilter, check};

/// Unmounted when it is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(megabytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        done.is_ok_and(|out| out.status.success()).then(|| Self(dir))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).unwrap();
    let block = vec![7; 1 << 16];
    while file.write_all(&block).is_ok() {}
    // And the rest, byte by byte.
    while file.write_all(&[7]).is_ok() {}
}

fn open(data: &Path) -> Archive {
    Archive::open(data, Arc::new(SystemClock)).unwrap().0
}

fn new_video(archive: &Archive) -> VideoId {
    try_create(archive).unwrap().id
}

fn try_create(archive: &Archive) -> Result<VideoRecord, StoreError> {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now))
}

fn rename(archive: &Archive, id: VideoId, name: &str) -> Result<(), StoreError> {
    let change = |v: &mut VideoRecord| {
        v.name = Some(name.into());
        Ok(())
    };
    archive.update(id, change).map(|_| ())
}

fn listed(archive: &Archive) -> Vec<VideoId> {
    let order = Order { key: OrderKey::Name, descending: false };
    let query = ListQuery { filter: VideoFilter::default(), order, limit: 1000, cursor: None };
    archive.list(&query).unwrap().items.iter().map(|v| v.id).collect()
}

fn is_full(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}

#[test]
fn a_disk_that_was_full_and_has_room_again_is_served_as_before() {
    let Some(mounted) = Mounted::new(16) else {
        println!("left out: no file system can be mounted here");
        return;
    };
    let data = mounted.0.path().join("data");
    fs::create_dir(&data).unwrap();
    let archive = open(&data);
    let mut ids: Vec<VideoId> = (0..40).map(|_| new_video(&archive)).collect();
    let filler = mounted.0.path().join("filler");
    for round in 0..3 {
        fill(&filler);
        assert!(is_full(&try_create(&archive).unwrap_err()));
        assert!(is_full(&rename(&archive, ids[1], "another").unwrap_err()));
        // The index is written out while there is no room for it.
        let _ = archive.flush();
        assert_eq!(listed(&archive).len(), ids.len());
        assert_eq!(archive.video(ids[1]).unwrap().unwrap().name.as_deref(), (round > 0).then_some("renamed"));
        for id in ids.split_off(ids.len() - 5) {
            assert!(archive.delete(id).unwrap(), "deleting needs no room");
        }
        assert_eq!(listed(&archive).len(), ids.len());

        fs::remove_file(&filler).unwrap();
        ids.push(try_create(&archive).unwrap().id);
        rename(&archive, ids[1], "renamed").unwrap();
        archive.flush().unwrap();
        assert_eq!(listed(&archive).len(), ids.len());
    }
    drop(archive);
    let mut findings = Vec::new();
    check(&data, false, &mut |f| findings.push(f.to_string())).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
    let archive = open(&data);
    assert_eq!(listed(&archive).len(), ids.len());
    assert!(new_video(&archive) > *ids.iter().max().unwrap());
}
