//! Covers: damage. A changed byte in a file loses the contents of that file and nothing else; it is
//! reported; a damaged log is kept as it was; with any file damaged, the archive opens, lists,
//! queues and deletes; `check` finds every change of every file; an index that was changed since it
//! was closed is rebuilt and gives the same answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test"
)]

mod common;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use common::{new_object, new_video, open};
use ocellus_core::{Cluster, JobId, ObjectId, ObjectType, TrackId, VideoId, VideoStatus};
use ocellus_store::{
    Archive, Delivery, DeliveryQuery, DeliveryState, Embedding, ListQuery, NewObject, ObjectQuery, Order, OrderKey,
    Picture, SimilarityQuery, StoreError, VideoFilter, check,
};
use serde_json::json;

const TRACKS: u64 = 6;

fn id_of(job: JobId, track: u64) -> ObjectId {
    ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
}

fn object(job: JobId, track: u64) -> NewObject {
    let thumbnail = [b"\xff\xd8", format!("track {track}").as_bytes(), b"\xff\xd9"].concat();
    new_object(id_of(job, track), &[(Picture::Thumbnail, &thumbnail), (Picture::Fullframe, b"\x89PNG\r\n\x1a\n of it")])
}

/// A video with everything that a finished job leaves behind.
fn finished(archive: &Archive) -> VideoId {
    let video = new_video(archive);
    let mut upload = archive.begin_upload(video).unwrap();
    upload.write_all(b"a recording").unwrap();
    upload.commit().unwrap();
    archive.save_screenshot(&archive.video(video).unwrap().unwrap(), b"\xff\xd8 a picture \xff\xd9").unwrap();
    let job = archive.start_job(video, &json!({"router_url": "http://localhost/"})).unwrap();
    let tracks = 0..TRACKS;
    let embedding = |track| Embedding {
        object: id_of(job.id(), track),
        embedder: "a/1".into(),
        vector: vec![track as f32; 19],
        spread: 0.0,
    };
    job.append_embeddings(&tracks.clone().map(embedding).collect::<Vec<_>>()).unwrap();
    job.append_objects(&tracks.clone().map(|track| object(job.id(), track)).collect::<Vec<_>>()).unwrap();
    for track in tracks.clone() {
        let delivery = Delivery {
            state: DeliveryState::Posted,
            attempts: 1,
            last_status: Some(200),
            ..Delivery::pending(id_of(job.id(), track))
        };
        job.record_delivery(&delivery).unwrap();
    }
    let ids: Vec<_> = tracks.map(|track| id_of(job.id(), track)).collect();
    let cluster = Cluster { id: ids[0].clone(), best: ids[0].clone(), objects: ids, first_time: 0.1, last_time: 0.1 };
    job.save_clusters(std::slice::from_ref(&cluster)).unwrap();
    archive.name_cluster(&cluster.id, Some("Anna")).unwrap();
    archive.take_out(&cluster.id, &id_of(job.id(), 3)).unwrap();
    archive
        .update(video, |v| {
            (v.status, v.finished, v.processing_start_date) = (VideoStatus::Completed, true, v.queued_date);
            v.counts.insert(ObjectType::face(), TRACKS);
            v.clusters.insert(ObjectType::face(), 1);
            Ok(())
        })
        .unwrap();
    video
}

fn listed(archive: &Archive) -> Vec<u64> {
    let order = Order { key: OrderKey::Id, descending: false };
    let query = ListQuery { filter: VideoFilter::default(), order, limit: 100, cursor: None };
    archive.list(&query).unwrap().items.iter().map(|v| v.id.0).collect()
}

fn tracks(archive: &Archive, video: VideoId) -> Vec<u64> {
    let query = ObjectQuery { types: vec![], limit: 100, cursor: None };
    archive.objects(video, &query).unwrap().items.iter().map(|o| o.id.track.0).collect()
}

/// Every answer that comes from the index.
fn answers(archive: &Archive) -> String {
    let mut all = format!("{:?}", listed(archive));
    for video in listed(archive).into_iter().map(VideoId) {
        let (objects, deliveries) = (
            ObjectQuery { types: vec![], limit: 100, cursor: None },
            DeliveryQuery { states: vec![], limit: 100, cursor: None },
        );
        all += &format!("{:?}", archive.objects(video, &objects).unwrap().items);
        all +=
            &format!("{:?} {:?}", archive.deliveries(video, &deliveries).unwrap().items, archive.tally(video).unwrap());
        all += &format!("{:?}", archive.clusters(video, &objects).unwrap().items);
        all += &format!(
            "{:?}",
            tracks(archive, video)
                .iter()
                .map(|t| archive.cluster_of(&id_of(JobId { video, number: 1 }, *t)).unwrap())
                .collect::<Vec<_>>()
        );
    }
    let face = ObjectType::face();
    for vector in [vec![0.0; 19], vec![3.2; 19]] {
        let query = SimilarityQuery {
            object_type: &face,
            embedder: "a/1",
            vector: &vector,
            video: None,
            max_distance: f32::INFINITY,
            limit: 100,
        };
        all += &format!(
            "{:?}",
            archive.nearest(&query).unwrap().iter().map(|(o, far)| (o.id.clone(), *far)).collect::<Vec<_>>()
        );
    }
    all + &format!("{:?} {:?}", archive.waiting().unwrap(), archive.in_progress().unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path) }
    }
    all.sort();
    all
}

