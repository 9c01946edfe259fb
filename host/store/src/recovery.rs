//! Recovery: finishes what a crash interrupted, and makes the index from the folders.

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
    objects::{LOGS, embeddings, has_router, last_deliveries, read_clusters, read_spec},
};

/// Makes a new index from all folders; `mend`: finishes what a crash cut off in them, too. What
/// cannot be read is left out and named in the log; an error that may be over the next time is
/// returned.
pub(crate) fn rebuild(folder: &Folder, index: &Index, mend: bool) -> Result<Option<StoreError>> {
    let mut transient = None;
    for id in folder.ids()? {
        match rebuild_video(folder, index, id, mend) {
            Err(error @ StoreError::Index(_)) => return Err(error),
            Err(error) => {
                error!(video = %id, "video {id}: it, or some of what its job made, is not in the index: {error}");
                transient = matches!(error, StoreError::Io { .. }).then_some(error).or(transient);
            }
            Ok(()) => {}
        }
    }
    index.set_current()?;
    Ok(transient)
}

fn rebuild_video(folder: &Folder, index: &Index, id: VideoId, mend: bool) -> Result<()> {
    let Some(mut record) = folder.read(id)? else { return Ok(()) };
    let mut finished = Ok(());
    if mend {
        match finish_source(folder, id) {
            Ok(newer) => record = newer.unwrap_or(record),
            Err(error) => finished = Err(error),
        }
        finished = finished.and_then(|()| finish(folder, &record));
    }
    // Whatever else cannot be read, its record can.
    index.put(id, Some(&record))?;
    if record.job > 0 {
        index_job(folder, index, JobId { video: id, number: record.job })?;
    }
    finished
}

/// Finishes what a crash cut off in a video's folder.
fn finish(folder: &Folder, record: &VideoRecord) -> Result<()> {
    let (id, disk) = (record.id, folder.disk());
    tidy(disk, &folder.video(id))?;
    // Its deletion was written down.
    if record.file_size.is_none() {
        disk.remove(&folder.source(id))?;
    }
    let job = JobId { video: id, number: record.job };
    clear_other_jobs(folder, job)?;
    // Of a job that is over, only deliveries go on.
    let grow = LOGS.iter().filter(|(_, kind)| !record.finished || *kind == Kind::Deliveries);
    grow.filter(|_| record.job > 0).try_for_each(|(name, kind)| cut_torn_end(disk, &folder.job(job).join(name), *kind))
}

/// Puts down the record that goes with the source that was put in place last, where that was cut
/// off or failed before the record was; that record. Before anybody else writes the record.
pub(crate) fn finish_source(folder: &Folder, id: VideoId) -> Result<Option<VideoRecord>> {
    let (next, disk) = (folder.next_source(id), folder.disk());
    let newer = pending_source(folder, id)?;
    if newer.is_some() {
        disk.remove(&folder.screenshot(id))?;
        disk.rename(&next, &folder.record(id))?;
        disk.sync_folder(&folder.video(id))?;
    } else {
        disk.remove(&next)?;
    }
    Ok(newer)
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
/// deliveries. What is damaged is a check's to tell, and keeps no object from being found.
///
/// # Errors
/// Of what cannot be read now; the rest is in the index all the same.
pub(crate) fn index_job(folder: &Folder, index: &Index, job: JobId) -> Result<()> {
    let mut unread = None;
    index.put_clusters(&or_default(read_clusters(folder, job), &mut unread).unwrap_or_default())?;
    index_rows(folder, index, job, &mut unread)?;
    let path = folder.job(job).join("objects.log");
    let Some(mut log) = LogReader::open(&path, Kind::Objects)? else { return Ok(()) };
    let mut deliveries = or_default(last_deliveries(folder, job), &mut unread);
    // Where the spec cannot be read, there were deliveries if there is a line of one.
    let posts = read_spec(folder, job).map_or(!deliveries.is_empty(), |spec| has_router(&spec));
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
    unread.map_or(Ok(()), Err)
}

fn index_rows(folder: &Folder, index: &Index, job: JobId, unread: &mut Option<StoreError>) -> Result<()> {
    let rows = or_default(embeddings(folder, job).map(Some), unread);
    for row in rows.into_iter().flatten() {
        let Some(embedding) = or_default(row.map(Some), unread) else { break };
        index.put_row(&embedding)?;
    }
    Ok(())
}

/// Nothing in place of what is damaged, and of what cannot be read now, which is kept as `unread`.
fn or_default<T: Default>(read: Result<T>, unread: &mut Option<StoreError>) -> T {
    read.unwrap_or_else(|error| {
        if !matches!(error, StoreError::Damaged { .. }) {
            unread.get_or_insert(error);
        }
        T::default()
    })
}
