//! Check of a job: its spec, logs, pictures, identities and seal.

use std::{collections::BTreeMap, fs, path::Path};

use ocellus_core::{JobId, ObjectRecord, ObjectType, VideoRecord, VideoStatus};

use super::report::Report;
use crate::{
    codec::{FileDigest, decode, parse},
    delivery::Delivery,
    error::Result,
    job_files::{self, CLUSTERS, DETECTIONS, LOGS, SPEC},
    job_seal,
    log::{Kind, LogReader, Unread},
    objects::{Embedding, Picture, StoredObject, find_picture, pictures_folder},
};

pub(super) fn check(report: &mut Report<'_>, record: &VideoRecord) {
    let job = JobId { video: record.id, number: record.job };
    let dir = report.folder.job(job);
    report.set_aside(&dir);
    if let Err(error) = job_files::spec(report.folder, job) {
        report.error(&dir.join(SPEC), &error);
    }
    report.summary.files += 1;
    // A job that release 0.1 queued has no logs before it starts.
    let is_new = record.processing_start_date.is_none();
    for (name, kind) in LOGS {
        let path = dir.join(name);
        if !path.exists() {
            if !is_new {
                report.missing(&path);
            }
            continue;
        }
        match kind {
            Kind::Objects => objects(report, record, &path),
            Kind::Deliveries => {
                log(report, record, &path, kind, |payload| parse::<Delivery>(&path, payload).map(|_| ()))
            }
            _ => log(report, record, &path, kind, |payload| decode::<Embedding>(&path, payload).map(|_| ())),
        }
    }
    let detections = dir.join(DETECTIONS);
    if detections.exists() {
        log(report, record, &detections, Kind::Detections, |_| Ok(()));
    } else if record.statistic.as_ref().is_some_and(|s| s.frames_processed > 0) {
        report.missing(&detections);
    }
    clusters(report, record, job);
    seal(report, record, job);
}

/// Reads a log to its end; `each` decodes a payload.
fn log(
    report: &mut Report<'_>,
    record: &VideoRecord,
    path: &Path,
    kind: Kind,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) {
    let read = || -> Result<Option<Unread>> {
        let Some(mut log) = LogReader::open(path, kind)? else { return Ok(None) };
        while let Some(payload) = log.next_record()? {
            each(&payload)?;
        }
        Ok(Some(log.unread()))
    }();
    report.summary.files += 1;
    match read {
        Err(error) => report.error(path, &error),
        Ok(None) => report.damaged(path, "its header is incomplete"),
        Ok(Some(Unread { damaged, torn })) => {
            if damaged > 0 {
                report.damaged(path, format!("{damaged} bytes in it are no record"));
            }
            // A record that a crash interrupted was not acknowledged: a job that continues
            // truncates it.
            let continues = record.status.is_enabled()
                || (report.summary.after_crash && (!record.finished || kind == Kind::Deliveries));
            if torn > 0 && !continues {
                report.torn(path, torn);
            }
        }
    }
}

fn objects(report: &mut Report<'_>, record: &VideoRecord, path: &Path) {
    let (mut objects, mut counts) = (Vec::new(), BTreeMap::<ObjectType, u64>::new());
    log(report, record, path, Kind::Objects, |payload| {
        objects.push(parse::<StoredObject>(path, payload)?);
        Ok(())
    });
    for StoredObject { record: object, pictures: digests } in objects {
        report.summary.objects += 1;
        *counts.entry(object.id.object_type.clone()).or_default() += 1;
        pictures(report, &object, &digests);
    }
    if record.status == VideoStatus::Completed && record.counts != counts {
        report.disagree(
            record.id,
            format!("its record counts {:?} objects, its log has {:?}", by_type(&record.counts), by_type(&counts)),
        );
    }
}

fn pictures(report: &mut Report<'_>, object: &ObjectRecord, digests: &BTreeMap<String, FileDigest>) {
    let folder = pictures_folder(report.folder, object.id.job);
    for (name, digest) in digests {
        report.file(&folder.join(name), Some(digest), digest.bytes);
    }
    if !digests.is_empty() {
        return;
    }
    // Release 0.1 did not record which pictures there are.
    for picture in [Picture::Thumbnail, Picture::Fullframe] {
        match find_picture(report.folder, &object.id, picture) {
            None => report.missing(&folder.join(format!("{}: its {picture:?}", object.id))),
            Some(file) => match fs::read(&file.path) {
                Err(e) => report.damaged(&file.path, e),
                Ok(bytes) => {
                    report.summary.files += 1;
                    if !(bytes.starts_with(b"\xff\xd8") || bytes.starts_with(b"\x89PNG")) {
                        report.damaged(&file.path, "it is neither JPEG nor PNG");
                    }
                }
            },
        }
    }
}

fn clusters(report: &mut Report<'_>, record: &VideoRecord, job: JobId) {
    let path = report.folder.job(job).join(CLUSTERS);
    match job_files::clusters(report.folder, job) {
        Err(error) => report.error(&path, &error),
        Ok(None) if record.clusters.is_empty() => {}
        Ok(None) => report.missing(&path),
        Ok(Some(clusters)) => {
            report.summary.files += 1;
            let mut counts = BTreeMap::<ObjectType, u64>::new();
            clusters.into_iter().for_each(|c| *counts.entry(c.id.object_type).or_default() += 1);
            if record.finished && counts != record.clusters {
                let reason = format!(
                    "its record counts {:?} identities, clusters.json has {:?}",
                    by_type(&record.clusters),
                    by_type(&counts)
                );
                report.disagree(record.id, reason);
            }
        }
    }
}

fn seal(report: &mut Report<'_>, record: &VideoRecord, job: JobId) {
    match job_seal::read(report.folder, job) {
        Err(error) => report.error(&report.folder.job(job).join(job_seal::NAME), &error),
        // Release 0.1 wrote none.
        Ok(None) if !record.finished || job_seal::is_older(report.folder, job) => {}
        Ok(None) => report.missing(&report.folder.job(job).join(job_seal::NAME)),
        Ok(Some(files)) => {
            report.summary.files += 1;
            for (name, digest) in files {
                report.file(&report.folder.job(job).join(name), Some(&digest), digest.bytes);
            }
        }
    }
}

fn by_type(counts: &BTreeMap<ObjectType, u64>) -> BTreeMap<&str, u64> {
    counts.iter().map(|(t, n)| (t.as_str(), *n)).collect()
}
