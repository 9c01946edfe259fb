//! Covers: what the archive keeps of individuals. Rows and clusters of a job are read as they were written, also after a
//! restart; the next job begins without them; damage is found by a check.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test ends where something is wrong")]

use std::{fs, path::Path, sync::Arc};

use ocellus_core::{Cluster, JobId, ObjectId, ObjectType, SettingsSchema, SystemClock, TrackId, VideoId, VideoRecord};
use ocellus_store::{Archive, Embedding, Finding, check};
use serde_json::json;

fn open(dir: &Path) -> Archive {
    Archive::open(dir, Arc::new(SystemClock)).unwrap().0
}

fn object(video: VideoId, track: u64) -> ObjectId {
    ObjectId { job: JobId { video, number: 1 }, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
}

#[test]
fn individuals_are_kept_with_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let video = archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id;
    let job = archive.start_job(video, &json!({})).unwrap();
    let rows = [1, 2].map(|track| Embedding {
        object: object(video, track),
        source: "a network".into(),
        row: vec![track as f32 / 3.0, f32::MIN_POSITIVE],
    });
    job.append_embeddings(&rows).unwrap();
    assert_eq!(archive.stored_job(video).unwrap().clusters().unwrap(), []);
    let id = object(video, 1);
    let cluster = Cluster { id: id.clone(), best: id.clone(), objects: vec![id, object(video, 2)], first_time: 0.1, last_time: 2.0 / 3.0 };
    job.save_clusters(std::slice::from_ref(&cluster)).unwrap();
    drop((job, archive));

    let archive = open(dir.path());
    assert_eq!(archive.cluster_of(&object(video, 2)).unwrap(), Some(object(video, 1)));
    assert_eq!(archive.cluster_of(&object(video, 3)).unwrap(), None);
    let stored = archive.stored_job(video).unwrap();
    assert_eq!(stored.embeddings().unwrap(), rows);
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
    assert!(matches!(&found()[..], [Finding::Torn { file, .. }] if file == "embeddings.log"), "{:?}", found());
    fs::write(folder.join("embeddings.log"), whole).unwrap();
    fs::write(folder.join("clusters.json"), b"[{").unwrap();
    assert!(matches!(&found()[..], [Finding::Damaged { reason, .. }] if reason.contains("clusters.json")), "{:?}", found());

    let archive = open(dir.path());
    archive.start_job(video, &json!({})).unwrap();
    assert_eq!(archive.cluster_of(&object(video, 2)).unwrap(), None);
    let stored = archive.stored_job(video).unwrap();
    assert!(stored.embeddings().unwrap().is_empty() && stored.clusters().unwrap().is_empty(), "another job, other individuals");
}