fn findings(data: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let summary = check(data, false, &mut |f| all.push(f.to_string())).unwrap();
    assert_eq!(summary.is_sound(), all.is_empty());
    all
}

fn change(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x15;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_record_loses_its_video_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let [first, second, last] = [(); 3].map(|()| finished(&archive));
    archive.enqueue(first).unwrap();
    archive.enqueue(second).unwrap();
    let record = |id| archive.source_path(id).with_file_name("video.json");
    for id in [first, last] {
        fs::write(record(id), "{").unwrap();
    }
    let assert_rest = |archive: &Archive| {
        assert_eq!(listed(archive), [second.0]);
        assert!(matches!(archive.video(first), Err(StoreError::Damaged { .. })));
        assert!(archive.waiting().unwrap().iter().any(|(_, id)| *id == second));
        assert_eq!(tracks(archive, second).len() as u64, TRACKS);
    };
    assert_rest(&archive);
    drop(archive);
    assert!(
        findings(dir.path()).iter().filter(|f| f.contains("video.json")).count() == 2,
        "{:?}",
        findings(dir.path())
    );
    // With the index, and without it.
    assert_rest(&open(dir.path()));
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let archive = open(dir.path());
    assert_rest(&archive);
    assert!(new_video(&archive) > last, "the id of a damaged video is not used again");
    assert!(archive.delete(last).unwrap() && archive.delete(first).unwrap());
    drop(archive);
    assert_eq!(findings(dir.path()), [""; 0]);
}

#[test]
fn a_changed_byte_in_the_middle_of_a_log_loses_one_record_and_the_log_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = finished(&archive);
    let job = archive.stored_job(video).unwrap().id();
    drop(archive);
    let log = dir.path().join("archive/000/1/jobs/1/objects.log");
    let whole = fs::read(&log).unwrap();
    change(&log, whole.len() / 2);
    let damaged = fs::read(&log).unwrap();
    assert!(findings(dir.path()).iter().any(|f| f.contains("objects.log is damaged")), "{:?}", findings(dir.path()));

    let archive = open(dir.path());
    let left = tracks(&archive, video);
    assert_eq!(left.len() as u64, TRACKS - 1, "{left:?}");
    // Opening the job to append sets the damaged log aside.
    let delivery = archive.delivery(&id_of(job, 0)).unwrap().unwrap();
    archive.job(job).unwrap().unwrap().record_delivery(&Delivery { attempts: 2, ..delivery }).unwrap();
    assert_eq!(tracks(&archive, video), left);
    assert_eq!(fs::read(log.with_file_name("objects.log.damaged-1")).unwrap(), damaged);
    let before = answers(&archive);
    drop(archive);
    let found = findings(dir.path());
    assert!(
        found.iter().any(|f| f.contains("objects.log.damaged-1")) && found.iter().any(|f| f.contains("counts")),
        "{found:?}"
    );
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(answers(&open(dir.path())), before);
}

/// Every file of an archive except the index, which another test covers.
#[test]
fn check_finds_a_change_of_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    finished(&archive);
    let gone = new_video(&archive);
    archive.delete(gone).unwrap();
    drop(archive);
    assert_eq!(findings(dir.path()), [""; 0]);
    let mut changes = 0;
    let checked = files(&dir.path().join("archive")).into_iter().chain([dir.path().join("format.json")]);
    for path in checked {
        let whole = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let places = (0..whole.len()).step_by((whole.len() / 16).max(1));
        for at in places.filter(|_| name != "screenshot.jpg") {
            change(&path, at);
            // A damaged last line of deliveries.log is reported as a torn end.
            assert_ne!(findings(dir.path()), [""; 0], "{name}, byte {at}");
            changes += 1;
        }
        fs::write(&path, "").unwrap();
        assert_ne!(findings(dir.path()), [""; 0], "{name}, empty");
        if !["last-id", "screenshot.jpg", "format.json"].contains(&&*name) {
            fs::remove_file(&path).unwrap();
            assert_ne!(findings(dir.path()), [""; 0], "{name}, missing");
        }
        fs::write(&path, whole).unwrap();
        assert_eq!(findings(dir.path()), [""; 0], "{name}, as it was");
    }
    assert!(changes > 100, "{changes}");
}

