//! Feed of events in the engine, for pages that show them without polling.
//!
//! Owns the recorded changes that are not published yet, the last [`KEPT`] entries with their
//! numbers, and the number of subscriptions. Guarantees:
//!
//! * Without subscriptions nothing is recorded, kept or polled: a change costs one atomic load.
//!   Recording continues for [`LINGER`] after the last subscription ended, for clients that
//!   reconnect.
//! * An entry is created once for all subscriptions, and so is its text ([`Entry::text`]).
//! * A subscription has no queue. One that reads slowly or resumes late, and misses entries, is
//!   told so ([`Batch::Missed`]); it delays no other.
//!
//! A separate thread publishes (`feed_thread`). Ends with [`Feed::close`], and with it all
//! subscriptions, at once.

use std::{
    collections::{BTreeSet, VecDeque},
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use ocellus_core::{ObjectRecord, VideoId, VideoRecord};
use ocellus_store::{Delivery, Written};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::load::Load;

/// Number of entries kept for subscriptions that read slowly or resume.
const KEPT: usize = 2048;
/// Time for which entries are kept without a subscription: for page reloads and restarts of
/// proxies.
const LINGER: Duration = Duration::from_secs(30);
/// Changes within this time are published together.
const GATHER: Duration = Duration::from_millis(100);
/// Interval at which running jobs are polled.
const TICK: Duration = Duration::from_secs(1);
/// Greatest number of cached texts of an entry: one for each base URL that clients use.
const MAX_TEXTS: usize = 8;

/// An event in the engine.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// A video was created, changed or processed further; as [`super::Engine::live`] returns it.
    Video(Box<VideoRecord>),
    /// A video was deleted.
    VideoDeleted(VideoId),
    /// An object was created.
    Object(Box<ObjectRecord>),
    /// A delivery changed its state, or was attempted again.
    Delivery(Box<Delivery>),
    /// A plugin came into use, went out of use, or was refused.
    Plugin {
        /// Its name, or its file's if it never was a plugin.
        name: String,
        /// As in the list of plugins; `removed` for one that was removed.
        state: String,
    },
    /// The queue, the deliveries or the free disk space changed.
    Load(Load),
}

/// An event with its number and cached texts.
pub struct Entry {
    number: u64,
    event: EngineEvent,
    texts: Mutex<Vec<(Box<str>, Bytes)>>,
}

impl Entry {
    /// Counted up by one from entry to entry.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The text of the event for all clients with the same `view`; only the first call makes it.
    pub fn text(&self, view: &str, make: impl FnOnce(&EngineEvent) -> Bytes) -> Bytes {
        let mut texts = self.texts.lock();
        if let Some((_, text)) = texts.iter().find(|(of, _)| **of == *view) {
            return text.clone();
        }
        let text = make(&self.event);
        if texts.len() < MAX_TEXTS {
            texts.push((view.into(), text.clone()));
        }
        text
    }
}

/// Next result of a subscription.
pub enum Batch {
    /// Entries in order; never empty.
    Entries(Vec<Arc<Entry>>),
    /// Entries were lost between the last batch and the next.
    Missed,
}

/// Recorded changes that are to be published.
#[derive(Default)]
pub(super) struct Noted {
    /// In order of occurrence.
    pub(super) events: Vec<EngineEvent>,
    /// Whether more events occurred than can be kept.
    pub(super) overflown: bool,
    /// Videos whose records were written.
    pub(super) videos: BTreeSet<VideoId>,
    /// Videos of which something else was written, to be published with the next poll.
    pub(super) touched: BTreeSet<VideoId>,
    /// Whether it is time to poll running jobs.
    pub(super) poll: bool,
}

pub(super) struct Feed {
    /// Distinguishes this feed from those of other starts of the server.
    epoch: u64,
    /// Whether changes are recorded.
    active: AtomicBool,
    state: Mutex<State>,
    /// Signals that a subscription began, a change was recorded, or the feed was closed.
    changed: Condvar,
    /// The number of the next entry; wakes the subscriptions.
    next: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    subscriptions: usize,
    /// When the last subscription ended.
    left: Option<Instant>,
    noted: Noted,
    kept: VecDeque<Arc<Entry>>,
    next: u64,
    last_poll: Option<Instant>,
    closed: bool,
}

impl State {
    /// The number of the oldest entry that is kept.
    fn oldest(&self) -> u64 {
        self.kept.front().map_or(self.next, |entry| entry.number)
    }

    /// Drops all entries, so that no subscription can resume after them.
    fn forget(&mut self) {
        self.kept.clear();
        self.next += 1;
    }

    fn is_over(&self, now: Instant) -> bool {
        self.subscriptions == 0 && self.left.is_none_or(|left| now.duration_since(left) >= LINGER)
    }
}

