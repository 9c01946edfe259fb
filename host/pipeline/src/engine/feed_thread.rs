//! Thread that publishes the feed: it turns recorded changes into events, and polls running jobs.

use std::{collections::BTreeMap, sync::Arc, thread};

use ocellus_core::{Error, Result, VideoId};
use ocellus_runtime::{PluginInfo, Role};
use tracing::warn;

use super::{
    contained::contained,
    feed::{EngineEvent, Feed, Noted, Subscription},
    load::Load,
    state::Engine,
};

/// Number of polls between two of the disk and the queue.
const LOAD_EVERY: u32 = 10;
/// Difference in free bytes that is ignored: a running job writes all the time.
const COARSE: u64 = 64 << 20;

impl Engine {
    /// Subscribes to events: after the entry with the id `after`, if it is still known, or from now
    /// on. Never blocks.
    pub fn subscribe(&self, after: Option<&str>) -> Subscription {
        self.0.feed.subscribe(after)
    }

    /// Starts the thread that publishes, until the feed is closed.
    pub(super) fn publish_feed(&self) -> Result<thread::JoinHandle<()>> {
        let engine = self.clone();
        let publish = move || {
            let feed = Arc::clone(&engine.0.feed);
            let mut seen = Seen::default();
            while let Some(noted) = feed.wait() {
                // The thread survives a panic in one round.
                let published = contained("the feed of events", || {
                    engine.publish(&feed, noted, &mut seen);
                    Ok(())
                });
                if let Err(error) = published {
                    warn!(%error, "events are lost: {error}");
                    feed.publish(Vec::new(), true);
                }
            }
        };
        thread::Builder::new().name("feed".into()).spawn(publish).map_err(Error::internal)
    }

    fn publish(&self, feed: &Feed, noted: Noted, seen: &mut Seen) {
        let Noted { mut events, overflown, mut videos, touched, poll } = noted;
        if poll {
            videos.extend(touched);
            videos.extend(self.0.jobs.runs().iter().filter_map(|run| run.job.lock().map(|job| job.video)));
        }
        events.extend(videos.into_iter().filter_map(|id| self.shown(id)));
        if poll {
            self.poll(seen, &mut events);
        }
        feed.publish(events, overflown);
    }

    /// A video as it is now; `None` where it is gone or cannot be read, which requests for it
    /// report.
    fn shown(&self, id: VideoId) -> Option<EngineEvent> {
        let record = self.archive().video(id).ok()??;
        Some(EngineEvent::Video(Box::new(self.live(record).ok()?)))
    }

    /// Polls state that reports no changes by itself.
    fn poll(&self, seen: &mut Seen, events: &mut Vec<EngineEvent>) {
        let generation = self.plugins().generation();
        if seen.generation != Some(generation) {
            let now = states(self.plugins().list());
            if seen.generation.is_some() {
                events.extend(differences(&seen.plugins, &now));
            }
            (seen.generation, seen.plugins) = (Some(generation), now);
        }
        if seen.polls.is_multiple_of(LOAD_EVERY) {
            let now = self.load();
            if seen.load.as_ref().is_some_and(|before| differs(before, &now)) {
                events.push(EngineEvent::Load(now.clone()));
            }
            seen.load = Some(now);
        }
        seen.polls = seen.polls.wrapping_add(1);
    }
}

/// State at the last poll.
#[derive(Default)]
struct Seen {
    polls: u32,
    generation: Option<u64>,
    plugins: Plugins,
    load: Option<Load>,
}

/// By name and whether it is a canary: digest, and state as it is shown.
type Plugins = BTreeMap<(String, bool), (Option<String>, String)>;

fn states(plugins: Vec<PluginInfo>) -> Plugins {
    let state = |info: &PluginInfo| {
        serde_json::to_value(&info.state).ok().and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let of = |info: PluginInfo| {
        let build = info.digest.as_ref().map(ToString::to_string);
        let shown = state(&info);
        let is_canary = info.role == Role::Canary;
        ((info.name.unwrap_or(info.file), is_canary), (build, shown))
    };
    plugins.into_iter().map(of).collect()
}

fn differences(before: &Plugins, now: &Plugins) -> Vec<EngineEvent> {
    let event = |name: &str, state: &str| EngineEvent::Plugin { name: name.to_owned(), state: state.to_owned() };
    let changed = now.iter().filter(|(key, value)| before.get(*key) != Some(*value));
    let removed = before.keys().filter(|key| !now.contains_key(*key));
    let changed = changed.map(|((name, _), (_, state))| event(name, state));
    changed.chain(removed.map(|(name, _)| event(name, "removed"))).collect()
}

fn differs(before: &Load, now: &Load) -> bool {
    let coarse = |load: &Load| {
        let disk = load.disk.map(|disk| (disk.total_bytes, disk.free_bytes / COARSE, disk.source_bytes));
        (load.jobs, load.deliveries, disk)
    };
    coarse(before) != coarse(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugins(all: &[(&str, bool, &str, &str)]) -> Plugins {
        let entry = |(name, canary, build, state): &(&str, bool, &str, &str)| {
            (((*name).to_owned(), *canary), (Some((*build).to_owned()), (*state).to_owned()))
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn a_plugin_that_is_swapped_installed_or_removed_is_reported_and_no_other() {
        let before = plugins(&[("a", false, "1", "ready"), ("b", false, "1", "ready"), ("c", false, "1", "ready")]);
        let now = plugins(&[("a", false, "1", "ready"), ("b", false, "2", "ready"), ("b", true, "3", "ready")]);
        let told: Vec<_> = differences(&before, &now)
            .into_iter()
            .map(|event| match event {
                EngineEvent::Plugin { name, state } => (name, state),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected = [("b", "ready"), ("b", "ready"), ("c", "removed")];
        assert_eq!(told, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
    }
}
