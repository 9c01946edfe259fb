//! Corrections of identities, as users make and undo them.
//!
//! Guarantees: a correction that was acknowledged is durable, and obeyed by every list from then
//! on. Those who watch the video are told.

use std::collections::HashMap;

use ocellus_core::{Error, ErrorKind, JobId, ObjectId, VideoId, squared_distance};

use crate::{
    archive::Archive,
    corrections::{Change, Corrected, Correction, Corrections, Group, Identity, Reference},
    error::{Result, StoreError},
    job_files,
    observer::Written,
};

/// The most corrections of a video: all of them are read for each list of its identities.
const MOST: usize = 10_000;

/// A correction, and what it does to the results of the current job.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedCorrection {
    /// What was made.
    pub correction: Correction,
    /// It has an effect; otherwise it waits for objects that it fits.
    pub is_applied: bool,
    /// The identities of the objects that it speaks of.
    pub identities: Vec<ObjectId>,
}

/// What a user wants changed: the correction, if one is to be made, and an object of the identity
/// that is shown then.
type Wanted = (Option<Change>, ObjectId);

impl Archive {
    /// Gives an identity a name, or takes it away, and returns it.
    ///
    /// # Errors
    /// `Refused` with `NotFound` where there is no such identity, and with `Conflict` where the
    /// video has too many corrections; `NotSearchable` while the index is in memory because the
    /// disk is full; `Damaged` where a file of the video cannot be read. `Io`, also where the disk
    /// is full: then it is named or not, and that can be repeated.
    pub fn name_cluster(&self, id: &ObjectId, name: Option<&str>) -> Result<Identity> {
        self.correct(id, |group, _| {
            let shown = group.objects.first().unwrap_or(id).clone();
            if group.name.as_deref() == name {
                return Ok((None, shown));
            }
            let identity = self.reference_to(group)?;
            Ok((Some(Change::Name { identity, name: name.map(str::to_owned) }), shown))
        })
    }

    /// Makes one identity of two of a type, and returns it.
    ///
    /// # Errors
    /// As [`Archive::name_cluster`]; `Refused` with `BadParam` for `with`.
    pub fn merge_clusters(&self, id: &ObjectId, with: &ObjectId) -> Result<Identity> {
        if id == with {
            return refuse("with", "It is the same identity.");
        }
        if id.job.video != with.job.video {
            return refuse("with", "It is of another video. Only identities of one video can be merged.");
        }
        if id.object_type != with.object_type {
            return refuse("with", "It is of another type. Only identities of one type can be merged.");
        }
        self.correct(id, |group, corrected| {
            let Some(other) = corrected.find(with) else { return refuse("with", "There is no such identity.") };
            let (identity, with) = (self.reference_to(group)?, self.reference_to(other)?);
            Ok((Some(Change::Merge { identity, with }), id.clone()))
        })
    }

    /// Makes an object an identity of its own, and returns the identity that it was in.
    ///
    /// # Errors
    /// As [`Archive::name_cluster`]; `Refused` with `BadParam` for `object`.
    pub fn take_out(&self, id: &ObjectId, object: &ObjectId) -> Result<Identity> {
        self.correct(id, |group, _| {
            if !group.objects.contains(object) {
                return refuse("object", "It is no object of this identity.");
            }
            if group.objects.len() == 1 {
                return refuse("object", "It is the only object of this identity.");
            }
            let taken = self.reference(object)?;
            let from = self.most_similar(&taken, group)?;
            let shown = from.object.clone();
            Ok((Some(Change::TakeOut { object: taken, from }), shown))
        })
    }