impl Feed {
    pub(super) fn new(epoch: u64) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            active: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
            next: watch::Sender::new(0),
        })
    }

    /// Records a write to the archive. Does not wait, and costs nothing without subscriptions.
    pub(super) fn note(&self, written: Written<'_>) {
        if !self.active.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        let noted = &mut state.noted;
        let event = match written {
            Written::Video(id) => {
                noted.videos.insert(id);
                None
            }
            Written::Deleted(id) => Some(EngineEvent::VideoDeleted(id)),
            Written::Object(object) => {
                noted.touched.insert(object.id.job.video);
                Some(EngineEvent::Object(Box::new(object.clone())))
            }
            Written::Delivery(delivery) => {
                noted.touched.insert(delivery.object.job.video);
                Some(EngineEvent::Delivery(Box::new(delivery.clone())))
            }
        };
        if let Some(event) = event {
            if noted.events.len() >= KEPT {
                noted.events.clear();
                noted.overflown = true;
            }
            noted.events.push(event);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for changes to publish; `None` once the feed is closed. Blocks.
    pub(super) fn wait(&self) -> Option<Noted> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            if state.is_over(now) {
                if self.active.swap(false, Ordering::Relaxed) {
                    (state.noted, state.last_poll) = (Noted::default(), None);
                    state.forget();
                    self.next.send_replace(state.next);
                }
                self.changed.wait(&mut state);
                continue;
            }
            let poll = state.last_poll.is_none_or(|last| now.duration_since(last) >= TICK);
            if poll || !state.noted.events.is_empty() || !state.noted.videos.is_empty() {
                break;
            }
            let until = state.last_poll.map_or(now, |last| last + TICK);
            self.changed.wait_until(&mut state, until);
        }
        // Related changes follow each other closely.
        let gathered = Instant::now() + GATHER;
        while !state.closed && !self.changed.wait_until(&mut state, gathered).timed_out() {}
        let now = Instant::now();
        let poll = state.last_poll.is_none_or(|last| now.duration_since(last) >= TICK);
        let mut noted = mem::take(&mut state.noted);
        if poll {
            state.last_poll = Some(now);
        } else {
            state.noted.touched = mem::take(&mut noted.touched);
        }
        Some(Noted { poll, ..noted })
    }

    /// Numbers events, and wakes the subscriptions. `overflown`: events before them were lost.
    pub(super) fn publish(&self, events: Vec<EngineEvent>, overflown: bool) {
        if events.is_empty() && !overflown {
            return;
        }
        let mut state = self.state.lock();
        if overflown {
            state.forget();
        }
        for event in events {
            let number = state.next;
            state.next += 1;
            state.kept.push_back(Arc::new(Entry { number, event, texts: Mutex::default() }));
        }
        let surplus = state.kept.len().saturating_sub(KEPT);
        state.kept.drain(..surplus);
        let next = state.next;
        drop(state);
        self.next.send_replace(next);
    }

    /// Begins a subscription, after the entry with the id `after`, or with the next event.
    pub(super) fn subscribe(self: &Arc<Self>, after: Option<&str>) -> Subscription {
        let mut state = self.state.lock();
        if !self.active.load(Ordering::Relaxed) {
            // No client may resume across a time without recording.
            state.forget();
            self.active.store(true, Ordering::Relaxed);
        }
        state.subscriptions += 1;
        let (oldest, next) = (state.oldest(), state.next);
        drop(state);
        self.changed.notify_one();
        let known = after.and_then(|id| self.number(id)).and_then(|number| number.checked_add(1));
        let known = known.filter(|known| (oldest..=next).contains(known));
        Subscription {
            missed: after.is_some() && known.is_none(),
            next: known.unwrap_or(next),
            news: self.next.subscribe(),
            feed: Arc::clone(self),
        }
    }

    fn number(&self, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        (u64::from_str_radix(epoch, 16).ok()? == self.epoch).then(|| number.parse().ok()).flatten()
    }

    /// Ends the publishing thread, and all subscriptions.
    pub(super) fn close(&self) {
        self.active.store(false, Ordering::Relaxed);
        self.state.lock().closed = true;
        self.changed.notify_all();
        self.next.send_modify(|_| {});
    }
}

/// Subscription to the events from some moment on. Ends when it is dropped, and when the engine
/// closes.
pub struct Subscription {
    feed: Arc<Feed>,
    next: u64,
    missed: bool,
    news: watch::Receiver<u64>,
}

impl Subscription {
    /// The events since the last call; waits until there are some. `None` once the engine closes.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Batch> {
        loop {
            self.news.borrow_and_update();
            if let Some(batch) = self.take()? {
                return Some(batch);
            }
            self.news.changed().await.ok()?;
        }
    }

    /// The entries available now; the outer `None` once the feed is closed.
    fn take(&mut self) -> Option<Option<Batch>> {
        let state = self.feed.state.lock();
        if state.closed {
            return None;
        }
        let oldest = state.oldest();
        if mem::take(&mut self.missed) || self.next < oldest {
            self.next = state.next;
            return Some(Some(Batch::Missed));
        }
        let skip = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
        let entries: Vec<_> = state.kept.iter().skip(skip).cloned().collect();
        self.next = state.next;
        Some((!entries.is_empty()).then_some(Batch::Entries(entries)))
    }

    /// Id of an entry, after which a later subscription can resume.
    pub fn id_of(&self, number: u64) -> String {
        format!("{:x}-{number}", self.feed.epoch)
    }

    /// Id of the last entry that was taken, or of the last one before the subscription began.
    pub fn last_id(&self) -> String {
        self.id_of(self.next.wrapping_sub(1))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = self.feed.state.lock();
        state.subscriptions -= 1;
        if state.subscriptions == 0 {
            state.left = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests;
