//! Features of objects: attributes of best shots, by networks.
//!
//! Made when an object is reported, while its frame is retained, and archived with it. A function
//! of the shot and the networks: a replay, which has no pixels, copies those of the job.

use std::{collections::HashMap, sync::Arc};

use ocellus_core::{CpuMeter, Error, Feature, ObjectRecord, Result, StreamSettings};
use ocellus_detect::AttributeClassifiers;
use ocellus_media::Frame;

use crate::identity::Crop;

/// Classifies the best shot of an object, which `frame` shows. The networks' CPU time is added to
/// `meter`.
pub(crate) fn classify(
    classifiers: &AttributeClassifiers,
    settings: &StreamSettings,
    frame: &Frame,
    object: &ObjectRecord,
    meter: &Arc<CpuMeter>,
) -> Result<Vec<Feature>> {
    let crop = Crop::object(frame, object);
    let mut features = Vec::new();
    for classifier in classifiers.for_type(&object.id.object_type) {
        if classifier.is_liveness() && !settings.enable_liveness {
            continue;
        }
        let Some(picture) = crop.plain(classifier.scale(), classifier.size()) else { continue };
        features.extend(classifier.classify(&[picture], meter).map_err(Error::internal)?.into_iter().flatten());
    }
    Ok(features)
}

/// Copies to objects of a replay by these settings the features of the job's objects with the same
/// best shots.
pub(crate) fn take_over(objects: &mut [ObjectRecord], job: Vec<ObjectRecord>, settings: &StreamSettings) {
    let shot = |object: &ObjectRecord| (object.id.object_type.clone(), object.best.place());
    let known: HashMap<_, Vec<Feature>> = job
        .into_iter()
        .filter(|object| !object.features.is_empty())
        .map(|object| (shot(&object), object.features))
        .collect();
    for object in objects {
        let Some(features) = known.get(&shot(object)) else { continue };
        let is_wanted = |feature: &&Feature| settings.enable_liveness || feature.name != Feature::LIVENESS;
        object.features = features.iter().filter(is_wanted).cloned().collect();
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{
        BestShotType, JobId, ObjectId, ObjectType, SettingsSchema, ShotSummary, Timestamp, TrackId, VideoId,
    };

    use super::*;

    fn object(track: u64, frame: u64, features: &[&str]) -> ObjectRecord {
        let shot = ShotSummary {
            frame,
            time: 0.0,
            timestamp: Timestamp::UNIX_EPOCH,
            bbox: [1, 2, 3, 4],
            score: 0.9,
            quality: 0.5,
        };
        let feature = |name: &&str| Feature { name: (*name).into(), label: "x".into(), confidence: 0.5 };
        ObjectRecord {
            id: ObjectId {
                job: JobId { video: VideoId(1), number: 1 },
                object_type: ObjectType::face(),
                track: TrackId(track),
                shot: 0,
            },
            bs_type: BestShotType::Overall,
            end_of_track: true,
            landmarks: None,
            best: shot.clone(),
            first: shot.clone(),
            last: shot,
            detections: 1,
            interpolated: 0,
            history: Vec::new(),
            attributes: Vec::new(),
            features: features.iter().map(feature).collect(),
        }
    }

    #[test]
    fn a_replay_takes_over_the_features_of_the_same_shots() {
        let job = vec![object(1, 10, &["liveness", "hair"]), object(2, 20, &["hair"])];
        let settings = |is_live: bool| {
            let schema = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().with_liveness(true);
            schema.complete(Some(&serde_json::json!({"enable_liveness": is_live}))).unwrap()
        };
        // Other tracks, the same shots; a third shot that the job did not report.
        let mut objects = vec![object(5, 20, &[]), object(6, 10, &[]), object(7, 30, &[])];
        take_over(&mut objects, job.clone(), &settings(true));
        let names = |objects: &[ObjectRecord]| -> Vec<String> {
            objects.iter().map(|o| o.features.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(" ")).collect()
        };
        assert_eq!(names(&objects), ["hair", "liveness hair", ""]);
        take_over(&mut objects, job, &settings(false));
        assert_eq!(names(&objects), ["hair", "hair", ""]);
    }
}
