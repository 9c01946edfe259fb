//! Covers: objects that are appended together. Each gets its own number, pictures and delivery; an
//! existing one is left unchanged; if one of them cannot be written, none is appended, and they can
//! be appended again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed assumption fails the test")]

mod common;

use std::fs;

use common::{new_object, new_video, open};
use ocellus_core::{JobId, ObjectId, ObjectType, TrackId};
use ocellus_store::{Archive, DeliveryQuery, NewObject, ObjectQuery, Picture};
use serde_json::json;

fn object(job: JobId, track: u64) -> NewObject {
    let id = ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 };
    let name = format!("thumbnail of {track}");
    new_object(id, &[(Picture::Thumbnail, name.as_bytes()), (Picture::Fullframe, b"\x89PNG\r\n\x1a\n")])
}

fn numbers(appended: Vec<(&ObjectId, u32)>) -> Vec<(u64, u32)> {
    appended.into_iter().map(|(id, number)| (id.track.0, number)).collect()
}

/// Tracks of a video's objects with the contents of their thumbnails, and tracks of its deliveries.
fn kept(archive: &Archive, job: JobId) -> (Vec<(u64, String)>, Vec<u64>) {
    let objects = archive.objects(job.video, &ObjectQuery { types: vec![], limit: 100, cursor: None }).unwrap().items;
    let picture = |id: &ObjectId| {
        let file = archive.picture(id, Picture::Thumbnail).unwrap();
        String::from_utf8(fs::read(file.path).unwrap()).unwrap()
    };
    let objects = objects.iter().map(|object| (object.id.track.0, picture(&object.id))).collect();
    let deliveries =
        archive.deliveries(job.video, &DeliveryQuery { states: vec![], limit: 100, cursor: None }).unwrap().items;
    (objects, deliveries.iter().map(|delivery| delivery.object.track.0).collect())
}

#[test]
fn a_restarted_job_has_another_number_and_no_objects() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let spec = json!({ "router_url": "http://localhost/", "camera": 7 });
    let old = archive.start_job(new_video(&archive), &spec).unwrap();
    let video = old.id().video;
    old.append_objects(&[object(old.id(), 5), object(old.id(), 3)]).unwrap();
    let before = archive.video(video).unwrap().unwrap();
    let new = archive.restart_job(&old).unwrap();
    assert_eq!((new.id(), new.spec().unwrap()), (JobId { video, number: old.id().number + 1 }, spec));
    let after = archive.video(video).unwrap().unwrap();
    assert_eq!(
        (after.job, after.status, after.queued_date),
        (new.id().number, before.status, before.queued_date),
        "its status stays"
    );
    assert_eq!(kept(&archive, new.id()), (vec![], vec![]));
    assert!(archive.job(old.id()).unwrap().is_none());
    new.append_objects(&[object(new.id(), 5)]).unwrap();
    assert_eq!(new.objects().unwrap().map(|o| o.unwrap().id).collect::<Vec<_>>(), [object(new.id(), 5).record.id]);
    assert_eq!((new.counts()[&ObjectType::face()], new.highest_tracks()[&ObjectType::face()]), (1, TrackId(5)));
}

#[test]
fn appending_objects_together_equals_appending_them_one_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let job = archive.start_job(new_video(&archive), &json!({ "router_url": "http://localhost/" })).unwrap();
    let id = job.id();
    assert_eq!(numbers(job.append_objects(&[]).unwrap()), []);
    assert_eq!(numbers(job.append_objects(&[object(id, 5), object(id, 3)]).unwrap()), [(5, 0), (3, 1)]);
    // One that exists, and one that occurs twice.
    let mut other = object(id, 3);
    other.pictures[0].1 = b"\xff\xd8 other".to_vec();
    assert_eq!(
        numbers(job.append_objects(&[object(id, 9), other.clone(), object(id, 9), object(id, 1)]).unwrap()),
        [(9, 2), (1, 3)]
    );
    assert_eq!(numbers(job.append_objects(&[other]).unwrap()), []);

    let tracks = [5, 3, 9, 1];
    let expected = (tracks.map(|track| (track, format!("thumbnail of {track}"))).to_vec(), tracks.to_vec());
    assert_eq!(kept(&archive, id), expected);
    drop((job, archive));
    let archive = open(dir.path());
    assert_eq!(kept(&archive, id), expected, "after a restart");
    drop(archive);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(kept(&open(dir.path()), id), expected, "without the index");
}

#[test]
fn none_is_appended_where_one_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let job = archive.start_job(new_video(&archive), &json!({ "router_url": "http://localhost/" })).unwrap();
    let both = [object(job.id(), 1), object(job.id(), 2)];
    // A folder at the path of a picture.
    let pictures = archive.source_path(job.id().video).with_file_name("jobs/1/pictures");
    let in_the_way = pictures.join(format!("{}.fullframe.png", both[1].record.id));
    fs::create_dir(&in_the_way).unwrap();
    let error = job.append_objects(&both).unwrap_err();
    assert!(error.to_string().contains(&*in_the_way.to_string_lossy()), "{error}");
    assert_eq!(kept(&archive, job.id()), (vec![], vec![]));

    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(numbers(job.append_objects(&both).unwrap()), [(1, 0), (2, 1)]);
}
