//! Corrections of a video's identities, fitted to the objects of a later job by their pictures: a
//! correction speaks of the object whose embedding is nearest to the one that it was made of, and
//! of none where none is as near as one identity is.

use ocellus_core::{ObjectId, squared_distance};
use ocellus_store::{Change, Embedding, Reference};

/// The change with objects among `embeddings`; with those that it had where none of these fits.
/// `same`: the distance below which two embeddings of a reference's kind count as one identity.
pub(super) fn fit(change: &Change, embeddings: &[Embedding], same: impl Fn(&Reference) -> f32) -> Change {
    let nearest = |reference: &Reference, other_than: Option<&ObjectId>| {
        let reach = same(reference).powi(2);
        let comparable = |e: &&Embedding| {
            e.object.object_type == reference.object.object_type
                && e.embedder == reference.embedder
                && e.vector.len() == reference.vector.len()
                && Some(&e.object) != other_than
        };
        let measured =
            embeddings.iter().filter(comparable).map(|e| (squared_distance(&e.vector, &reference.vector), e));
        let near = measured.filter(|(squared, _)| *squared < reach);
        near.min_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.object.cmp(&y.object))).map(|(_, e)| e)
    };
    let fitted = |reference: &Reference, found: Option<&Embedding>| Reference {
        object: found.map_or(&reference.object, |e| &e.object).clone(),
        ..reference.clone()
    };
    match change {
        Change::Name { identity, name } => {
            Change::Name { identity: fitted(identity, nearest(identity, None)), name: name.clone() }
        }
        Change::Merge { identity, with } => Change::Merge {
            identity: fitted(identity, nearest(identity, None)),
            with: fitted(with, nearest(with, None)),
        },
        Change::TakeOut { object, from } => {
            // Where it was not found this time, the nearest may be one that stayed.
            let found = nearest(object, None)
                .filter(|e| squared_distance(&e.vector, &object.vector) < squared_distance(&e.vector, &from.vector));
            let rest = nearest(from, found.map(|e| &e.object));
            Change::TakeOut { object: fitted(object, found), from: fitted(from, rest) }
        }
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{JobId, ObjectType, TrackId, VideoId};

    use super::*;

    fn object(job: u32, track: u64) -> ObjectId {
        let job = JobId { video: VideoId(1), number: job };
        ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
    }

    /// An object of the first job.
    fn reference(track: u64, x: f32) -> Reference {
        Reference { object: object(1, track), embedder: "a/1".into(), vector: vec![x, 0.0] }
    }

    /// What the second job found.
    fn found(places: &[f32]) -> Vec<Embedding> {
        let embedding = |(track, x): (u64, &f32)| Embedding {
            object: object(2, track),
            embedder: "a/1".into(),
            vector: vec![*x, 0.0],
            spread: 0.0,
        };
        (0..).zip(places).map(embedding).collect()
    }

    /// The objects that a change speaks of once it is fitted: job and track of each.
    fn fitted(change: &Change, places: &[f32]) -> Vec<(u32, u64)> {
        let change = fit(change, &found(places), |_| 1.0);
        change.references().iter().map(|r| (r.object.job.number, r.object.track.0)).collect()
    }

    #[test]
    fn a_correction_speaks_of_the_nearest_object_within_one_identity() {
        let name = Change::Name { identity: reference(7, 0.0), name: Some("Anna".into()) };
        assert_eq!(fitted(&name, &[3.0, 0.5, -0.4]), [(2, 2)]);
        assert_eq!(fitted(&name, &[3.0, 1.0]), [(1, 7)], "it waits");
        let merge = Change::Merge { identity: reference(7, 0.0), with: reference(8, 5.0) };
        assert_eq!(fitted(&merge, &[5.1, 0.1]), [(2, 1), (2, 0)]);
        assert_eq!(fitted(&merge, &[5.1]), [(1, 7), (2, 0)]);
    }

    #[test]
    fn an_object_that_stayed_is_not_taken_out_in_place_of_another() {
        let take_out = Change::TakeOut { object: reference(7, 0.0), from: reference(8, 0.6) };
        assert_eq!(fitted(&take_out, &[0.7, 0.1]), [(2, 1), (2, 0)]);
        assert_eq!(fitted(&take_out, &[0.7, 0.55]), [(1, 7), (2, 1)], "only those that stayed are there");
        assert_eq!(fitted(&take_out, &[0.1]), [(2, 0), (1, 8)]);
    }

    #[test]
    fn objects_of_another_embedder_are_not_compared() {
        let name = Change::Name { identity: reference(7, 0.0), name: None };
        let mut embeddings = found(&[0.0, 0.0]);
        embeddings[0].embedder = "a/2".into();
        embeddings[1].vector.push(0.0);
        assert_eq!(fit(&name, &embeddings, |_| 1.0), name);
        assert_eq!(fit(&name, &found(&[0.0]), |_| 0.0), name, "the one that is installed is another");
    }
}
