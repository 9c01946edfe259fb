//! Target `archive`: replaces one file of an archive, then checks and reads the archive.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use ocellus_core::{
    BestShotType, Cluster, ObjectId, ObjectRecord, ObjectType, SettingsSchema, ShotSummary, SystemClock, Timestamp,
    TrackId, VideoId, VideoRecord,
};
use ocellus_store::{Archive, Delivery, Embedding, NewObject, Picture, StoredJob, check};
use serde_json::json;
use tempfile::TempDir;

struct Sample {
    folder: TempDir,
    video: VideoId,
    /// Its files in the order of their paths. Without the index, which is only read as it was
    /// written.
    files: Vec<PathBuf>,
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder for an archive");
    let (archive, _) = Archive::open(folder.path(), Arc::new(SystemClock)).expect("a new archive");
    let video = fill(&archive).expect("an archive with a job");
    drop(archive);
    let mut files = Vec::new();
    collect(folder.path(), &mut files);
    files.sort();
    Sample { folder, video, files }
});

/// A video with a job that found a face.
fn fill(archive: &Archive) -> Result<VideoId, Box<dyn std::error::Error>> {
    let settings = SettingsSchema::new(&[], &["simple_iou".to_owned()], &[])?.complete(None)?;
    let video = archive.create(|id, now| VideoRecord::new(id, 1, None, settings, now))?.id;
    let job = archive.start_job(video, &json!({"router_url": "http://localhost/"}))?;
    let id = ObjectId { job: job.id(), object_type: ObjectType::face(), track: TrackId(0), shot: 0 };
    let shot = ShotSummary {
        frame: 1,
        time: 0.1,
        timestamp: Timestamp::UNIX_EPOCH,
        bbox: [0, 0, 9, 9],
        score: 0.9,
        quality: 0.5,
    };
    let record = ObjectRecord {
        id: id.clone(),
        bs_type: BestShotType::Overall,
        end_of_track: true,
        best: shot.clone(),
        first: shot.clone(),
        last: shot,
        detections: 1,
        interpolated: 0,
        history: Vec::new(),
        landmarks: None,
        attributes: Vec::new(),
        features: Vec::new(),
    };
    let pictures = vec![(Picture::Thumbnail, b"\xff\xd8 a picture \xff\xd9".to_vec())];
    job.append_embeddings(&[Embedding {
        object: id.clone(),
        embedder: "faces/1".to_owned(),
        vector: vec![0.5; 4],
        spread: 0.0,
    }])?;
    job.append_objects(&[NewObject { record, pictures }])?;
    job.record_delivery(&Delivery::pending(id.clone()))?;
    job.save_clusters(&[Cluster {
        id: id.clone(),
        best: id.clone(),
        objects: vec![id],
        first_time: 0.1,
        last_time: 0.1,
    }])?;
    Ok(video)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the archive can be read").flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "index" {
            collect(&path, files);
        } else if path.is_file() && entry.file_name() != "lock" {
            files.push(path);
        }
    }
}

/// The first byte chooses the file that gets the other bytes as its content.
pub(crate) fn run(bytes: &[u8]) {
    let sample = &*SAMPLE;
    let Some((&which, content)) = bytes.split_first() else { return };
    let path = &sample.files[usize::from(which) % sample.files.len()];
    let whole = fs::read(path).expect("the archive can be read");
    fs::write(path, content).expect("the archive can be written");
    let _ = check(sample.folder.path(), false, &mut drop);
    if let Ok(job) = StoredJob::open(sample.folder.path(), sample.video) {
        let _ = (job.spec(), job.objects(), job.embeddings(), job.clusters(), job.detections());
    }
    fs::write(path, whole).expect("the archive can be written");
}
