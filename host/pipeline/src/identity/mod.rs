//! Identities: embeddings of a job's objects, and clusters of those that show the same identity.
//!
//! Guarantees: clusters are a function of the objects and their embeddings, not of their order. Two
//! tracks that were alive at the same time are never one identity. Objects that were embedded by
//! another network are in no cluster.

mod agglomerate;
#[cfg(test)]
pub(crate) mod mean_colour;
mod refit;

use std::{collections::BTreeMap, sync::Arc};

use ocellus_core::{
    BestShotType, Cluster, CpuMeter, Detection, Error, Landmarks, ObjectId, ObjectRecord, ObjectType, Rect, Result,
    RgbImage, Size, squared_distance,
};
use ocellus_detect::{Embedder, Embedders};
use ocellus_media::Frame;
use ocellus_store::{Change, Embedding, StoredJob};

pub use self::agglomerate::{Point, agglomerate};
use crate::{align, analysis::Sample, appearance::appearance};

/// Embedder name of types without an embedder: the descriptor of `appearance`, which has length 1.
const APPEARANCE: &str = "appearance/2";
/// The Euclidean distance below which two such descriptors count as one identity. On the
/// development clips, descriptors of one person in one coat are .1 apart, and those of different
/// people at least .32.
pub(crate) const APPEARANCE_SAME: f32 = 0.25;
/// Greatest number of objects of one type that are clustered: time grows with the square, and the
/// end of a job would take minutes.
const MAX_OBJECTS: usize = 200_000;

/// Crop of a frame to be embedded.
pub(crate) struct Crop<'a> {
    pub frame: &'a Frame,
    pub object_type: &'a ObjectType,
    pub rect: Rect,
    pub landmarks: Option<&'a Landmarks>,
}

impl<'a> Crop<'a> {
    pub(crate) fn object(frame: &'a Frame, object: &'a ObjectRecord) -> Self {
        let [left, top, right, bottom] = object.best.bbox.map(|v| v as f32);
        let rect = Rect::new(left, top, right, bottom);
        Self { frame, object_type: &object.id.object_type, rect, landmarks: object.landmarks.as_ref() }
    }

    /// The input of an embedder; `None` where the crop has no landmarks to be aligned by, or lies
    /// outside the frame.
    pub(crate) fn input(&self, embedder: &Embedder) -> Option<RgbImage> {
        match (embedder.landmarks(), self.landmarks) {
            (Some(places), Some(landmarks)) => align::aligned(self.frame, landmarks, places, embedder.size()),
            // Unaligned, its embedding could not be compared with aligned ones.
            (Some(_), None) => None,
            (None, _) => self.plain(embedder.scale(), embedder.size()),
        }
    }

    /// The picture of the crop, not aligned; `scale`: length of its sides relative to those of the
    /// box. `None` where it lies outside the frame.
    pub(crate) fn plain(&self, scale: f32, size: Size) -> Option<RgbImage> {
        self.frame.rgb(self.rect.padded((scale - 1.0) / 2.0), size).ok()
    }
}

/// The embedder name of a type, and the Euclidean distance below which two of its embeddings count
/// as one identity.
pub(crate) fn measure<'a>(embedders: &'a Embedders, object_type: &ObjectType) -> (&'a str, f32) {
    embedders.for_type(object_type).map_or((APPEARANCE, APPEARANCE_SAME), |e| (e.id(), e.same()))
}

/// A correction that speaks of objects of a job, those of `embeddings`, as far as some of these
/// look like those that it spoke of.
pub(crate) fn refit(change: &Change, embeddings: &[Embedding], embedders: &Embedders) -> Change {
    refit::fit(change, embeddings, |reference| {
        let (embedder, same) = measure(embedders, &reference.object.object_type);
        // Others cannot be compared.
        if embedder == reference.embedder { same } else { 0.0 }
    })
}

