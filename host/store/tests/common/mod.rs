//! An archive with a video in it, and objects to put there.

use std::{path::Path, sync::Arc};

use ocellus_core::{
    BestShotType, ObjectId, ObjectRecord, SettingsSchema, ShotSummary, SystemClock, Timestamp, VideoId, VideoRecord,
};
use ocellus_store::{Archive, NewObject, Picture};

pub(crate) fn open(dir: &Path) -> Archive {
    Archive::open(dir, Arc::new(SystemClock)).unwrap().0
}

pub(crate) fn new_video(archive: &Archive) -> VideoId {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id
}

pub(crate) fn new_object(id: ObjectId, pictures: &[(Picture, &[u8])]) -> NewObject {
    let shot = ShotSummary {
        frame: 1,
        time: 0.1,
        timestamp: Timestamp::UNIX_EPOCH,
        bbox: [0, 0, 9, 9],
        score: 0.9,
        quality: 0.5,
    };
    let record = ObjectRecord {
        id,
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
    };
    NewObject { record, pictures: pictures.iter().map(|(picture, bytes)| (*picture, bytes.to_vec())).collect() }
}