#[test]
fn with_any_file_damaged_the_archive_opens_and_serves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let (hit, other) = (finished(&archive), finished(&archive));
    archive.enqueue(hit).unwrap();
    drop(archive);
    let inside = files(&dir.path().join("archive/000/1"));
    for path in inside.into_iter().chain([
        dir.path().join("format.json"),
        dir.path().join("archive/last-id"),
        dir.path().join("index.clean"),
    ]) {
        let whole = fs::read(&path).ok();
        fs::write(&path, "no such thing").unwrap();
        for lost in [false, true] {
            if lost {
                fs::remove_dir_all(dir.path().join("index")).unwrap();
            }
            let archive = open(dir.path());
            assert!(listed(&archive).contains(&other.0), "{}", path.display());
            assert_eq!(tracks(&archive, other).len() as u64, TRACKS, "{}", path.display());
            if lost && !path.ends_with("video.json") {
                assert!(listed(&archive).contains(&hit.0), "{} is not the record", path.display());
            }
        }
        match whole {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
    }
    drop(open(dir.path()));
}

#[test]
fn an_index_that_was_changed_is_rebuilt_and_gives_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    for _ in 0..3 {
        finished(&archive);
    }
    let expected = answers(&archive);
    drop(archive);
    assert_eq!(answers(&open(dir.path())), expected);
    let mut damages = 0;
    for path in files(&dir.path().join("index")) {
        // sled renames some files each time that it is opened.
        let length = fs::metadata(&path).map_or(0, |found| found.len() as usize);
        let name = path.strip_prefix(dir.path()).unwrap().to_owned();
        let places = (0..length).step_by((length / 12).max(1));
        for damage in places.map(Some).chain([None]) {
            let path = dir.path().join(&name);
            if !path.exists() || fs::metadata(&path).unwrap().len() == 0 {
                continue;
            }
            match damage {
                Some(at) if at < fs::metadata(&path).unwrap().len() as usize => change(&path, at),
                Some(_) => continue,
                None => fs::remove_file(&path).unwrap(),
            }
            assert!(findings(dir.path()).iter().any(|f| f.contains("index")), "{} at {damage:?}", name.display());
            let archive = open(dir.path());
            assert_eq!(answers(&archive), expected, "{} at {damage:?}", name.display());
            damages += 1;
        }
    }
    assert!(damages > 20, "{damages}");
}

#[test]
fn with_a_damaged_id_file_no_id_is_used_again() {
    for contents in ["", "7", "no", "3 00000000\n"] {
        let dir = tempfile::tempdir().unwrap();
        let archive = open(dir.path());
        let ids = [(); 3].map(|()| new_video(&archive));
        archive.delete(ids[2]).unwrap();
        drop(archive);
        fs::write(dir.path().join("archive/last-id"), contents).unwrap();
        let archive = open(dir.path());
        assert!(new_video(&archive) > ids[2], "{contents:?}");
        let last = new_video(&archive);
        drop(archive);
        // The file was rewritten by the deletion or the start.
        assert_eq!(findings(dir.path()), [""; 0], "{contents:?}");
        assert_eq!(new_video(&open(dir.path())).0, last.0 + 1);
    }
}

#[test]
fn an_archive_of_a_later_release_is_refused_and_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let later = r#"{"format": 3, "written_by": "0.3.0", "something": "else"}"#;
    fs::write(dir.path().join("format.json"), later).unwrap();
    let before = files(dir.path());
    let clock = std::sync::Arc::new(ocellus_core::SystemClock);
    let error = Archive::open(dir.path(), clock).err().unwrap();
    assert!(error.to_string().contains("newer Ocellus (0.3.0"), "{error}");
    assert!(check(dir.path(), true, &mut |_| {}).is_err());
    assert_eq!(files(dir.path()), before);
    assert_eq!(fs::read_to_string(dir.path().join("format.json")).unwrap(), later);
}

#[test]
fn right_after_a_kill_check_finds_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    finished(&archive);
    // Simulates a crash: nothing is closed. The lock file is removed, since this process still
    // holds the lock.
    std::mem::forget(archive);
    fs::remove_file(dir.path().join("lock")).unwrap();
    let mut findings = Vec::new();
    let summary = check(dir.path(), false, &mut |f| findings.push(f.to_string())).unwrap();
    assert!(summary.is_sound() && summary.after_crash, "{findings:?}");
    assert!(summary.to_string().contains("all is well"), "{summary}");
}