/// The embedding of each crop, by the [`measure`] of its type; `None` where it has no input. Crops
/// of one type go through their network as one batch, whose CPU time is added to `meter`.
pub(crate) fn embed(embedders: &Embedders, crops: &[Crop<'_>], meter: &Arc<CpuMeter>) -> Result<Vec<Option<Vec<f32>>>> {
    let mut vectors: Vec<_> = crops.iter().map(|_| None).collect();
    let mut batches = BTreeMap::<&ObjectType, (Vec<&mut Option<Vec<f32>>>, Vec<RgbImage>)>::new();
    for (crop, vector) in crops.iter().zip(&mut vectors) {
        match embedders.for_type(crop.object_type) {
            None => *vector = Some(appearance(crop.frame, crop.rect)).filter(|vector| !vector.is_empty()),
            Some(embedder) => {
                if let Some(input) = crop.input(embedder) {
                    let (places, inputs) = batches.entry(crop.object_type).or_default();
                    places.push(vector);
                    inputs.push(input);
                }
            }
        }
    }
    for (object_type, (places, inputs)) in batches {
        let Some(embedder) = embedders.for_type(object_type) else { continue };
        let embedded = embedder.embed(&inputs, meter).map_err(Error::internal)?;
        places.into_iter().zip(embedded).for_each(|(place, vector)| *place = Some(vector));
    }
    Ok(vectors)
}

/// The embedder whose directions are the appearances of a type's detections, if it has one and its
/// tracker is among those that compare appearances. Otherwise they are the descriptors of
/// `appearance`.
pub(crate) fn embedder_of_appearances<'a>(
    embedders: &'a Embedders,
    object_type: &ObjectType,
    compared: &[ObjectType],
) -> Option<&'a Embedder> {
    embedders.for_type(object_type).map(|e| &**e).filter(|e| compared.contains(object_type) && e.has_directions())
}

/// Sets the appearances of detections to the directions of the embedder of this type. `meter` as in
/// [`embed`].
pub(crate) fn describe(
    embedders: &Embedders,
    embedder: &Embedder,
    frame: &Frame,
    object_type: &ObjectType,
    detections: &mut [Detection],
    meter: &Arc<CpuMeter>,
) -> Result<()> {
    let crops: Vec<_> =
        detections.iter().map(|d| Crop { frame, object_type, rect: d.rect, landmarks: d.landmarks.as_ref() }).collect();
    let vectors = embed(embedders, &crops, meter)?;
    detections
        .iter_mut()
        .zip(vectors)
        .for_each(|(d, vector)| d.appearance = vector.map_or_else(Vec::new, |vector| embedder.direction(&vector)));
    Ok(())
}

/// An object's embedding from those of its best shot and of samples of its track, each with the
/// quality of its picture: the mean, weighted by quality, and the mean squared distance from it.
/// Samples farther from the best shot than `same` are left out as bad pictures.
pub(crate) fn template(best: Sample, samples: &[Sample], same: f32) -> (Vec<f32>, f32) {
    let is_good =
        |s: &&Sample| s.vector.len() == best.vector.len() && squared_distance(&s.vector, &best.vector) <= same * same;
    let samples: Vec<_> = samples.iter().filter(is_good).collect();
    if samples.is_empty() {
        return (best.vector, 0.0);
    }
    // Never 0, so that the mean is defined.
    let weight = |s: &Sample| s.quality.max(1e-3);
    let all = || samples.iter().copied().chain([&best]);
    let total: f32 = all().map(weight).sum();
    let mut mean = vec![0.0; best.vector.len()];
    for sample in all() {
        mean.iter_mut().zip(&sample.vector).for_each(|(mean, v)| *mean += weight(sample) / total * v);
    }
    let spread = all().map(|sample| weight(sample) / total * squared_distance(&sample.vector, &mean)).sum();
    (mean, spread)
}

