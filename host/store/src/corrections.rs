//! Corrections of a video's identities: `corrections.json`, and how they change its clusters.
//!
//! Owns: that file, which lies beside the video's record and stays when another job replaces the
//! results. A correction speaks of objects, and keeps their embeddings: by these the pipeline finds
//! the same ones among the objects of a later job ([`crate::Job::refit_corrections`]). One whose
//! objects are in no cluster of the current job has no effect, and waits.
//!
//! Guarantees: what identities are is a function of `clusters.json` and the corrections, in the
//! order in which they were made; neither changes the other, so that any correction can be undone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    io::ErrorKind,
};

use ocellus_core::{Cluster, ObjectId, Timestamp, VideoId};
use serde::{Deserialize, Serialize};

use crate::{
    codec::{decode_file, encode_file},
    error::{At, Result},
    folder::Folder,
};

/// A change of a video's identities that a user made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correction {
    /// Counts the corrections of the video, from 1; never used twice.
    pub number: u32,
    /// When it was made.
    pub created: Timestamp,
    /// What it does.
    pub change: Change,
}

/// What a correction does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// An identity has this name.
    Name {
        /// An object of it.
        identity: Reference,
        /// `None`: it has no name any more.
        name: Option<String>,
    },
    /// Two identities are one.
    Merge {
        /// An object of the one, whose name wins.
        identity: Reference,
        /// An object of the other.
        with: Reference,
    },
    /// An object is an identity of its own.
    TakeOut {
        /// The object.
        object: Reference,
        /// Of the objects that it was with, the one most similar to it.
        from: Reference,
    },
}

impl Change {
    /// The objects that it speaks of.
    pub fn references(&self) -> Vec<&Reference> {
        match self {
            Self::Name { identity, .. } => vec![identity],
            Self::Merge { identity, with } => vec![identity, with],
            Self::TakeOut { object, from } => vec![object, from],
        }
    }
}

/// Object that a correction speaks of, with what it looked like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// In the job when the correction was made, or in the last one that had such an object.
    pub object: ObjectId,
    /// Digest or name of what made `vector`.
    pub embedder: String,
    /// The object's embedding when the correction was made.
    #[serde(with = "hex_digits")]
    pub vector: Vec<f32>,
}

/// An identity as corrections left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// Its objects. The id is that of the first one, also after a correction.
    pub cluster: Cluster,
    /// As it was given.
    pub name: Option<String>,
    /// Numbers of the corrections that made it so, in their order.
    pub corrections: Vec<u32>,
}

/// Contents of `corrections.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Corrections {
    /// The number of the next one.
    pub next: u32,
    pub made: Vec<Correction>,
}

impl Corrections {
    /// # Errors
    /// `Damaged` where the file cannot be read, `Newer` where a later release wrote it.
    pub(crate) fn read(folder: &Folder, video: VideoId) -> Result<Self> {
        let path = folder.corrections(video);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            bytes => decode_file(&path, &bytes.at(&path)?),
        }
    }

    pub(crate) fn write(&self, folder: &Folder, video: VideoId) -> Result<()> {
        folder.disk().replace(&folder.corrections(video), &encode_file(self))
    }
}

impl Default for Corrections {
    fn default() -> Self {
        Self { next: 1, made: Vec::new() }
    }
}

/// Objects that are one identity, by the clusters of a job and the corrections.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// In order of their ids; never empty.
    pub objects: Vec<ObjectId>,
    /// The cluster that it is, where no correction changed its objects.
    pub cluster: Option<Cluster>,
    pub name: Option<String>,
    pub corrections: Vec<u32>,
}

impl Group {
    /// The id of the identity: that of its first object.
    pub(crate) fn id(&self) -> Option<&ObjectId> {
        self.objects.first()
    }
}

/// The identities of a job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Corrected {
    /// In order of their ids.
    pub groups: Vec<Group>,
    /// Numbers of the corrections that have an effect, or say what is so anyway.
    pub applied: BTreeSet<u32>,
}

impl Corrected {
    pub(crate) fn new(clusters: Vec<Cluster>, corrections: &[Correction]) -> Self {
        let group = |cluster: Cluster| Group {
            objects: cluster.objects.clone(),
            cluster: Some(cluster),
            name: None,
            corrections: Vec::new(),
        };
        let groups: Vec<_> = clusters.into_iter().map(group).collect();
        if corrections.is_empty() {
            return Self { groups, applied: BTreeSet::new() };
        }
        let mut partition = Partition::new(groups);
        let applied = corrections.iter().filter(|c| partition.apply(c).is_some()).map(|c| c.number).collect();
        let mut groups: Vec<_> = partition.groups.into_values().collect();
        groups.sort_by(|a, b| a.id().cmp(&b.id()));
        Self { groups, applied }
    }

