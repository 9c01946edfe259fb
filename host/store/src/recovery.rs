//! Recovery after a crash: finishes interrupted operations, and rebuilds the index from the
//! folders.

use std::{fs, io::ErrorKind, path::Path};

use ocellus_core::{JobId, VideoId, VideoRecord};
use tracing::error;

use crate::{
    codec::{FileDigest, decode_file},
    corrections::{Corrected, Corrections},
    delivery::Delivery,
    disk::Disk,
    error::{At, Result, StoreError},
    folder::Folder,
    index::Index,
    job_files::{self, LOGS},
    log::{Kind, truncate_torn_end},
};

/// Fills an empty index from all folders; with `repair`, also finishes operations that a crash
/// interrupted. Files that cannot be read are left out and logged; of these errors, one that may be
/// gone at the next start is returned.
pub(crate) fn rebuild(folder: &Folder, index: &Index, repair: bool) -> Result<Option<StoreError>> {
    let mut transient = None;
    for id in folder.ids()? {
        match rebuild_video(folder, index, id, repair) {
            Err(error @ StoreError::Index(_)) => return Err(error),
            Err(error) => {
                error!(video = %id, "video {id} or some of its objects are missing from the index: {error}");
                transient = matches!(error, StoreError::Io { .. }).then_some(error).or(transient);
            }
            Ok(()) => {}
        }
    }
    index.set_current()?;
    Ok(transient)
}

fn rebuild_video(folder: &Folder, index: &Index, id: VideoId, repair: bool) -> Result<()> {
    let Some(mut record) = folder.read(id)? else { return Ok(()) };
    let mut repaired = Ok(());
    if repair {
        match finish_source(folder, id) {
            Ok(newer) => record = newer.unwrap_or(record),
            Err(error) => repaired = Err(error),
        }
        repaired = repaired.and_then(|()| finish(folder, &record));
    }
    // The record can be read, even if other files of the video cannot.
    index.videos.put(id, Some(&record))?;
    if record.job > 0 {
        index_job(folder, index, JobId { video: id, number: record.job })?;
    }
    repaired
}

/// Finishes operations that a crash interrupted in a video's folder.
fn finish(folder: &Folder, record: &VideoRecord) -> Result<()> {
    let (id, disk) = (record.id, folder.disk());
    tidy(disk, &folder.video(id))?;
    // The record says that the source was deleted.
    if record.file_size.is_none() {
        disk.remove(&folder.source(id))?;
    }
    let job = JobId { video: id, number: record.job };
    clear_other_jobs(folder, job)?;
    // Only the deliveries of a finished job continue.
    let grow = LOGS.iter().filter(|(_, kind)| !record.finished || *kind == Kind::Deliveries);
    grow.filter(|_| record.job > 0)
        .try_for_each(|(name, kind)| truncate_torn_end(disk, &folder.job(job).join(name), *kind))
}

/// Finishes an upload that had replaced the source, but not the record: writes the record and
/// returns it. Has to be called before anything else writes the record.
pub(crate) fn finish_source(folder: &Folder, id: VideoId) -> Result<Option<VideoRecord>> {
    let (next, disk) = (folder.next_source(id), folder.disk());
    let newer = pending_record(folder, id)?;
    if newer.is_some() {
        disk.remove(&folder.screenshot(id))?;
        disk.rename(&next, &folder.record(id))?;
        disk.sync_folder(&folder.video(id))?;
    } else {
        disk.remove(&next)?;
    }
    Ok(newer)
}

/// The record for the current source, where an upload was interrupted before it wrote the record.
fn pending_record(folder: &Folder, id: VideoId) -> Result<Option<VideoRecord>> {
    let (source, next) = (folder.source(id), folder.next_source(id));
    let bytes = match fs::read(&next) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.at(&next)?,
    };
    // An incomplete file: the source was not replaced yet.
    let Ok(record) = decode_file::<VideoRecord>(&next, &bytes) else { return Ok(None) };
    let is_in_place = source.exists() && Some(FileDigest::of_file(&source)?.sha256) == record.source_sha256;
    Ok((is_in_place && record.id == id).then_some(record))
}

/// Removes leftovers of interrupted uploads and file replacements from a video's folder.
fn tidy(disk: &Disk, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("source.part-") || name.ends_with(".part") {
            disk.remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the folders of all jobs of a video except the current one: of earlier jobs, and of one
/// that was interrupted before the record named it.
pub(crate) fn clear_other_jobs(folder: &Folder, current: JobId) -> Result<()> {
    let jobs = folder.jobs(current.video);
    let entries = match fs::read_dir(&jobs) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.at(&jobs)?,
    };
    for entry in entries {
        let path = entry.at(&jobs)?.path();
        if path != folder.job(current) {
            folder.disk().remove(&path)?;
        }
    }
    Ok(())
}

/// Adds the objects of a job to the index, with their embeddings, identities and deliveries.
/// Damaged records are left out; `ocellus check` reports them.
///
/// # Errors
/// An error other than damage; everything that can be read is in the index nevertheless.
pub(crate) fn index_job(folder: &Folder, index: &Index, job: JobId) -> Result<()> {
    let mut unread = None;
    let clusters = or_default(job_files::clusters(folder, job), &mut unread).unwrap_or_default();
    let corrections = or_default(Corrections::read(folder, job.video), &mut unread);
    index.objects.put_identities(job.video, &Corrected::new(clusters, &corrections.made).groups)?;
    index_embeddings(folder, index, job, &mut unread)?;
    let mut deliveries = or_default(job_files::last_deliveries(folder, job), &mut unread);
    // Where the spec cannot be read, a logged delivery shows that there is a router.
    let has_router = job_files::spec(folder, job).map_or(!deliveries.is_empty(), |spec| job_files::has_router(&spec));
    for (number, object) in (0..).zip(job_files::objects(folder, job)?) {
        let (offset, object) = object?;
        let delivery =
            has_router.then(|| deliveries.remove(&object.id).unwrap_or_else(|| Delivery::pending(object.id.clone())));
        index.put_object(&object.id, number, offset, delivery.as_ref())?;
    }
    unread.map_or(Ok(()), Err)
}

fn index_embeddings(folder: &Folder, index: &Index, job: JobId, unread: &mut Option<StoreError>) -> Result<()> {
    let embeddings = or_default(job_files::embeddings(folder, job).map(Some), unread);
    for embedding in embeddings.into_iter().flatten() {
        let Some(embedding) = or_default(embedding.map(Some), unread) else { break };
        index.objects.put_embedding(&embedding)?;
    }
    Ok(())
}

/// Replaces a value that cannot be read by the default; an error other than damage is kept in
/// `unread`.
fn or_default<T: Default>(read: Result<T>, unread: &mut Option<StoreError>) -> T {
    read.unwrap_or_else(|error| {
        if !matches!(error, StoreError::Damaged { .. }) {
            unread.get_or_insert(error);
        }
        T::default()
    })
}
