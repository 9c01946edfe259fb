use proptest::prelude::*;

use super::*;
use crate::index::tree::Forest;

fn object(video: u64, track: u64) -> ObjectId {
    ObjectId {
        job: JobId { video: VideoId(video), number: 1 },
        object_type: ObjectType::face(),
        track: TrackId(track),
        shot: 0,
    }
}

fn store(dir: &Path) -> VectorStore {
    VectorStore::new(&dir.join("vectors"), Forest::in_memory().tree("vectors").unwrap())
}

fn all<'a>(object_type: &'a ObjectType, vector: &'a [f32]) -> SimilarityQuery<'a> {
    SimilarityQuery {
        object_type,
        embedder: "a/1",
        vector,
        video: None,
        max_distance: f32::INFINITY,
        limit: usize::MAX,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(u64, u64, Vec<f32>),
    Clear(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..4, 0u64..6, proptest::collection::vec(-1.0f32..1.0, 19)).prop_map(|(v, t, vector)| Step::Put(v, t, vector)),
        1 => (0u64..4).prop_map(Step::Clear),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn searches_agree_with_a_model_of_puts_and_removals(steps in proptest::collection::vec(step(), 0..40), query in proptest::collection::vec(-1.0f32..1.0, 19)) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let mut model = HashMap::new();
        for step in steps {
            match step {
                Step::Put(video, track, vector) => {
                    let object = object(video, track);
                    store.put(&Embedding { object: object.clone(), embedder: "a/1".into(), vector: vector.clone(), spread: 0.0 }).unwrap();
                    model.insert(object, vector);
                }
                Step::Clear(video) => {
                    store.clear(VideoId(video)).unwrap();
                    model.retain(|object, _| object.job.video.0 != video);
                }
            }
        }
        let face = ObjectType::face();
        let found = store.nearest(&all(&face, &query), |_| Ok(true)).unwrap();
        let distance = |vector: &[f32]| vector.iter().zip(&query).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
        prop_assert_eq!(found.len(), model.len());
        prop_assert!(found.iter().all(|(object, far)| (distance(&model[object]) - far).abs() < 1e-5));
        prop_assert!(found.is_sorted_by(|(_, a), (_, b)| a <= b));
        for (object, vector) in &model {
            prop_assert_eq!(store.get(object).unwrap(), Some(("a/1".to_owned(), vector.clone())));
        }
        prop_assert_eq!(store.get(&object(9, 1)).unwrap(), None);
        for limit in [0, 1, 3] {
            let some = store.nearest(&SimilarityQuery { limit, ..all(&face, &query) }, |_| Ok(true)).unwrap();
            prop_assert_eq!(&some[..], &found[..limit.min(found.len())]);
        }
        let odd = store.nearest(&SimilarityQuery { video: Some(VideoId(1)), ..all(&face, &query) }, |o| Ok(o.track.0 % 2 == 1)).unwrap();
        let expected: Vec<_> = found.iter().filter(|(o, _)| o.job.video.0 == 1 && o.track.0 % 2 == 1).cloned().collect();
        prop_assert_eq!(odd, expected);
    }
}

#[test]
fn all_blocks_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    // Sixteen records to a block.
    let vector = |n: u64| vec![n as f32; BLOCK / 64];
    for track in 0..50 {
        store
            .put(&Embedding { object: object(1, track), embedder: "a/1".into(), vector: vector(track), spread: 0.0 })
            .unwrap();
    }
    for track in [0, 15, 16, 33, 49] {
        let face = ObjectType::face();
        let found = store.nearest(&SimilarityQuery { limit: 1, ..all(&face, &vector(track)) }, |_| Ok(true)).unwrap();
        assert_eq!(found, [(object(1, track), 0.0)]);
    }
}

#[test]
fn only_vectors_of_one_space_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let put = |track, embedder: &str, vector: &[f32]| {
        store
            .put(&Embedding {
                object: object(1, track),
                embedder: embedder.into(),
                vector: vector.to_vec(),
                spread: 0.0,
            })
            .unwrap();
    };
    put(1, "a/1", &[0.0, 1.0]);
    put(2, "a_1", &[0.0, 1.0]);
    put(3, "a/1", &[0.0, 1.0, 0.0]);
    let found = |object_type: &str| {
        let object_type = object_type.parse().unwrap();
        let found = store.nearest(&all(&object_type, &[0.0, 1.0]), |_| Ok(true)).unwrap();
        found.into_iter().map(|(o, _)| o.track.0).collect::<Vec<_>>()
    };
    assert_eq!((found("face"), found("body")), (vec![1], vec![]));
    // A vector of another embedder replaces the earlier one.
    put(1, "b", &[0.0, 1.0]);
    assert_eq!(found("face"), [0; 0]);
}
