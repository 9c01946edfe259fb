//! What a crash cut off is finished, and the index made from what the folders say.

use std::{fs, io::ErrorKind, path::Path};

use ocellus_core::{JobId, ObjectRecord, VideoId, VideoRecord};
use tracing::error;

use crate::{
    codec::{FileDigest, parse, unseal},
    delivery::Delivery,
    disk::Disk,
    error::{At, Result, StoreError},
    folder::Folder,
    index::Index,
    log::{Kind, LogReader, cut_torn_end},
    objects::{LOGS, has_router, last_deliveries, read_clusters, read_embeddings, read_plan},
};

/// Makes a new index from all folders; `mend`: finishes what a crash cut off in them, too. What
/// cannot be read is left out and named in the log; an error that may be over the next time is
/// returned.
pub(crate) fn rebuild(folder: &Folder, index: &Index, mend: bool) -> Result<Option<StoreError>> {
    let mut passing = None;
    for id in folder.ids()? {
        match rebuild_video(folder, index, id, mend) {
            Err(error @ StoreError::Index(_)) => return Err(error),
            Err(error) => {
                error!(video = %id, "video {id} is left out, or what its job made: {error}");
                passing = matches!(error, StoreError::Io { .. }).then_some(error).or(passing);
            }
            Ok(()) => {}
        }
    }
    index.set_current()?;
    Ok(passing)
}

fn rebuild_video(folder: &Folder, index: &Index, id: VideoId, mend: bool) -> Result<()> {
    let Some(mut record) = folder.read(id)? else { return Ok(()) };
    if mend {
        record = finish(folder, record)?;
    }
    index.put(id, Some(&record))?;
    if record.job == 0 { Ok(()) } else { index_job(folder, index, JobId { video: id, number: record.job }) }
}

/// Finishes what a crash cut off in a video's folder; the record that is right then.
fn finish(folder: &Folder, mut record: VideoRecord) -> Result<VideoRecord> {
    let (id, disk) = (record.id, folder.disk());
    tidy(disk, &folder.video(id))?;
    let (source, next) = (folder.source(id), folder.next_source(id));
    if let Some(newer) = pending_source(folder, id)? {
        disk.remove(&folder.screenshot(id))?;
        disk.rename(&next, &folder.record(id))?;
        disk.sync_folder(&folder.video(id))?;
        record = newer;
    } else {
        disk.remove(&next)?;
    }
    // Its deletion was written down.
    if record.file_size.is_none() {
        disk.remove(&source)?;
    }
    let job = JobId { video: id, number: record.job };
    clear_other_jobs(folder, job)?;
    // Of a job that is over, only deliveries go on.
    let grow = LOGS.iter().filter(|(_, kind)| !record.finished || *kind == Kind::Deliveries);
    grow.filter(|_| record.job > 0).try_for_each(|(name, kind)| cut_torn_end(disk, &folder.job(job).join(name), *kind))?;
    Ok(record)
}

/// The record that goes with the source that was put in place last, where that was cut off before
/// the record was.
fn pending_source(folder: &Folder, id: VideoId) -> Result<Option<VideoRecord>> {
    let (source, next) = (folder.source(id), folder.next_source(id));
    let bytes = match fs::read(&next) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.at(&next)?,
    };
    // One that was not written to its end was not followed by anything.
    let Ok(record) = unseal::<VideoRecord>(&next, &bytes) else { return Ok(None) };
    let is_in_place = source.exists() && Some(FileDigest::of_file(&source)?.sha256) == record.source_sha256;
    Ok((is_in_place && record.id == id).then_some(record))
}

/// Removes what uploads and replacements that were cut off left in a video's folder.
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

/// Removes what earlier jobs of a video made, and a later one that its record does not know of.
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

/// Puts the objects of a job's log into the index, what they look like, who they are, and their
/// deliveries.
pub(crate) fn index_job(folder: &Folder, index: &Index, job: JobId) -> Result<()> {
    // What cannot be read is a check's to tell; it keeps no object from being found.
    index.put_clusters(&read_clusters(folder, job).ok().flatten().unwrap_or_default())?;
    read_embeddings(folder, job).unwrap_or_default().iter().try_for_each(|embedding| index.put_row(embedding))?;
    let path = folder.job(job).join("objects.log");
    let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(()) };
    let mut deliveries = last_deliveries(folder, job)?;
    // Where the plan cannot be read, there were deliveries if there is a line of one.
    let posts = read_plan(folder, job).map_or(!deliveries.is_empty(), |plan| has_router(&plan));
    let mut number = 0;
    while let Some(payload) = log.next_record()? {
        let object: ObjectRecord = parse(&path, &payload)?;
        index.put_object(&object.id, number, log.begin_of(&payload))?;
        if posts {
            let delivery = deliveries.remove(&object.id).unwrap_or_else(|| Delivery::pending(object.id));
            index.put_delivery(number, &delivery)?;
        }
        number += 1;
    }
    Ok(())
}
