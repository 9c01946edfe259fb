//! Covers: a full disk. Operations that need disk space fail with an error that says so, and change
//! nothing; deleting needs none. Meanwhile the index answers from memory, except for searches. Once
//! there is space, everything continues in the same process, and the index is on the disk.
//!
//! Mounts a small file system; without the right to do so, the test prints that it was skipped.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a failed assumption fails the test")]

mod common;

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
    process::Command,
};

use common::{new_object, new_video, open};
use ocellus_core::{JobId, ObjectId, ObjectType, SettingsSchema, TrackId, VideoId, VideoRecord};
use ocellus_store::{
    Archive, Delivery, DeliveryState, Embedding, ListQuery, ObjectQuery, Order, OrderKey, Picture, SimilarityQuery,
    StoreError, VideoFilter, check,
};
use serde_json::json;

/// A mounted tmpfs, unmounted when dropped.
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
    // The rest, byte by byte.
    while file.write_all(&[7]).is_ok() {}
}

fn try_create(archive: &Archive) -> Result<VideoRecord, StoreError> {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now))
}

/// A video with a long name, so that its deletion takes space in sled's log.
fn new_video_with_long_name(archive: &Archive) -> VideoId {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let name = |id| Some(format!("{id} {}", "n".repeat(2000)));
    archive.create(move |id, now| VideoRecord::new(id, 1, name(id), settings, now)).unwrap().id
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
fn once_a_full_disk_has_space_everything_works_as_before() {
    let Some(mounted) = Mounted::new(16) else {
        println!("skipped: no file system can be mounted here");
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
        // Flushes the index while there is no space for it.
        let _ = archive.flush();
        assert_eq!(listed(&archive).len(), ids.len());
        assert_eq!(archive.video(ids[1]).unwrap().unwrap().name.as_deref(), (round > 0).then_some("renamed"));
        for id in ids.split_off(ids.len() - 5) {
            assert!(archive.delete(id).unwrap(), "deleting needs no disk space");
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

/// A video with a job that has a router, and its objects.
fn with_objects(archive: &Archive, count: u64) -> (VideoId, Vec<ObjectId>) {
    let id = new_video(archive);
    let job = archive.start_job(id, &json!({"router_url": "http://127.0.0.1:1/"})).unwrap();
    let object = |track| ObjectId {
        job: JobId { video: id, number: 1 },
        object_type: ObjectType::face(),
        track: TrackId(track),
        shot: 0,
    };
    let objects: Vec<_> = (0..count).map(object).collect();
    for some in objects.chunks(50) {
        let embeddings: Vec<_> = some
            .iter()
            .map(|o| Embedding {
                object: o.clone(),
                embedder: "net/1".into(),
                vector: vec![o.track.0 as f32; 8],
                spread: 0.0,
            })
            .collect();
        job.append_embeddings(&embeddings).unwrap();
        let new: Vec<_> = some
            .iter()
            .map(|o| new_object(o.clone(), &[(Picture::Thumbnail, b"small"), (Picture::Fullframe, b"large")]))
            .collect();
        job.append_objects(&new).unwrap();
    }
    (id, objects)
}

fn nearest(archive: &Archive) -> Result<Option<u64>, StoreError> {
    let face = ObjectType::face();
    let query = SimilarityQuery {
        object_type: &face,
        embedder: "net/1",
        vector: &[7.0; 8],
        video: None,
        max_distance: 1.0,
        limit: 1,
    };
    Ok(archive.nearest(&query)?.first().map(|(object, _)| object.id.track.0))
}

#[test]
fn the_index_answers_from_memory_while_it_cannot_be_written_and_returns_to_disk() {
    let Some(mounted) = Mounted::new(48) else {
        println!("skipped: no file system can be mounted here");
        return;
    };
    let data = mounted.0.path().join("data");
    fs::create_dir(&data).unwrap();
    let archive = open(&data);
    let (video, objects) = with_objects(&archive, 300);
    let mut ids: Vec<VideoId> = (0..400).map(|_| new_video_with_long_name(&archive)).collect();
    assert_eq!(nearest(&archive).unwrap(), Some(7));
    let job = archive.job(objects[0].job).unwrap().unwrap();

    // Space that deletions and the failover free is filled again. The number of rounds until sled
    // needs another segment for its log depends on its position in the current one.
    let fillers = mounted.0.path().join("fillers");
    fs::create_dir(&fillers).unwrap();
    let (mut filled, mut in_memory) = (0, 0);
    while in_memory < 5 {
        fill(&fillers.join(filled.to_string()));
        filled += 1;
        for id in ids.split_off(ids.len().saturating_sub(8)) {
            assert!(archive.delete(id).unwrap(), "deleting needs no disk space");
        }
        let _ = archive.flush();
        assert_eq!(listed(&archive).len(), ids.len() + 1);
        let page = archive.objects(video, &ObjectQuery { types: Vec::new(), limit: 1000, cursor: None }).unwrap();
        assert_eq!(page.items.len(), objects.len());
        assert_eq!(archive.undelivered(None).unwrap().len(), objects.len());
        match nearest(&archive) {
            Err(StoreError::NotSearchable) => in_memory += 1,
            found => assert!(found.unwrap() == Some(7) && !ids.is_empty(), "the index never needed space"),
        }
    }

    // At the next start there is no space, either.
    drop((archive, job));
    fill(&fillers.join("last"));
    let archive = open(&data);
    let job = archive.job(objects[0].job).unwrap().unwrap();
    assert_eq!(listed(&archive).len(), ids.len() + 1);
    assert_eq!(archive.undelivered(None).unwrap().len(), objects.len());
    assert!(matches!(nearest(&archive), Err(StoreError::NotSearchable)));

    fs::remove_dir_all(&fillers).unwrap();
    let posted = Delivery { state: DeliveryState::Posted, attempts: 1, ..Delivery::pending(objects[3].clone()) };
    job.record_delivery(&posted).unwrap();
    ids.push(new_video(&archive));
    rename(&archive, ids[0], "another").unwrap();
    let found = loop {
        match nearest(&archive) {
            Err(StoreError::NotSearchable) => std::thread::yield_now(),
            found => break found.unwrap(),
        }
    };
    assert_eq!(found, Some(7));
    assert!(data.join("index/db").exists());
    assert_eq!(listed(&archive).len(), ids.len() + 1);
    assert_eq!(archive.delivery(&objects[3]).unwrap(), Some(posted));
    assert_eq!(archive.undelivered(None).unwrap().len(), objects.len() - 1);
    drop((archive, job));
    let mut findings = Vec::new();
    check(&data, false, &mut |f| findings.push(f.to_string())).unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}
