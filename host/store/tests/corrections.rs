//! Covers: corrections of identities. They are obeyed by every list, kept over a restart, a lost
//! index and another job, part of a backup and of a check, and undone one by one; identities of all
//! videos come page by page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test"
)]

mod common;

use std::{collections::BTreeSet, fs, path::Path};

use common::{new_object, new_video, open};
use ocellus_core::{Cluster, JobId, ObjectId, ObjectType, Timestamp, TrackId, VideoId, VideoStatus};
use ocellus_store::{
    Archive, Change, Embedding, Identity, IdentityQuery, ObjectQuery, Page, Picture, StoreError, backup, check,
};
use serde_json::json;

fn object(video: VideoId, track: u64) -> ObjectId {
    ObjectId { job: JobId { video, number: 1 }, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
}

/// Has a job of a video end with these identities, given by their tracks; an object's embedding is
/// its track.
fn process(archive: &Archive, video: VideoId, groups: &[&[u64]]) {
    let job = archive.start_job(video, &json!({})).unwrap();
    let id = |track: u64| ObjectId { job: job.id(), ..object(video, track) };
    for track in groups.iter().copied().flatten() {
        let vector = vec![*track as f32, 0.0];
        job.append_embeddings(&[Embedding { object: id(*track), embedder: "a/1".into(), vector, spread: 0.0 }])
            .unwrap();
        let pictures: [(_, &[u8]); 2] =
            [(Picture::Thumbnail, b"\xff\xd8 \xff\xd9"), (Picture::Fullframe, b"\xff\xd8 \xff\xd9")];
        job.append_objects(&[new_object(id(*track), &pictures)]).unwrap();
    }
    let cluster = |tracks: &&[u64]| Cluster {
        id: id(tracks[0]),
        best: id(tracks[0]),
        objects: tracks.iter().map(|t| id(*t)).collect(),
        first_time: 0.1,
        last_time: 0.1,
    };
    let clusters: Vec<_> = groups.iter().map(cluster).collect();
    job.save_clusters(&clusters).unwrap();
    let count = groups.iter().map(|tracks| tracks.len() as u64).sum();
    archive
        .update(video, |record| {
            (record.status, record.finished) = (VideoStatus::Completed, true);
            record.counts.insert(ObjectType::face(), count);
            record.clusters.insert(ObjectType::face(), groups.len() as u64);
            Ok(())
        })
        .unwrap();
}

fn tracks(identity: &Identity) -> (Vec<u64>, Option<&str>) {
    (identity.cluster.objects.iter().map(|o| o.track.0).collect(), identity.name.as_deref())
}

/// The tracks of a video's identities, with their names, as its list and the index have them.
fn identities(archive: &Archive, video: VideoId) -> Vec<(Vec<u64>, Option<String>)> {
    let all = archive.clusters(video, &ObjectQuery { types: vec![], limit: 100, cursor: None }).unwrap().items;
    for identity in &all {
        assert_eq!(identity.cluster.id, identity.cluster.objects[0]);
        assert_eq!(archive.cluster(&identity.cluster.id).unwrap().as_ref(), Some(identity));
        for object in &identity.cluster.objects {
            assert_eq!(archive.cluster_of(object).unwrap().as_ref(), Some(&identity.cluster.id));
        }
        let page = archive.cluster_objects(&identity.cluster.id, None, 100).unwrap().unwrap();
        assert!(page.items.iter().map(|o| &o.id).eq(&identity.cluster.objects));
    }
    let owned = |identity| (tracks(identity).0, identity.name.clone());
    all.iter().map(owned).collect()
}

fn named(tracks: &[u64], name: &str) -> (Vec<u64>, Option<String>) {
    (tracks.to_vec(), Some(name.to_owned()))
}

fn plain(tracks: &[u64]) -> (Vec<u64>, Option<String>) {
    (tracks.to_vec(), None)
}

fn assert_sound(data: &Path) {
    let summary = check(data, false, &mut |finding| panic!("{finding}")).unwrap();
    assert!(summary.is_sound());
}

/// Three identities of five tracks, of which one is named, two are merged, and one is taken apart.
fn corrected(archive: &Archive) -> VideoId {
    let video = new_video(archive);
    process(archive, video, &[&[1, 4], &[2], &[3, 5]]);
    let id = |track| object(video, track);
    assert_eq!(tracks(&archive.name_cluster(&id(1), Some("Anna")).unwrap()), (vec![1, 4], Some("Anna")));
    assert_eq!(tracks(&archive.merge_clusters(&id(3), &id(2)).unwrap()), (vec![2, 3, 5], None));
    assert_eq!(tracks(&archive.take_out(&id(1), &id(1)).unwrap()), (vec![4], Some("Anna")));
    video
}

#[test]
fn corrections_outlive_a_restart_and_a_lost_index() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = open(dir.path());
    let video = corrected(&archive);
    let expected = [plain(&[1]), plain(&[2, 3, 5]), named(&[4], "Anna")];
    assert_eq!(identities(&archive, video), expected);
    let listed = archive.corrections(video).unwrap();
    assert!(listed.iter().all(|c| c.is_applied) && listed.len() == 3);
    drop(archive);
    assert_sound(dir.path());
    backup(dir.path(), copy.path(), Timestamp::UNIX_EPOCH, &mut |_, _| {}).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    for data in [dir.path(), copy.path()] {
        let archive = open(data);
        assert_eq!(identities(&archive, video), expected);
        assert_eq!(archive.corrections(video).unwrap(), listed);
        drop(archive);
        assert_sound(data);
    }
    let archive = open(dir.path());
    archive.undo_correction(video, 2).unwrap();
    drop(archive);
    let archive = open(dir.path());
    assert_eq!(identities(&archive, video), [plain(&[1]), plain(&[2]), plain(&[3, 5]), named(&[4], "Anna")]);
}

