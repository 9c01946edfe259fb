//! Sample archive with all kinds of data, views of an archive as readers see it, and the operations
//! that change it.

use std::{collections::BTreeMap, fs, io::Write, path::Path, sync::Arc};

use ocellus_core::{
    Cluster, FrameRecord, JobId, ManualClock, ObjectId, ObjectRecord, ObjectType, SettingsSchema, Size, Timestamp,
    TrackId, VideoId, VideoRecord, VideoStatus,
};
use ocellus_store::{
    Archive, Backend, Change, Delivery, DeliveryQuery, DeliveryState, Embedding, Identity, ListQuery, ListedCorrection,
    LogHeader, NewObject, ObjectQuery, Order, OrderKey, Picture, Reference, StoreError, VideoFilter,
};
use serde_json::json;

use crate::object::new_object;

type Result<T = ()> = std::result::Result<T, StoreError>;

/// A video whose job is finished, with a source and objects that are partly delivered.
pub(crate) const DONE: VideoId = VideoId(1);
/// A video without a source and a job.
const PLAIN: VideoId = VideoId(2);
/// A video whose job is running.
const RUNNING: VideoId = VideoId(3);
/// The highest id that exists.
const LAST: VideoId = VideoId(4);
/// The highest id that was ever used.
pub(crate) const DELETED: VideoId = VideoId(5);

fn noon() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn open(disk: Arc<dyn Backend>, data: &Path) -> Result<Archive> {
    Archive::open_on(disk, data, Arc::new(ManualClock::new(noon()))).map(|(archive, _)| archive)
}

/// A video as readers see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VideoView {
    record: VideoRecord,
    source: Option<Vec<u8>>,
    screenshot: Option<Vec<u8>>,
    spec: serde_json::Value,
    /// With their pictures.
    objects: Vec<(ObjectRecord, Vec<Vec<u8>>)>,
    deliveries: Vec<Delivery>,
    clusters: Vec<Identity>,
    corrections: Vec<ListedCorrection>,
    frames: u64,
}

/// All videos as readers see them, by id.
pub(crate) type View = BTreeMap<u64, VideoView>;

pub(crate) fn view(archive: &Archive) -> View {
    let order = Order { key: OrderKey::Id, descending: false };
    let query = ListQuery { filter: VideoFilter::default(), order, limit: 1000, cursor: None };
    let listed = archive.list(&query).unwrap().items;
    listed.into_iter().map(|record| (record.id.0, video_view(archive, record))).collect()
}

fn video_view(archive: &Archive, record: VideoRecord) -> VideoView {
    let id = record.id;
    assert_eq!(archive.video(id).unwrap().as_ref(), Some(&record));
    let objects = archive.objects(id, &ObjectQuery { types: vec![], limit: 1000, cursor: None }).unwrap().items;
    let pictures = |object: &ObjectRecord| {
        let file = |picture| fs::read(archive.picture(&object.id, picture).unwrap().path).unwrap();
        [Picture::Thumbnail, Picture::Fullframe].map(file).to_vec()
    };
    let stored = archive.stored_job(id).unwrap();
    let frames = stored.detections().unwrap().map_or(0, |log| log.map(std::result::Result::unwrap).count() as u64);
    VideoView {
        source: fs::read(archive.source_path(id)).ok().filter(|_| record.file_size.is_some()),
        screenshot: fs::read(archive.screenshot_path(id)).ok(),
        spec: stored.spec().unwrap().unwrap_or_default(),
        objects: objects.into_iter().map(|o| (o.clone(), pictures(&o))).collect(),
        deliveries: archive.deliveries(id, &DeliveryQuery { states: vec![], limit: 1000, cursor: None }).unwrap().items,
        clusters: archive.clusters(id, &ObjectQuery { types: vec![], limit: 1000, cursor: None }).unwrap().items,
        corrections: archive.corrections(id).unwrap(),
        frames,
        record,
    }
}

