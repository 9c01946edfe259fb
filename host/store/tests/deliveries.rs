//! Covers: deliveries. Every object of a job with a router has one from the start; its last record
//! counts, also after a restart and without the index; the counts always add up; a replaced job
//! leaves none.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failed assumption fails the test"
)]

mod common;

use common::{new_object, new_video, open};
use ocellus_core::{JobId, ObjectId, Timestamp, TrackId, VideoId};
use ocellus_store::{Archive, Delivery, DeliveryQuery, DeliveryState, Job};
use proptest::prelude::*;
use serde_json::json;

fn add(job: &Job, object_type: &str, track: u64) -> ObjectId {
    let id = ObjectId { job: job.id(), object_type: object_type.parse().unwrap(), track: TrackId(track), shot: 0 };
    job.append_objects(&[new_object(id.clone(), &[])]).unwrap();
    id
}

fn query(states: &[DeliveryState], limit: usize) -> DeliveryQuery {
    DeliveryQuery { states: states.to_vec(), limit, cursor: None }
}

fn all(archive: &Archive, id: VideoId) -> Vec<Delivery> {
    archive.deliveries(id, &query(&[], 1000)).unwrap().items
}

fn undelivered(archive: &Archive) -> Vec<(ObjectId, u32)> {
    archive.undelivered(None).unwrap()
}

#[test]
fn without_a_router_there_are_no_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let id = new_video(&archive);
    let job = archive.start_job(id, &json!({"router_url": null})).unwrap();
    let object = add(&job, "face", 1);
    assert_eq!(archive.delivery(&object).unwrap(), None);
    assert_eq!(archive.tally(id).unwrap(), None);
    assert!(all(&archive, id).is_empty() && undelivered(&archive).is_empty());
}

#[test]
fn a_new_job_and_a_deletion_remove_the_old_deliveries() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let (again, gone) = (new_video(&archive), new_video(&archive));
    let spec = json!({"router_url": "http://127.0.0.1:1/"});
    let old = archive.start_job(again, &spec).unwrap();
    let object = add(&old, "face", 1);
    add(&archive.start_job(gone, &spec).unwrap(), "car", 1);
    assert_eq!(undelivered(&archive).len(), 2);

    let new = archive.start_job(again, &spec).unwrap();
    assert!(archive.delete(gone).unwrap());
    old.record_delivery(&Delivery { state: DeliveryState::Posted, ..Delivery::pending(object) }).unwrap();
    assert!(undelivered(&archive).is_empty());
    assert!(all(&archive, again).is_empty());
    assert_eq!((archive.tally(again).unwrap(), archive.tally(gone).unwrap()), (None, None));
    let object = add(&new, "face", 1);
    assert_eq!(undelivered(&archive), [(object, 0)]);
}

#[test]
fn two_openers_of_a_job_get_the_same_one() {
    let dir = tempfile::tempdir().unwrap();
    let archive = open(dir.path());
    let id = new_video(&archive);
    let one = archive.start_job(id, &json!({"router_url": "http://127.0.0.1:1/"})).unwrap();
    let other = archive.job(JobId { video: id, number: 1 }).unwrap().unwrap();
    let objects = [add(&one, "face", 1), add(&other, "face", 2), add(&one, "face", 3)];
    for (job, object) in [&other, &one, &other].into_iter().zip(&objects) {
        job.record_delivery(&Delivery {
            state: DeliveryState::Posted,
            attempts: 1,
            ..Delivery::pending(object.clone())
        })
        .unwrap();
    }
    drop((one, other, archive));
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    let archive = open(dir.path());
    assert_eq!(all(&archive, id).iter().map(|d| &d.object).collect::<Vec<_>>(), objects.iter().collect::<Vec<_>>());
    assert!(undelivered(&archive).is_empty());
}

fn state() -> impl Strategy<Value = DeliveryState> {
    prop::sample::select(vec![DeliveryState::Retrying, DeliveryState::Posted, DeliveryState::Failed])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_last_record_of_a_delivery_counts_and_the_counts_add_up(
        types in prop::collection::vec(prop::sample::select(vec!["face", "car"]), 1..12),
        recorded in prop::collection::vec((any::<prop::sample::Index>(), state(), 1..9_u32), 0..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let archive = open(dir.path());
        let id = new_video(&archive);
        let job = archive.start_job(id, &json!({"router_url": "http://127.0.0.1:1/"})).unwrap();
        let mut expected: Vec<_> = types.iter().zip(0..).map(|(t, track)| Delivery::pending(add(&job, t, track))).collect();
        for (which, state, attempts) in recorded {
            let place = &mut expected[which.index(types.len())];
            let now = Timestamp::from_second(1_000).unwrap();
            *place = Delivery { state, attempts, last_status: Some(500), since: Some(now), ..place.clone() };
            job.record_delivery(place).unwrap();
        }
        let state = |archive: &Archive| (all(archive, id), archive.tally(id).unwrap().unwrap(), undelivered(archive));
        let before = state(&archive);
        prop_assert_eq!(&before.0, &expected);
        let open_ones: Vec<_> = expected.iter().zip(0..).filter(|(d, _)| !d.state.is_final()).map(|(d, n)| (d.object.clone(), n)).collect();
        prop_assert_eq!(&before.2, &open_ones);
        let count = |t: &str, states: &[DeliveryState]| {
            expected.iter().filter(|d| d.object.object_type.as_str() == t && states.contains(&d.state)).count() as u64
        };
        for (t, counts) in &before.1 {
            use DeliveryState::{Failed, Pending, Posted, Retrying};
            let t = t.as_str();
            let expected = [count(t, &[Posted]), count(t, &[Failed]), count(t, &[Pending, Retrying]), count(t, &[Retrying])];
            prop_assert_eq!([counts.posted, counts.failed, counts.not_posted, counts.retrying], expected);
        }
        drop((job, archive));
        prop_assert_eq!(&state(&open(dir.path())), &before);
        std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        prop_assert_eq!(&state(&open(dir.path())), &before);
    }
}