#[test]
fn each_correction_is_undone_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = corrected(&archive);
    for (number, expected) in [
        (2, vec![plain(&[1]), plain(&[2]), plain(&[3, 5]), named(&[4], "Anna")]),
        (3, vec![named(&[1, 4], "Anna"), plain(&[2]), plain(&[3, 5])]),
        (1, vec![plain(&[1, 4]), plain(&[2]), plain(&[3, 5])]),
    ] {
        archive.undo_correction(video, number).unwrap();
        assert_eq!(identities(&archive, video), expected);
        assert!(matches!(archive.undo_correction(video, number), Err(StoreError::Refused(_))));
    }
    archive.name_cluster(&object(video, 2), Some("Bo")).unwrap();
    archive.name_cluster(&object(video, 2), Some("Bo")).unwrap();
    let numbers: Vec<_> = archive.corrections(video).unwrap().iter().map(|c| c.correction.number).collect();
    assert_eq!(numbers, [4], "no number comes again, and the same name is no other correction");
    assert_eq!(tracks(&archive.name_cluster(&object(video, 2), None).unwrap()), (vec![2], None));
}

#[test]
fn the_next_job_has_the_corrections_that_fit_it() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = corrected(&archive);
    let job = archive.start_job(video, &json!({})).unwrap().id();
    assert_eq!(identities(&archive, video), []);
    assert!(archive.corrections(video).unwrap().iter().all(|c| !c.is_applied), "they wait");
    process(&archive, video, &[&[2], &[6, 7]]);
    assert_eq!(identities(&archive, video), [plain(&[2]), plain(&[6, 7])], "nobody said what they mean");

    let job = archive.job(JobId { number: job.number + 1, ..job }).unwrap().unwrap();
    let clusters = archive.stored_job(video).unwrap().clusters().unwrap();
    let fit = |change: &Change| match change.clone() {
        Change::Name { mut identity, name } => {
            identity.object = clusters[1].id.clone();
            Change::Name { identity, name }
        }
        other => other,
    };
    job.refit_corrections(fit).unwrap();
    job.save_clusters(&clusters).unwrap();
    drop(job);
    let expected = [plain(&[2]), named(&[6, 7], "Anna")];
    assert_eq!(identities(&archive, video), expected);
    assert_eq!(
        archive.corrections(video).unwrap().iter().map(|c| c.is_applied).collect::<Vec<_>>(),
        [true, false, false]
    );
    drop(archive);
    assert_sound(dir.path());
    assert_eq!(identities(&open(dir.path()), video), expected);
}

