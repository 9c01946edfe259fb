//! Covers: identities. Embeddings and clusters of a job are read as they were written, and objects
//! found by similarity, also after a restart; the next job begins without them; a check finds their
//! damage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test"
)]

mod common;

use std::fs;

use common::{new_object, new_video, open};
use ocellus_core::{Cluster, JobId, ObjectId, ObjectRecord, ObjectType, TrackId, VideoId};
use ocellus_store::{
    Archive, Cursor, Embedding, Finding, Identity, ObjectQuery, Page, Picture, SimilarityQuery, check,
};
use serde_json::json;

fn object(video: VideoId, track: u64) -> ObjectId {
    ObjectId { job: JobId { video, number: 1 }, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
}

/// Videos and tracks of the objects most similar to this vector, the nearest first.
fn nearest(archive: &Archive, vector: &[f32]) -> Vec<(VideoId, u64)> {
    let face = ObjectType::face();
    let query = SimilarityQuery {
        object_type: &face,
        embedder: "a network",
        vector,
        video: None,
        max_distance: f32::INFINITY,
        limit: 10,
    };
    archive.nearest(&query).unwrap().into_iter().map(|(object, _)| (object.id.job.video, object.id.track.0)).collect()
}

#[test]
fn objects_are_found_by_similarity() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let videos = [0, 1].map(|_| new_video(&archive));
    let process = |archive: &Archive, video: VideoId| {
        let job = archive.start_job(video, &json!({})).unwrap();
        for track in 1..=3 {
            let id = ObjectId { job: job.id(), ..object(video, track) };
            job.append_embeddings(&[Embedding {
                object: id.clone(),
                embedder: "a network".into(),
                vector: vec![track as f32, video.0 as f32],
                spread: 0.0,
            }])
            .unwrap();
            // As after a crash before the last object was appended.
            if track < 3 {
                let pictures: [(_, &[u8]); 2] = [(Picture::Thumbnail, b"\xff\xd8"), (Picture::Fullframe, b"\xff\xd8")];
                job.append_objects(&[new_object(id, &pictures)]).unwrap();
            }
        }
    };
    videos.iter().for_each(|video| process(&archive, *video));
    let [first, second] = videos;
    let expected = [(first, 1), (first, 2), (second, 1), (second, 2)];
    let query = [0.0, first.0 as f32 - 5.0];
    assert_eq!(nearest(&archive, &query), expected, "the nearest first, and no embedding without an object");
    drop(archive);
    let archive = open(dir.path());
    assert_eq!(nearest(&archive, &query), expected, "after a restart");
    drop(archive);
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let archive = open(dir.path());
    assert_eq!(nearest(&archive, &query), expected, "without the index");

    let job = archive.start_job(first, &json!({})).unwrap();
    assert_eq!(nearest(&archive, &query), expected[2..], "a new job begins without objects");
    drop(job);
    process(&archive, first);
    assert_eq!(nearest(&archive, &query), expected, "a repeated job gives the same");
    archive.delete(second).unwrap();
    assert_eq!(nearest(&archive, &query), expected[..2], "deleted with their video");
}

#[test]
fn identities_and_their_objects_are_listed_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = new_video(&archive);
    let job = archive.start_job(video, &json!({})).unwrap();
    for track in 1..=9 {
        job.append_objects(&[new_object(object(video, track), &[])]).unwrap();
    }
    // 1, 4 and 7 are one identity; so are 2, 5 and 8, and 3, 6 and 9.
    let members = |n: u64| (0..3).map(|k| object(video, n + 3 * k)).collect::<Vec<_>>();
    let cluster = |n| Cluster {
        id: object(video, n),
        best: object(video, n),
        objects: members(n),
        first_time: 0.0,
        last_time: 1.0,
    };
    job.save_clusters(&[cluster(1), cluster(2), cluster(3)]).unwrap();

    let identity = |n| Identity { cluster: cluster(n), name: None, corrections: vec![] };
    let query = |types: Vec<ObjectType>, cursor| ObjectQuery { types, limit: 2, cursor };
    let first = archive.clusters(video, &query(vec![ObjectType::face()], None)).unwrap();
    assert_eq!((first.items, first.prev), (vec![identity(1), identity(2)], None));
    let second = archive.clusters(video, &query(vec![], first.next)).unwrap();
    assert_eq!((second.items, second.next), (vec![identity(3)], None));
    let back = archive.clusters(video, &query(vec![], second.prev)).unwrap();
    assert_eq!((back.items, back.prev), (vec![identity(1), identity(2)], None));
    assert!(archive.clusters(video, &query(vec![ObjectType::car()], None)).unwrap().items.is_empty());

    let ids = |page: Page<ObjectRecord>| page.items.into_iter().map(|o| o.id).collect::<Vec<_>>();
    let first = archive.cluster_objects(&object(video, 2), None, 2).unwrap().unwrap();
    let second = archive.cluster_objects(&object(video, 2), first.next.as_ref(), 2).unwrap().unwrap();
    assert!(second.next.is_none());
    assert_eq!([ids(first), ids(second)].concat(), members(2));
    assert!(
        archive.clusters(video, &query(vec![], second_cursor_of_objects(&archive, video))).is_err(),
        "a page of another list"
    );
}

