//! Sample object of a job, for tests and benchmarks that do not depend on its contents.

use ocellus_core::{BestShotType, ObjectId, ObjectRecord, ShotSummary, Timestamp};
use ocellus_store::{NewObject, Picture};

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
        features: Vec::new(),
    };
    NewObject { record, pictures: pictures.iter().map(|(picture, bytes)| (*picture, bytes.to_vec())).collect() }
}
