//! Covers: walking the list by its links while videos are added and deleted, in every ordering,
//! against a model.

use std::collections::BTreeSet;

use ocellus_core::{SettingsSchema, VideoId, VideoRecord};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;

use crate::server::Server;

#[derive(Clone, Debug)]
enum Step {
    Add(Option<String>),
    /// Index of the video to delete, modulo their number.
    Delete(usize),
}

fn names() -> impl Strategy<Value = Option<String>> {
    // Few and short, so that many are equal or share a prefix.
    prop::option::of("[aAbÄé]{1,3}")
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![names().prop_map(Step::Add), any::<usize>().prop_map(Step::Delete)];
    prop::collection::vec(step, 0..3)
}

struct Model<'a> {
    server: &'a Server,
    settings: ocellus_core::StreamSettings,
    here: Vec<u64>,
}

impl Model<'_> {
    fn add(&mut self, name: Option<String>) {
        let settings = self.settings.clone();
        let video = self.server.archive.create(|id, created| VideoRecord::new(id, 1, name, settings, created)).unwrap();
        self.here.push(video.id.0);
    }

    fn delete(&mut self, which: usize) -> Option<u64> {
        let at = which.checked_rem(self.here.len())?;
        let id = self.here.remove(at);
        assert!(self.server.archive.delete(VideoId(id)).unwrap());
        Some(id)
    }

    /// The expected list of all videos.
    fn sorted(&self, ordering: &str) -> Vec<u64> {
        let key = |id: &u64| {
            let video = self.server.archive.video(VideoId(*id)).unwrap().unwrap();
            match ordering.trim_start_matches('-') {
                "name" => (video.name.map(|n| n.to_lowercase()), *id),
                // Dates grow with ids here.
                _ => (None, *id),
            }
        };
        let mut ids = self.here.clone();
        ids.sort_by_key(key);
        if ordering.starts_with('-') {
            ids.reverse();
        }
        ids
    }
}

fn ids(page: &Value) -> Vec<u64> {
    page["results"].as_array().unwrap().iter().map(|v| v["id"].as_u64().unwrap()).collect()
}

#[test]
fn each_video_that_exists_throughout_is_listed_exactly_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    let case = (
        prop::collection::vec(names(), 0..8),
        prop::collection::vec(steps(), 8),
        1_usize..4,
        prop::sample::select(vec!["id", "-id", "created_date", "-created_date", "name", "-name"]),
    );
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&case, |(initial, between, limit, ordering)| {
            let mut model = Model { server: &server, settings: settings.clone(), here: Vec::new() };
            for name in initial {
                model.add(name);
            }
            let before: BTreeSet<u64> = model.here.iter().copied().collect();
            let (mut seen, mut deleted, mut back) = (Vec::new(), BTreeSet::new(), None);
            let mut at = Some(format!("/videos/?limit={limit}&ordering={ordering}"));
            let mut steps = between.into_iter();
            while let Some(path) = at {
                let page = runtime.block_on(server.get(&path)).expect(200).json();
                let shown = ids(&page);
                prop_assert!(shown.len() <= limit);
                prop_assert!(shown.iter().all(|id| model.here.contains(id)), "{shown:?} of {:?}", model.here);
                seen.extend(shown);
                at = page["next_page"].as_str().map(str::to_owned);
                back = page["prev_page"].as_str().map(str::to_owned);
                for step in steps.next().unwrap_or_default() {
                    match step {
                        Step::Add(name) => model.add(name),
                        Step::Delete(which) => deleted.extend(model.delete(which)),
                    }
                }
            }
            prop_assert_eq!(seen.len(), seen.iter().collect::<BTreeSet<_>>().len(), "twice: {:?}", seen);
            let throughout: Vec<u64> = model.sorted(ordering).into_iter().filter(|id| before.contains(id)).collect();
            let kept: Vec<u64> = seen.iter().copied().filter(|id| throughout.contains(id)).collect();
            prop_assert_eq!(kept, throughout, "{}: seen {:?}, deleted {:?}", ordering, seen, deleted);

            // And back to the beginning, with nothing happening: all that lies before, each once,
            // in order.
            let mut reversed = Vec::new();
            let mut last = None;
            while let Some(path) = back {
                let page = runtime.block_on(server.get(&path)).expect(200).json();
                reversed.splice(0..0, ids(&page));
                back = page["prev_page"].as_str().map(str::to_owned);
                last = Some(page);
            }
            if last.is_some() {
                let all = model.sorted(ordering);
                prop_assert_eq!(&reversed[..], &all[..reversed.len()]);
            }
            while model.delete(0).is_some() {}
            Ok(())
        })
        .unwrap();
}
