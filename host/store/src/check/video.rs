//! Check of a video: its record, source, screenshot and corrections.

use std::{fs, io::ErrorKind};

use ocellus_core::{VideoId, VideoRecord};

use super::{job, report::Report};
use crate::{codec::FileDigest, corrections::Corrections};

pub(super) fn check(report: &mut Report<'_>, video: VideoId) {
    report.summary.videos += 1;
    report.set_aside(&report.folder.video(video));
    let path = report.folder.record(video);
    let record = match report.folder.read(video) {
        Ok(Some(record)) => record,
        // It is not a folder, so not a video.
        Ok(None) => return,
        Err(error) => return report.error(&path, &error),
    };
    report.summary.files += 1;
    source(report, &record);
    screenshot(report, video);
    corrections(report, video);
    if record.job > 0 {
        job::check(report, &record);
    }
}

fn source(report: &mut Report<'_>, record: &VideoRecord) {
    let (path, next) = (report.folder.source(record.id), report.folder.next_source(record.id));
    if report.summary.after_crash && next.exists() {
        // The next start finishes this upload.
        return;
    }
    if next.exists() {
        report.damaged(&next, "an interrupted upload left it");
    }
    let Some(bytes) = record.file_size else {
        if path.exists() && !report.summary.after_crash {
            report.disagree(record.id, "it has a source that its record does not name".into());
        }
        return;
    };
    let expected = record.source_sha256.clone().map(|sha256| FileDigest { bytes, sha256 });
    report.file(&path, expected.as_ref(), bytes);
}

fn screenshot(report: &mut Report<'_>, video: VideoId) {
    let path = report.folder.screenshot(video);
    match fs::read(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => report.damaged(&path, e),
        Ok(bytes) => {
            report.summary.files += 1;
            if !(bytes.starts_with(b"\xff\xd8") && bytes.ends_with(b"\xff\xd9")) {
                report.damaged(&path, "it is not a complete JPEG");
            }
        }
    }
}

fn corrections(report: &mut Report<'_>, video: VideoId) {
    let path = report.folder.corrections(video);
    if !path.exists() {
        return;
    }
    match Corrections::read(report.folder, video) {
        Err(error) => report.error(&path, &error),
        Ok(corrections) => {
            report.summary.files += 1;
            if !corrections.made.iter().map(|c| c.number).chain([corrections.next]).is_sorted_by(|a, b| a < b) {
                report.disagree(video, "the numbers of its corrections are not in order".into());
            }
        }
    }
}