/// The identities of a job, in order of their ids.
pub(crate) fn clusters(job: &StoredJob, embedders: &Embedders) -> Result<Vec<Cluster>> {
    let mut vectors: BTreeMap<ObjectId, Embedding> =
        job.embeddings()?.into_iter().map(|e| (e.object.clone(), e)).collect();
    // Keyed by the length of the embeddings, too, which is the same for all of an embedder.
    let mut by_type = BTreeMap::<(ObjectType, usize), Vec<(ObjectRecord, Embedding)>>::new();
    for object in job.objects()?.into_iter().filter(|o| o.bs_type == BestShotType::Overall) {
        let object_type = object.id.object_type.clone();
        let (source, _) = measure(embedders, &object_type);
        if let Some(embedding) = vectors.remove(&object.id).filter(|e| e.embedder == source) {
            by_type.entry((object_type, embedding.vector.len())).or_default().push((object, embedding));
        }
    }
    let mut all = Vec::new();
    for ((object_type, _), members) in by_type {
        if members.len() > MAX_OBJECTS {
            tracing::warn!(
                job = %job.id(),
                "job {}: {} objects of type {object_type} are too many to be clustered",
                job.id(), members.len()
            );
            continue;
        }
        let (_, same) = measure(embedders, &object_type);
        all.extend(identities(members, same));
    }
    Ok(all)
}