    /// The corrections of a video, in the order in which they were made.
    ///
    /// # Errors
    /// `NoVideo`; `Damaged` where they cannot be read.
    pub fn corrections(&self, video: VideoId) -> Result<Vec<ListedCorrection>> {
        let record = self.video(video)?.ok_or(StoreError::NoVideo(video))?;
        let folder = &self.shared().folder;
        let corrections = Corrections::read(folder, video)?;
        let clusters = job_files::clusters(folder, JobId { video, number: record.job })?.unwrap_or_default();
        let corrected = Corrected::new(clusters, &corrections.made);
        let members =
            |group| Group::id(group).into_iter().flat_map(move |id| group.objects.iter().map(move |o| (o, id)));
        let identities: HashMap<&ObjectId, &ObjectId> = corrected.groups.iter().flat_map(members).collect();
        let listed = |correction: Correction| {
            let is_applied = corrected.applied.contains(&correction.number);
            let objects = correction.change.references().into_iter().map(|reference| &reference.object);
            let mut identities: Vec<_> = objects.filter_map(|o| identities.get(o).copied().cloned()).collect();
            identities.dedup();
            ListedCorrection { correction, is_applied, identities }
        };
        Ok(corrections.made.into_iter().map(listed).collect())
    }

    /// Removes a correction: identities are as if it had never been made.
    ///
    /// # Errors
    /// `NoVideo`; `Refused` with `NotFound` where there is no such correction; others as for
    /// [`Archive::name_cluster`].
    pub fn undo_correction(&self, video: VideoId, number: u32) -> Result<()> {
        let shared = self.shared();
        let _lock = shared.lock(video);
        let record = self.video(video)?.ok_or(StoreError::NoVideo(video))?;
        let mut corrections = Corrections::read(&shared.folder, video)?;
        let before = corrections.made.len();
        corrections.made.retain(|correction| correction.number != number);
        if corrections.made.len() == before {
            return Err(Error::not_found("Correction").into());
        }
        shared.write_corrections(JobId { video, number: record.job }, &corrections)?;
        self.tell(Written::Video(video));
        Ok(())
    }

    fn correct(&self, id: &ObjectId, change: impl FnOnce(&Group, &Corrected) -> Result<Wanted>) -> Result<Identity> {
        let shared = self.shared();
        let (video, missing) = (id.job.video, || StoreError::from(Error::not_found("Cluster")));
        let _lock = shared.lock(video);
        let job = JobId { video, number: self.video(video)?.ok_or_else(missing)?.job };
        let mut corrections = Corrections::read(&shared.folder, video)?;
        let clusters = job_files::clusters(&shared.folder, job)?.unwrap_or_default();
        let corrected = Corrected::new(clusters, &corrections.made);
        let (change, shown) = change(corrected.find(id).ok_or_else(missing)?, &corrected)?;
        if let Some(change) = change {
            if corrections.made.len() >= MOST {
                let why = format!("The video has {MOST} corrections, and cannot have more. Undo some.");
                return Err(Error::new(ErrorKind::Conflict, why).into());
            }
            let number = corrections.next;
            corrections.made.push(Correction { number, created: shared.clock.now(), change });
            corrections.next += 1;
        }
        // Also where there is nothing to change: it may have been written and not be durable.
        shared.write_corrections(job, &corrections)?;
        self.tell(Written::Video(video));
        let group = shared.corrected(job)?.of(&shown).cloned();
        group.map_or(Ok(None), |group| self.described(group))?.ok_or_else(missing)
    }

    /// An object that stands for an identity.
    fn reference_to(&self, group: &Group) -> Result<Reference> {
        let identity = self.described(group.clone())?;
        let identity = identity.ok_or_else(|| StoreError::from(Error::not_found("Cluster")))?;
        self.reference(&identity.cluster.best)
    }

    fn reference(&self, object: &ObjectId) -> Result<Reference> {
        let (embedder, vector) = self.embedding(object)?.ok_or_else(|| Error::not_found("Object"))?;
        Ok(Reference { object: object.clone(), embedder, vector })
    }

    /// The object most similar to one of its identity.
    fn most_similar(&self, object: &Reference, group: &Group) -> Result<Reference> {
        let mut nearest: Option<(f32, Reference)> = None;
        for other in group.objects.iter().filter(|other| **other != object.object) {
            let other = self.reference(other)?;
            let squared = squared_distance(&object.vector, &other.vector);
            if nearest.as_ref().is_none_or(|(least, _)| squared < *least) {
                nearest = Some((squared, other));
            }
        }
        nearest.map(|(_, other)| other).ok_or_else(|| Error::not_found("Object").into())
    }
}

fn refuse<T>(param: &str, why: &str) -> Result<T> {
    Err(Error::bad_param(param, why).into())
}