#[test]
fn damaged_corrections_cost_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = corrected(&archive);
    let file = archive.source_path(video).with_file_name("corrections.json");
    drop(archive);
    fs::write(&file, "{}").unwrap();
    let mut found = Vec::new();
    check(dir.path(), false, &mut |finding| found.push(finding.to_string())).unwrap();
    assert!(found.iter().any(|f| f.contains("corrections.json is damaged")), "{found:?}");
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let archive = open(dir.path());
    assert_eq!(identities(&archive, video), [plain(&[1, 4]), plain(&[2]), plain(&[3, 5])]);
    let refused = [archive.corrections(video).err(), archive.name_cluster(&object(video, 2), Some("Bo")).err()];
    assert!(refused.iter().all(|error| matches!(error, Some(StoreError::Damaged { .. }))), "{refused:?}");
    assert!(archive.delete(video).unwrap());
}

#[test]
fn identities_of_all_videos_come_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let first = corrected(&archive);
    let empty = new_video(&archive);
    let second = new_video(&archive);
    process(&archive, second, &[&[1], &[2, 3]]);
    let last = corrected(&archive);
    let query = |videos: Option<&[VideoId]>, is_named, cursor| IdentityQuery {
        videos: videos.map(|ids| ids.iter().copied().collect::<BTreeSet<_>>()),
        types: vec![ObjectType::face()],
        is_named,
        limit: 2,
        cursor,
    };
    let ids = |page: &Page<Identity>| {
        page.items.iter().map(|i| (i.cluster.id.job.video, i.cluster.id.track.0)).collect::<Vec<_>>()
    };
    for (videos, is_named, expected) in [
        (
            None,
            false,
            vec![(first, 1), (first, 2), (first, 4), (second, 1), (second, 2), (last, 1), (last, 2), (last, 4)],
        ),
        (
            Some(&[last, empty, first][..]),
            false,
            vec![(first, 1), (first, 2), (first, 4), (last, 1), (last, 2), (last, 4)],
        ),
        (None, true, vec![(first, 4), (last, 4)]),
        (Some(&[last, second][..]), true, vec![(last, 4)]),
    ] {
        let (mut there, mut cursor) = (Vec::new(), None);
        let page = loop {
            let page = archive.identities(&query(videos, is_named, cursor)).unwrap();
            there.extend(ids(&page));
            cursor = page.next.clone();
            if cursor.is_none() {
                break page;
            }
        };
        assert_eq!(there, expected);
        let (mut back, mut page) = (ids(&page), page);
        while let Some(before) = page.prev {
            page = archive.identities(&query(videos, is_named, Some(before))).unwrap();
            back.splice(0..0, ids(&page));
        }
        assert_eq!(back, expected, "and back");
    }
    let cars = IdentityQuery { types: vec![ObjectType::car()], ..query(None, false, None) };
    assert!(archive.identities(&cars).unwrap().items.is_empty());

    // A page follows on one from before a correction and a deletion.
    let page = archive.identities(&query(None, false, None)).unwrap();
    archive.undo_correction(first, 2).unwrap();
    archive.undo_correction(first, 3).unwrap();
    archive.delete(second).unwrap();
    let next = archive.identities(&query(None, false, page.next)).unwrap();
    assert_eq!(ids(&next), [(first, 3), (last, 1)]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = new_video(&archive);
    process(&archive, video, &[&[1, 4], &[2]]);
    let other = new_video(&archive);
    process(&archive, other, &[&[1]]);
    let id = |track| object(video, track);
    let car = ObjectId { object_type: ObjectType::car(), ..id(2) };
    let param = |error: Option<StoreError>| match error {
        Some(StoreError::Refused(error)) => error.param().map(str::to_owned),
        other => panic!("{other:?}"),
    };
    for with in [id(1), id(3), object(other, 1), car] {
        assert_eq!(param(archive.merge_clusters(&id(1), &with).err()).as_deref(), Some("with"), "{with}");
    }
    for object in [id(2), id(9)] {
        assert_eq!(param(archive.take_out(&id(1), &object).err()).as_deref(), Some("object"), "{object}");
    }
    assert_eq!(param(archive.take_out(&id(2), &id(2)).err()).as_deref(), Some("object"));
    for missing in [id(4), id(9), object(VideoId(99), 1)] {
        assert_eq!(param(archive.name_cluster(&missing, Some("Bo")).err()), None, "{missing}");
    }
    assert_eq!(archive.corrections(video).unwrap(), []);
    assert!(!archive.source_path(video).with_file_name("corrections.json").exists());
}