/// The lines in which two views differ.
pub(crate) fn difference(expected: &View, found: &View) -> String {
    let lines = |view: &View| {
        view.iter()
            .flat_map(|(id, video)| format!("{video:#?}").lines().map(|l| format!("{id}: {l}")).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let (expected, found) = (lines(expected), lines(found));
    let missing = expected.iter().filter(|l| !found.contains(l)).map(|l| format!("- {l}\n"));
    missing.chain(found.iter().filter(|l| !expected.contains(l)).map(|l| format!("+ {l}\n"))).collect()
}

/// Whether a reader may see `between` after an operation from `before` to `after` was interrupted:
/// each video is as before or as after, or has some of the new objects or frames already.
pub(crate) fn lies_between(before: &View, between: &View, after: &View) -> bool {
    let ids = before.keys().chain(between.keys()).chain(after.keys());
    ids.into_iter().all(|id| {
        let (b, x, a) = (before.get(id), between.get(id), after.get(id));
        x == b || x == a || b.zip(x).zip(a).is_some_and(|((b, x), a)| grows(b, x, a))
    })
}

fn grows(before: &VideoView, between: &VideoView, after: &VideoView) -> bool {
    let one_of = |same: &dyn Fn(&VideoView, &VideoView) -> bool| same(between, before) || same(between, after);
    one_of(&|x, y| x.record == y.record)
        && one_of(&|x, y| x.source == y.source && x.spec == y.spec)
        && one_of(&|x, y| x.screenshot == y.screenshot || x.screenshot.is_none())
        && one_of(&|x, y| x.clusters == y.clusters && x.corrections == y.corrections)
        && between.objects.starts_with(&before.objects)
        && after.objects.starts_with(&between.objects)
        && (before.frames..=after.frames).contains(&between.frames)
        && between.deliveries.iter().all(|d| before.deliveries.contains(d) || after.deliveries.contains(d))
        && between.deliveries.len() == between.objects.len()
}

pub(crate) fn record(id: VideoId, now: Timestamp) -> VideoRecord {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    VideoRecord {
        router_url: Some("http://localhost/".into()),
        ..VideoRecord::new(id, 1, Some(format!("camera {id}")), settings, now)
    }
}

fn create(archive: &Archive) -> Result<VideoId> {
    archive.create(record).map(|record| record.id)
}

fn upload(archive: &Archive, id: VideoId, bytes: &[u8]) -> Result {
    let mut upload = archive.begin_upload(id)?;
    upload.write_all(bytes).map_err(|source| StoreError::Io { path: "upload".into(), source })?;
    upload.commit().map(|_| ())
}

fn screenshot(archive: &Archive, id: VideoId, jpeg: &[u8]) -> Result {
    archive.save_screenshot(&archive.video(id)?.unwrap(), jpeg)
}

fn spec() -> serde_json::Value {
    json!({"router_url": "http://localhost/", "stream_settings": {}})
}

fn object(job: JobId, track: u64) -> NewObject {
    let id = ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 };
    let thumbnail = [b"\xff\xd8", format!("track {track}").as_bytes(), b"\xff\xd9"].concat();
    new_object(id, &[(Picture::Thumbnail, &thumbnail), (Picture::Fullframe, b"\x89PNG\r\n\x1a\n of it")])
}

fn embedding(job: JobId, track: u64) -> Embedding {
    Embedding {
        object: object(job, track).record.id,
        embedder: "a/1".into(),
        vector: vec![track as f32, 1.0],
        spread: 0.0,
    }
}

fn status(archive: &Archive, id: VideoId, status: VideoStatus, finished: bool, objects: u64) -> Result {
    let change = |v: &mut VideoRecord| {
        v.processing_start_date = Some(noon());
        (v.status, v.finished) = (status, finished);
        if objects > 0 {
            v.counts.insert(ObjectType::face(), objects);
        }
        if finished {
            v.clusters.insert(ObjectType::face(), 1);
        }
        Ok(())
    };
    archive.update(id, change).map(|_| ())
}

fn log_frames(archive: &Archive, id: VideoId, frames: std::ops::Range<u64>) -> Result {
    let header = LogHeader {
        frame_size: Size { width: 64, height: 48 },
        frame_rate: Some(25.0),
        types: vec![ObjectType::face()],
        detectors: vec![("a".into(), "1".into())],
        scores: vec![],
    };
    let job = archive.stored_job(id)?.id();
    let job = archive.job(job)?.unwrap();
    let (mut writer, fresh) = match job.resume_detections()? {
        Some((writer, written)) => (writer, written.last.map_or(0, |last| last.index + 1)),
        None => (job.begin_detections(&header)?, 0),
    };
    for index in frames.start.max(fresh)..frames.end {
        writer.append(&FrameRecord {
            index,
            time: index as f64 / 25.0,
            wall_us: 7,
            cut: false,
            is_static: false,
            detections: Vec::new(),
            tracklets: Vec::new(),
        })?;
    }
    writer.sync()
}

fn recorded(job: JobId, track: u64, state: DeliveryState) -> Delivery {
    Delivery {
        state,
        attempts: 1,
        last_status: Some(200),
        since: Some(noon()),
        ..Delivery::pending(object(job, track).record.id)
    }
}

fn clusters(job: JobId) -> Vec<Cluster> {
    let id = |track| object(job, track).record.id;
    vec![Cluster { id: id(1), best: id(1), objects: vec![id(1), id(2)], first_time: 0.1, last_time: 0.1 }]
}

fn job_of(archive: &Archive, id: VideoId) -> Result<ocellus_store::Job> {
    let job = archive.stored_job(id)?.id();
    Ok(archive.job(job)?.unwrap())
}

/// Fills an archive.
pub(crate) fn begin(archive: &Archive) -> Result {
    for _ in 0..5 {
        create(archive)?;
    }
    archive.delete(DELETED)?;
    upload(archive, DONE, b"a recording")?;
    screenshot(archive, DONE, b"\xff\xd8 a picture \xff\xd9")?;
    let job = archive.start_job(DONE, &spec())?;
    let id = job.id();
    log_frames(archive, DONE, 0..3)?;
    job.append_embeddings(&[embedding(id, 1), embedding(id, 2)])?;
    job.append_objects(&[object(id, 1), object(id, 2)])?;
    job.record_delivery(&recorded(id, 1, DeliveryState::Posted))?;
    job.save_clusters(&clusters(id))?;
    status(archive, DONE, VideoStatus::Completed, true, 2)?;
    archive.take_out(&object(id, 1).record.id, &object(id, 2).record.id)?;

    upload(archive, RUNNING, b"another recording")?;
    let job = archive.start_job(RUNNING, &spec())?;
    status(archive, RUNNING, VideoStatus::InProgress, false, 0)?;
    log_frames(archive, RUNNING, 0..2)?;
    job.append_objects(&[object(job.id(), 1)])?;
    Ok(())
}

/// A change of an archive.
pub(crate) struct Operation {
    pub name: &'static str,
    pub run: fn(&Archive) -> Result,
    /// After a failure, repeating it leads to the same state as if it had not failed.
    pub repeatable: bool,
}

const fn operation(name: &'static str, run: fn(&Archive) -> Result) -> Operation {
    Operation { name, run, repeatable: true }
}

pub(crate) const OPERATIONS: &[Operation] = &[
    Operation { name: "create", run: |a| create(a).map(|_| ()), repeatable: false },
    operation("upload", |a| upload(a, PLAIN, b"a first recording")),
    operation("upload in place of another", |a| upload(a, DONE, b"a recording that is longer")),
    operation("upload as long as the one before", |a| upload(a, DONE, b"A RECORDING")),
    operation("patch", |a| {
        let rename = |v: &mut VideoRecord| {
            v.name = Some("another name".into());
            Ok(())
        };
        a.update(DONE, rename).map(|_| ())
    }),
    operation("queue", |a| a.enqueue(DONE)),
    Operation { name: "process", run: |a| a.start_job(PLAIN, &spec()).map(|_| ()), repeatable: false },
    Operation { name: "process again", run: |a| a.start_job(DONE, &spec()).map(|_| ()), repeatable: false },
    operation("frames", |a| log_frames(a, RUNNING, 2..5)),
    operation("objects", |a| {
        let job = job_of(a, RUNNING)?;
        job.append_objects(&[object(job.id(), 2), object(job.id(), 3)]).map(|_| ())
    }),
    operation("embeddings", |a| {
        let job = job_of(a, RUNNING)?;
        job.append_embeddings(&[embedding(job.id(), 1)])
    }),
    operation("delivery", |a| {
        let job = job_of(a, DONE)?;
        job.record_delivery(&recorded(job.id(), 2, DeliveryState::Failed))
    }),
    operation("another router", |a| job_of(a, DONE)?.set_router("http://localhost:1/")),
    operation("clusters", |a| {
        let job = job_of(a, RUNNING)?;
        job.save_clusters(&clusters(job.id()))
    }),
    operation("end of a job", |a| {
        let job = job_of(a, RUNNING)?;
        job.save_clusters(&clusters(job.id()))?;
        status(a, RUNNING, VideoStatus::Interrupted, true, 1)
    }),
    operation("name an identity", |a| {
        let id = object(a.stored_job(DONE)?.id(), 1).record.id;
        a.name_cluster(&id, Some("Anna")).map(|_| ())
    }),
    Operation {
        name: "merge two identities",
        run: |a| {
            let id = |track| object(JobId { video: DONE, number: 1 }, track).record.id;
            a.merge_clusters(&id(2), &id(1)).map(|_| ())
        },
        repeatable: false,
    },
    Operation { name: "undo a correction", run: |a| a.undo_correction(DONE, 1), repeatable: false },
    operation("corrections fitted to another job", |a| {
        let fitted = |change: &Change| match change.clone() {
            Change::TakeOut { object: taken, from } => {
                let again = |r: Reference, track| Reference {
                    object: object(JobId { video: DONE, number: 2 }, track).record.id,
                    ..r
                };
                Change::TakeOut { object: again(taken, 5), from: again(from, 6) }
            }
            other => other,
        };
        job_of(a, DONE)?.refit_corrections(fitted)
    }),
    operation("screenshot", |a| screenshot(a, PLAIN, b"\xff\xd8 one \xff\xd9")),
    operation("screenshot in place of another", |a| screenshot(a, DONE, b"\xff\xd8 one \xff\xd9")),
    operation("delete the file", |a| a.delete_source(DONE).map(|_| ())),
    operation("delete", |a| a.delete(DONE).map(|_| ())),
    operation("delete the last", |a| a.delete(LAST).map(|_| ())),
    operation("delete two", |a| {
        a.delete(LAST)?;
        a.delete(PLAIN).map(|_| ())
    }),
];