fn second_cursor_of_objects(archive: &Archive, video: VideoId) -> Option<Cursor> {
    archive.objects(video, &ObjectQuery { types: vec![], limit: 1, cursor: None }).unwrap().next
}

#[test]
fn identities_are_kept_with_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let video = new_video(&archive);
    let job = archive.start_job(video, &json!({})).unwrap();
    let embeddings = [1, 2].map(|track| Embedding {
        object: object(video, track),
        embedder: "a network".into(),
        vector: vec![track as f32 / 3.0, f32::MIN_POSITIVE],
        spread: track as f32 - 1.0,
    });
    job.append_embeddings(&embeddings).unwrap();
    assert_eq!(archive.stored_job(video).unwrap().clusters().unwrap(), []);
    let id = object(video, 1);
    let cluster = Cluster {
        id: id.clone(),
        best: id.clone(),
        objects: vec![id, object(video, 2)],
        first_time: 0.1,
        last_time: 2.0 / 3.0,
    };
    job.save_clusters(std::slice::from_ref(&cluster)).unwrap();
    drop((job, archive));

    let archive = open(dir.path());
    assert_eq!(archive.cluster_of(&object(video, 2)).unwrap(), Some(object(video, 1)));
    assert_eq!(archive.cluster_of(&object(video, 3)).unwrap(), None);
    assert!(archive.cluster_objects(&object(video, 2), None, 10).unwrap().is_none(), "a member, not a cluster");
    let stored = archive.stored_job(video).unwrap();
    assert_eq!(stored.embeddings().unwrap(), embeddings);
    assert_eq!(stored.clusters().unwrap(), [cluster]);
    drop(archive);

    // Without the index, too.
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    assert_eq!(open(dir.path()).cluster_of(&object(video, 2)).unwrap(), Some(object(video, 1)));

    let folder = dir.path().join("archive/000").join(video.to_string()).join("jobs/1");
    let found = || {
        let mut found = Vec::new();
        check(dir.path(), false, &mut |finding| found.push(finding)).unwrap();
        found
    };
    assert_eq!(found(), []);
    let whole = fs::read(folder.join("embeddings.log")).unwrap();
    fs::write(folder.join("embeddings.log"), &whole[..whole.len() - 3]).unwrap();
    // A job that continues would truncate the torn end; the index has one embedding more.
    assert!(matches!(&found()[..], [Finding::Index { .. }]), "{:?}", found());
    fs::write(folder.join("embeddings.log"), whole).unwrap();
    fs::write(folder.join("clusters.json"), b"[{").unwrap();
    assert!(
        matches!(&found()[..], [Finding::Damaged { file, .. }, Finding::Index { .. }] if file.ends_with("clusters.json")),
        "{:?}",
        found()
    );

    let archive = open(dir.path());
    archive.start_job(video, &json!({})).unwrap();
    assert_eq!(archive.cluster_of(&object(video, 2)).unwrap(), None);
    let stored = archive.stored_job(video).unwrap();
    assert!(
        stored.embeddings().unwrap().is_empty() && stored.clusters().unwrap().is_empty(),
        "another job, other identities"
    );
}