/// Clusters of objects of one type.
fn identities(mut members: Vec<(ObjectRecord, Embedding)>, same: f32) -> Vec<Cluster> {
    members.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    let points: Vec<_> = members
        .iter()
        .map(|(object, embedding)| Point {
            vector: &embedding.vector,
            spread: embedding.spread,
            during: (object.first.frame, object.last.frame),
        })
        .collect();
    let groups = agglomerate(&points, same);
    groups
        .iter()
        .filter_map(|group| {
            Cluster::of(&group.iter().filter_map(|n| members.get(*n)).map(|(o, _)| o).collect::<Vec<_>>())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ocellus_core::{JobId, ShotSummary, Timestamp, TrackId, VideoId};
    use proptest::prelude::*;

    use super::*;

    /// A track in these frames with this embedding.
    fn member(track: u64, (first, last): (u64, u64), vector: Vec<f32>) -> (ObjectRecord, Embedding) {
        let shot = |frame: u64| ShotSummary {
            frame,
            time: frame as f64 / 10.0,
            timestamp: Timestamp::UNIX_EPOCH,
            bbox: [0, 0, 10, 10],
            score: 0.9,
            quality: 0.5,
        };
        let job = JobId { video: VideoId(1), number: 1 };
        let object = ObjectRecord {
            id: ObjectId { job, object_type: ObjectType::face(), track: TrackId(track), shot: 0 },
            bs_type: BestShotType::Overall,
            end_of_track: true,
            landmarks: None,
            best: shot(first),
            first: shot(first),
            last: shot(last),
            detections: 2,
            interpolated: 0,
            history: Vec::new(),
            attributes: Vec::new(),
            features: Vec::new(),
        };
        let embedding = Embedding { object: object.id.clone(), embedder: "a/1".into(), vector, spread: 0.0 };
        (object, embedding)
    }

    fn tracks(clusters: &[Cluster]) -> Vec<Vec<u64>> {
        clusters.iter().map(|c| c.objects.iter().map(|o| o.track.0).collect()).collect()
    }

    #[test]
    fn trackers_that_compare_get_the_embeddings_of_identities() {
        use ocellus_detect::{Device, DeviceChoice};
        use ocellus_media::{Decoder, Input, Interrupt, Location};

        let pixels = (0..64 * 64).flat_map(|n: u32| [(n % 251) as u8, (n / 64 * 3) as u8, 90]);
        let picture: Vec<u8> = b"P6\n64 64\n255\n".iter().copied().chain(pixels).collect();
        let frame = Decoder::open(&Input::new(Location::Memory(picture.into())), &Interrupt::new())
            .unwrap()
            .next_frame()
            .unwrap()
            .unwrap();
        let assets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/embedders");
        assert!(assets.is_dir(), "{}: not there: run cargo xtask setup", assets.display());
        let embedders = Embedders::load(&assets, &Device::choose(DeviceChoice::Cpu, None).unwrap()).unwrap();

        let rect = Rect::new(10.0, 10.0, 50.0, 50.0);
        let landmarks = align::PLACES.map(|p| ocellus_core::Point { x: p.x / 2.0, y: p.y / 2.0 });
        let compared = [ObjectType::face(), ObjectType::body()];
        let embedder = embedder_of_appearances(&embedders, &ObjectType::face(), &compared).unwrap();
        let described = |landmarks: Option<Landmarks>| {
            let mut detections = [Detection { rect, score: 0.9, quality: 0.9, landmarks, appearance: Vec::new() }];
            describe(&embedders, embedder, &frame, &ObjectType::face(), &mut detections, &Arc::default()).unwrap();
            let [Detection { appearance, .. }] = detections;
            (appearance.len(), appearance.iter().map(|v| v * v).sum::<f32>().sqrt().round())
        };
        assert_eq!(described(Some(landmarks)), (128, 1.0));
        assert_eq!(described(None), (0, 0.0), "it cannot be aligned");
        assert!(embedder_of_appearances(&embedders, &ObjectType::face(), &compared[1..]).is_none());
        assert!(embedder_of_appearances(&embedders, &ObjectType::body(), &compared).is_none(), "none is installed");
    }

    #[test]
    fn an_installed_embedder_replaces_the_colours_of_its_type() {
        use ocellus_media::{Decoder, Input, Interrupt, Location};

        let pixels = [[200, 40, 40]; 64 * 64];
        let picture: Vec<u8> = b"P6\n64 64\n255\n".iter().copied().chain(pixels.into_iter().flatten()).collect();
        let mut decoder = Decoder::open(&Input::new(Location::Memory(picture.into())), &Interrupt::new()).unwrap();
        let frame = decoder.next_frame().unwrap().unwrap();
        let (body, car) = (ObjectType::body(), ObjectType::car());
        let embedders = mean_colour::embedders(&body, 0.3, "unit_length = true");
        let rect = Rect::new(8.0, 8.0, 56.0, 56.0);
        let crop = |object_type| Crop { frame: &frame, object_type, rect, landmarks: None };
        let vectors = embed(&embedders, &[crop(&body), crop(&car)], &Arc::default()).unwrap();
        let [Some(of_body), Some(of_car)] = &vectors[..] else { panic!("{vectors:?}") };
        let length = of_body.iter().map(|v| v * v).sum::<f32>().sqrt();
        assert!(of_body.len() == 3 && (length - 1.0).abs() < 1e-5 && of_body[0] > 4.0 * of_body[1], "{of_body:?}");
        assert_eq!(measure(&embedders, &body).1, 0.3);
        assert_eq!((of_car.len(), measure(&embedders, &car)), (56, (APPEARANCE, APPEARANCE_SAME)));

        let mut detections = [Detection { rect, score: 0.9, quality: 0.9, landmarks: None, appearance: Vec::new() }];
        let embedder = embedder_of_appearances(&embedders, &body, std::slice::from_ref(&body)).unwrap();
        describe(&embedders, embedder, &frame, &body, &mut detections, &Arc::default()).unwrap();
        assert_eq!(detections[0].appearance, embedders.for_type(&body).unwrap().direction(of_body));
    }

    #[test]
    fn a_template_is_the_mean_of_good_pictures_with_their_spread() {
        let sample = |quality, x: f32| Sample { quality, vector: vec![x, 0.0] };
        assert_eq!(template(sample(0.5, 1.0), &[], 0.5), (vec![1.0, 0.0], 0.0));
        let (mean, spread) = template(sample(0.8, 1.0), &[sample(0.2, 1.5), sample(0.9, 9.0)], 0.5);
        assert!((mean[0] - 1.1).abs() < 1e-6 && (spread - 0.04).abs() < 1e-6, "{mean:?} {spread}");
        let other = Sample { quality: 0.5, vector: vec![0.0; 3] };
        assert_eq!(template(sample(0.0, 1.0), &[other], 0.5), (vec![1.0, 0.0], 0.0), "of another network");
    }

    /// The distance of two templates is the average distance of their pictures.
    #[test]
    fn the_linkage_of_templates_is_that_of_their_pictures() {
        let at = |mean: f32, apart: f32| Point {
            vector: &*Box::leak(Box::new([mean])),
            spread: apart * apart,
            during: (0, 0),
        };
        let tracks = |apart: f32| [at(0.0, apart), Point { during: (1, 1), ..at(1.0, apart) }];
        // Pictures at -a, a and 1-a, 1+a: the mean squared distance is 1 + 2a².
        assert_eq!(agglomerate(&tracks(0.0), 1.01).len(), 1);
        assert_eq!(agglomerate(&tracks(0.5), 1.01).len(), 2);
        assert_eq!(agglomerate(&tracks(0.5), 1.23).len(), 1);
    }

    #[test]
    fn similar_tracks_are_one_identity_and_others_are_not() {
        let members = vec![
            member(1, (0, 9), vec![0.0, 0.0]),
            member(2, (20, 29), vec![5.0, 0.0]),
            member(3, (40, 49), vec![0.1, 0.0]),
            member(4, (60, 69), vec![0.0, 0.1]),
        ];
        let clusters = identities(members, 0.5);
        assert_eq!(tracks(&clusters), [vec![1, 3, 4], vec![2]]);
        assert_eq!((clusters[0].first_time, clusters[0].last_time), (0.0, 6.9));
        assert_eq!(
            (clusters[0].id.to_string(), clusters[0].best.to_string()),
            ("1-1-face-1-0".into(), "1-1-face-1-0".into())
        );
    }

    #[test]
    fn tracks_of_the_same_time_are_never_one_identity() {
        let twins = vec![member(1, (0, 20), vec![0.0]), member(2, (20, 30), vec![0.0]), member(3, (40, 50), vec![0.0])];
        let found = tracks(&identities(twins, 0.5));
        assert!(found.len() == 2 && !found.iter().any(|t| t.contains(&1) && t.contains(&2)), "{found:?}");
    }

    #[test]
    fn without_objects_there_are_no_clusters() {
        assert_eq!(identities(Vec::new(), 0.5), []);
        assert_eq!(tracks(&identities(vec![member(7, (0, 1), vec![1.0])], 0.5)), [[7]]);
    }

    proptest! {
        #[test]
        fn clusters_are_a_function_of_the_objects_and_not_of_their_order(
            (members, shuffled) in proptest::collection::vec((0u64..100, 0u64..20, -1.0f32..1.0, -1.0f32..1.0), 0..30)
                .prop_map(|all| {
                    let of = |(n, (first, long, x, y))| member(n, (first, first + long), vec![x, y]);
                    (1..).zip(all).map(of).collect::<Vec<_>>()
                })
                .prop_flat_map(|members| (Just(members.clone()), Just(members).prop_shuffle())),
        ) {
            let clusters = identities(members.clone(), 0.4);
            prop_assert_eq!(&clusters, &identities(shuffled, 0.4));
            // Each object is in one cluster, and with none of the same time.
            let mut all: Vec<u64> = tracks(&clusters).concat();
            all.sort_unstable();
            prop_assert_eq!(all, (1..=members.len() as u64).collect::<Vec<_>>());
            for cluster in tracks(&clusters) {
                let objects: Vec<_> = cluster.iter().map(|t| &members[*t as usize - 1].0).collect();
                for (n, a) in objects.iter().enumerate() {
                    for b in &objects[n + 1..] {
                        prop_assert!(a.last.frame < b.first.frame || b.last.frame < a.first.frame);
                    }
                }
            }
        }
    }
}
