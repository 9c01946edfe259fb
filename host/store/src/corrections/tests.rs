use ocellus_core::{JobId, ObjectType, TrackId};
use proptest::prelude::*;

use super::*;

fn id(track: u64) -> ObjectId {
    let job = JobId { video: VideoId(1), number: 1 };
    ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
}

fn reference(track: u64) -> Reference {
    Reference { object: id(track), embedder: "a/1".into(), vector: vec![track as f32 / 3.0, f32::MIN_POSITIVE] }
}

fn clusters(groups: &[&[u64]]) -> Vec<Cluster> {
    let cluster = |tracks: &&[u64]| Cluster {
        id: id(tracks[0]),
        best: id(tracks[0]),
        objects: tracks.iter().map(|t| id(*t)).collect(),
        first_time: 0.0,
        last_time: 1.0,
    };
    groups.iter().map(cluster).collect()
}

fn name(track: u64, name: &str) -> Change {
    Change::Name { identity: reference(track), name: Some(name.to_owned()).filter(|n| !n.is_empty()) }
}

fn merge(one: u64, other: u64) -> Change {
    Change::Merge { identity: reference(one), with: reference(other) }
}

fn take_out(track: u64, from: u64) -> Change {
    Change::TakeOut { object: reference(track), from: reference(from) }
}

fn made(changes: Vec<Change>) -> Vec<Correction> {
    let correction = |(number, change)| Correction { number, created: Timestamp::UNIX_EPOCH, change };
    (1..).zip(changes).map(correction).collect()
}

/// The tracks of an identity, and its name.
type Named = (Vec<u64>, Option<String>);

/// The identities, and the numbers of the corrections that wait.
fn corrected(groups: &[&[u64]], corrections: &[Correction]) -> (Vec<Named>, Vec<u32>) {
    let Corrected { groups, applied } = Corrected::new(clusters(groups), corrections);
    let tracks = |group: Group| (group.objects.iter().map(|o| o.track.0).collect(), group.name);
    let waiting = corrections.iter().map(|c| c.number).filter(|n| !applied.contains(n)).collect();
    (groups.into_iter().map(tracks).collect(), waiting)
}

fn named(tracks: &[u64], name: &str) -> (Vec<u64>, Option<String>) {
    (tracks.to_vec(), Some(name.to_owned()))
}

fn plain(tracks: &[u64]) -> (Vec<u64>, Option<String>) {
    (tracks.to_vec(), None)
}

#[test]
fn corrections_apply_in_their_order() {
    let groups: &[&[u64]] = &[&[1, 4], &[2], &[3, 5]];
    for (changes, expected) in [
        (vec![name(4, "Anna")], vec![named(&[1, 4], "Anna"), plain(&[2]), plain(&[3, 5])]),
        (vec![name(4, "Anna"), name(1, "")], vec![plain(&[1, 4]), plain(&[2]), plain(&[3, 5])]),
        (vec![merge(2, 3)], vec![plain(&[1, 4]), plain(&[2, 3, 5])]),
        (vec![name(3, "Bo"), merge(2, 3)], vec![plain(&[1, 4]), named(&[2, 3, 5], "Bo")]),
        (vec![name(3, "Bo"), name(2, "Cy"), merge(2, 3)], vec![plain(&[1, 4]), named(&[2, 3, 5], "Cy")]),
        // The name stays with those that the object was taken from.
        (vec![name(1, "Anna"), take_out(1, 4)], vec![plain(&[1]), plain(&[2]), plain(&[3, 5]), named(&[4], "Anna")]),
        (vec![merge(1, 2), merge(2, 3), take_out(4, 1)], vec![plain(&[1, 2, 3, 5]), plain(&[4])]),
        // What is so already stays so.
        (vec![merge(1, 4), take_out(2, 1)], vec![plain(&[1, 4]), plain(&[2]), plain(&[3, 5])]),
    ] {
        assert_eq!(corrected(groups, &made(changes.clone())), (expected, vec![]), "{changes:?}");
    }
}

#[test]
fn what_speaks_of_other_objects_waits() {
    let corrections = made(vec![name(9, "Anna"), merge(1, 9), take_out(9, 1), name(2, "Bo")]);
    assert_eq!(corrected(&[&[1], &[2]], &corrections), (vec![plain(&[1]), named(&[2], "Bo")], vec![1, 2, 3]));
}

#[test]
fn a_name_leaves_an_object_that_another_job_found_alone() {
    let corrections = made(vec![name(1, "Anna"), take_out(1, 4)]);
    assert_eq!(corrected(&[&[1], &[2, 4]], &corrections), (vec![plain(&[1]), named(&[2, 4], "Anna")], vec![]));
}

#[test]
fn an_identity_names_the_corrections_that_made_it() {
    let corrections = made(vec![name(1, "Anna"), merge(1, 2), take_out(4, 1)]);
    let Corrected { groups, .. } = Corrected::new(clusters(&[&[1, 4], &[2], &[3]]), &corrections);
    let numbers: Vec<_> = groups.into_iter().map(|g| (g.corrections, g.cluster.is_some())).collect();
    assert_eq!(numbers, [(vec![1, 2, 3], false), (vec![], true), (vec![3], false)]);
}

proptest! {
    #[test]
    fn every_object_is_in_one_identity(changes in prop::collection::vec((0..3, 0..8_u64, 0..8_u64), 0..12)) {
        let change = |(kind, a, b): &(i32, u64, u64)| match kind {
            0 => name(*a, "x"),
            1 => merge(*a, *b),
            _ => take_out(*a, *b),
        };
        let corrections = made(changes.iter().map(change).collect());
        let (groups, _) = corrected(&[&[1, 4], &[2], &[3, 5, 6]], &corrections);
        let mut all: Vec<u64> = groups.iter().flat_map(|(tracks, _)| tracks.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, vec![1, 2, 3, 4, 5, 6]);
        prop_assert!(groups.iter().all(|(tracks, _)| tracks.is_sorted()));
        prop_assert!(groups.is_sorted_by_key(|(tracks, _)| tracks[0]));
    }

    #[test]
    fn a_correction_is_read_as_it_was_written(vector: Vec<f32>, text in "\\PC{0,9}") {
        let vector: Vec<f32> = vector.into_iter().filter(|v| v.is_finite()).collect();
        let identity = Reference { vector, ..reference(1) };
        let correction = &made(vec![Change::Name { identity, name: Some(text) }])[0];
        let read: Correction = serde_json::from_slice(&serde_json::to_vec(correction).unwrap()).unwrap();
        prop_assert_eq!(&read, correction);
    }
}