    /// The identity that an object is in.
    pub(crate) fn of(&self, object: &ObjectId) -> Option<&Group> {
        self.groups.iter().find(|group| group.objects.contains(object))
    }

    /// The identity of this id.
    pub(crate) fn find(&self, id: &ObjectId) -> Option<&Group> {
        self.groups.iter().find(|group| group.id() == Some(id))
    }
}

/// Groups while corrections are applied to them.
struct Partition {
    groups: BTreeMap<usize, Group>,
    /// The group of each object.
    places: HashMap<ObjectId, usize>,
}

impl Partition {
    fn new(groups: Vec<Group>) -> Self {
        let place = |(n, group): (usize, &Group)| group.objects.iter().map(move |o| (o.clone(), n)).collect::<Vec<_>>();
        let places = groups.iter().enumerate().flat_map(place).collect();
        Self { groups: groups.into_iter().enumerate().collect(), places }
    }

    fn place(&self, reference: &Reference) -> Option<usize> {
        self.places.get(&reference.object).copied()
    }

    /// `None` where it speaks of an object that is in no group.
    fn apply(&mut self, Correction { number, change, .. }: &Correction) -> Option<()> {
        match change {
            Change::Name { identity, name } => {
                let group = self.groups.get_mut(&self.places.get(&identity.object).copied()?)?;
                group.name.clone_from(name);
                group.corrections.push(*number);
            }
            Change::Merge { identity, with } => {
                let (one, other) = (self.place(identity)?, self.place(with)?);
                if one != other {
                    self.merge(one, other)?;
                }
                self.groups.get_mut(&one)?.corrections.push(*number);
            }
            Change::TakeOut { object, from } => {
                let (place, rest) = (self.place(object)?, self.place(from));
                if rest.is_none_or(|rest| rest == place) {
                    self.take_out(place, &object.object, *number)?;
                } else if let Some(rest) = rest.and_then(|rest| self.groups.get(&rest)) {
                    // They are two identities already. A name that was given by this object is that
                    // of those that it was with.
                    let is_unnamed = rest.name.is_none();
                    let alone = self.groups.get_mut(&place)?;
                    if alone.objects.len() == 1 && is_unnamed {
                        let name = alone.name.take();
                        self.groups.get_mut(&self.place(from)?)?.name = name;
                    }
                }
            }
        }
        Some(())
    }

    fn merge(&mut self, one: usize, other: usize) -> Option<()> {
        let Group { objects, name, corrections, .. } = self.groups.remove(&other)?;
        objects.iter().for_each(|object| {
            self.places.insert(object.clone(), one);
        });
        let group = self.groups.get_mut(&one)?;
        group.objects.extend(objects);
        group.objects.sort();
        group.cluster = None;
        group.name = group.name.take().or(name);
        group.corrections.extend(corrections);
        group.corrections.sort_unstable();
        Some(())
    }

    fn take_out(&mut self, place: usize, object: &ObjectId, number: u32) -> Option<()> {
        let group = self.groups.get_mut(&place)?;
        group.corrections.push(number);
        if group.objects.len() > 1 {
            group.objects.retain(|other| other != object);
            group.cluster = None;
            let new = self.groups.keys().next_back()? + 1;
            let alone = Group { objects: vec![object.clone()], cluster: None, name: None, corrections: vec![number] };
            self.groups.insert(new, alone);
            self.places.insert(object.clone(), new);
        }
        Some(())
    }
}

/// Numbers as the hexadecimal digits of their bytes, little-endian: a fifth of the room of decimal
/// ones, and exact.
mod hex_digits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(vector: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let digits = vector.iter().flat_map(|v| v.to_le_bytes()).map(|byte| format!("{byte:02x}"));
        serializer.serialize_str(&digits.collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (digits, rest) = text.as_bytes().as_chunks::<8>();
        let number = |digits: &[u8; 8]| {
            let digits = std::str::from_utf8(digits).ok()?;
            u32::from_str_radix(digits, 16).ok().map(|bits| f32::from_bits(bits.swap_bytes()))
        };
        let vector: Option<Vec<f32>> = digits.iter().map(number).collect();
        vector.filter(|_| rest.is_empty()).ok_or_else(|| D::Error::custom("an embedding is not in hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests;
