//! Names of identities across videos: which identity with a name one without looks like.
//!
//! Identities of several videos are not joined: whether two count as one is no relation that
//! divides them into groups (a may look like b, and b like c, and a not like c), so that each page
//! of such groups would compare all identities of the archive with each other. A name is given to
//! few of them, and these are compared with those of a page.

use std::collections::BTreeMap;

use ocellus_core::{Error, ErrorKind, ObjectId, ObjectType, Result, squared_distance};
use ocellus_detect::Embedders;
use ocellus_store::{Archive, Identity, NamedIdentity};

use crate::{identity, search::similarity};

/// Identity of another video that has a name, and counts as one with an identity that has none.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedAlike {
    /// Its id.
    pub id: ObjectId,
    /// Its name.
    pub name: String,
    /// As that of objects: above 0.5, where the same identity ends.
    pub similarity: f32,
}

/// The most similar identity with a name for each one without. Blocks.
pub(crate) fn alike(
    archive: &Archive,
    embedders: &Embedders,
    identities: Vec<Identity>,
) -> Result<Vec<(Identity, Option<NamedAlike>)>> {
    let mut named = BTreeMap::<ObjectType, Vec<NamedIdentity>>::new();
    for identity in identities.iter().filter(|identity| identity.name.is_none()) {
        let object_type = &identity.cluster.id.object_type;
        if !named.contains_key(object_type) {
            let all = none_while_unsearchable(archive.named_identities(object_type).map_err(Error::from))?;
            named.insert(object_type.clone(), all.unwrap_or_default());
        }
    }
    let of = |identity: &Identity| -> Result<Option<NamedAlike>> {
        let (id, best) = (&identity.cluster.id, &identity.cluster.best);
        let (embedder, same) = identity::measure(embedders, &id.object_type);
        let Some(named) = named.get(&id.object_type).filter(|named| identity.name.is_none() && !named.is_empty())
        else {
            return Ok(None);
        };
        let found = none_while_unsearchable(archive.embedding(best).map_err(Error::from))?.flatten();
        let Some((_, vector)) = found.filter(|(made_by, _)| made_by == embedder) else { return Ok(None) };
        Ok(nearest(id, &vector, named, embedder, same))
    };
    let paired = |identity: Identity| of(&identity).map(|alike| (identity, alike));
    identities.into_iter().map(paired).collect()
}

fn nearest(id: &ObjectId, vector: &[f32], named: &[NamedIdentity], embedder: &str, same: f32) -> Option<NamedAlike> {
    // Those of one video were told apart, by the clustering or by a user.
    let others = named.iter().filter(|other| other.id.job.video != id.job.video);
    let comparable = others.filter(|other| other.embedder == embedder && other.vector.len() == vector.len());
    let distance = |other: &NamedIdentity| squared_distance(vector, &other.vector).sqrt();
    let near = comparable.map(|other| (distance(other), other)).filter(|(distance, _)| *distance < same);
    let (distance, other) = near.min_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| x.id.cmp(&y.id)))?;
    Some(NamedAlike { id: other.id.clone(), name: other.name.clone(), similarity: similarity(distance, same) })
}

/// Lists are shown without names of other videos while the index is in memory.
fn none_while_unsearchable<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Err(error) if error.kind() == ErrorKind::Unavailable => Ok(None),
        read => read.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{JobId, TrackId, VideoId};

    use super::*;

    fn id(video: u64, track: u64) -> ObjectId {
        let job = JobId { video: VideoId(video), number: 1 };
        ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 }
    }

    fn named(video: u64, name: &str, x: f32) -> NamedIdentity {
        NamedIdentity { id: id(video, 0), name: name.into(), embedder: "a/1".into(), vector: vec![x, 0.0] }
    }

    #[test]
    fn the_nearest_name_of_another_video_counts() {
        let all = [named(1, "Anna", 0.0), named(2, "Bo", 1.0), named(3, "Cy", 1.1)];
        let name = |video, x| nearest(&id(video, 5), &[x, 0.0], &all, "a/1", 0.5).map(|found| found.name);
        assert_eq!(name(9, 0.1).as_deref(), Some("Anna"));
        assert_eq!(name(9, 0.9).as_deref(), Some("Bo"));
        assert_eq!(name(2, 0.9).as_deref(), Some("Cy"), "those of one video were told apart");
        assert_eq!(name(9, 1.7), None);
        assert_eq!(nearest(&id(9, 5), &[0.0, 0.0], &all, "a/2", 0.5), None, "of another embedder");
    }
}
