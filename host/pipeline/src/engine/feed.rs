//! Feed: what happens in the engine, for pages that show it without asking again and again.
//!
//! Owns what was noted and not published yet, the last [`KEPT`] entries with their numbers, and the
//! number of subscriptions. Guarantees:
//!
//! * While nobody subscribes, nothing is noted, kept or looked at: it costs one atomic load for
//!   each change. It goes on for [`LINGER`] after the last subscription ended, for those who come
//!   back.
//! * An entry is made once for all subscriptions, and so is its text ([`Entry::text`]).
//! * A subscription has no queue of its own. One that reads slowly, or comes back late, and misses
//!   entries is told so ([`Batch::Missed`]); it delays nobody.
//!
//! Published by a thread of its own (`feed_thread`). Ends with [`Feed::close`], and with it all
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

/// Entries that are kept for subscriptions that read slowly or come back.
const KEPT: usize = 2048;
/// For how long entries are kept without a subscription: a page that is loaded again, a proxy that
/// restarts.
const LINGER: Duration = Duration::from_secs(30);
/// What is noted within this time is published together.
const GATHER: Duration = Duration::from_millis(100);
/// How often running jobs are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Texts of one entry that are kept: one for each address that the server is seen under.
const MAX_TEXTS: usize = 8;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// A video is new, was changed, or is being processed; as [`super::Engine::live`] has it.
    Video(Box<VideoRecord>),
    /// A video was deleted.
    VideoDeleted(VideoId),
    /// An object is new.
    Object(Box<ObjectRecord>),
    /// A delivery has another state, or was attempted again.
    Delivery(Box<Delivery>),
    /// A plugin is used from now on, is not any more, or was refused.
    Plugin {
        /// Its name, or its file's where it never was a plugin.
        name: String,
        /// As in the list of plugins; `removed` where it is gone.
        state: String,
    },
    /// The queue, the deliveries or the room on the disk.
    Load(Load),
}

/// An event with its number, and what was made of it.
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

    /// The text of the event for all who see it alike, which `view` names. Made by the first.
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

/// What a subscription gets next.
pub enum Batch {
    /// In the order in which they happened; never empty.
    Entries(Vec<Arc<Entry>>),
    /// Entries are missing between those before and those to come.
    Missed,
}

/// What was noted and is to be published.
#[derive(Default)]
pub(super) struct Noted {
    /// In the order in which it happened.
    pub(super) events: Vec<EngineEvent>,
    /// More happened than can be kept.
    pub(super) overflown: bool,
    /// Videos whose records were written.
    pub(super) videos: BTreeSet<VideoId>,
    /// Videos of which something else was written, to be shown with the next look.
    pub(super) touched: BTreeSet<VideoId>,
    /// It is time to look at what runs.
    pub(super) look: bool,
}

pub(super) struct Feed {
    /// Told apart from the feeds of other starts of the server.
    epoch: u64,
    /// Whether anything is to be noted.
    active: AtomicBool,
    state: Mutex<State>,
    /// A subscription began, something was noted, or the feed was closed.
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
    last_look: Option<Instant>,
    closed: bool,
}

impl State {
    /// The number of the first entry that can still be had.
    fn oldest(&self) -> u64 {
        self.kept.front().map_or(self.next, |entry| entry.number)
    }

    /// Forgets all entries, and that anybody could go on after them.
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

    /// Notes what was written into the archive. Does not wait, and costs nothing where nobody
    /// listens.
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

    /// Waits for something to be published; `None` once the feed is closed. Blocks.
    pub(super) fn wait(&self) -> Option<Noted> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = Instant::now();
            if state.is_over(now) {
                if self.active.swap(false, Ordering::Relaxed) {
                    (state.noted, state.last_look) = (Noted::default(), None);
                    state.forget();
                    self.next.send_replace(state.next);
                }
                self.changed.wait(&mut state);
                continue;
            }
            let look = state.last_look.is_none_or(|last| now.duration_since(last) >= TICK);
            if look || !state.noted.events.is_empty() || !state.noted.videos.is_empty() {
                break;
            }
            let until = state.last_look.map_or(now, |last| last + TICK);
            self.changed.wait_until(&mut state, until);
        }
        // What belongs together happens together.
        let gathered = Instant::now() + GATHER;
        while !state.closed && !self.changed.wait_until(&mut state, gathered).timed_out() {}
        let now = Instant::now();
        let look = state.last_look.is_none_or(|last| now.duration_since(last) >= TICK);
        let mut noted = mem::take(&mut state.noted);
        if look {
            state.last_look = Some(now);
        } else {
            state.noted.touched = mem::take(&mut noted.touched);
        }
        Some(Noted { look, ..noted })
    }

    /// Gives events their numbers, and tells the subscriptions. `overflown`: others were lost
    /// before them.
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

    /// Begins a subscription, after the entry that `after` identifies, or with what happens next.
    pub(super) fn subscribe(self: &Arc<Self>, after: Option<&str>) -> Subscription {
        let mut state = self.state.lock();
        if !self.active.load(Ordering::Relaxed) {
            // Nobody may go on after a time in which nothing was noted.
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

    /// Ends the thread that publishes, and all subscriptions.
    pub(super) fn close(&self) {
        self.active.store(false, Ordering::Relaxed);
        self.state.lock().closed = true;
        self.changed.notify_all();
        self.next.send_modify(|_| {});
    }
}

/// What happens from some moment on. Ends when it is dropped, and when the engine closes.
pub struct Subscription {
    feed: Arc<Feed>,
    next: u64,
    missed: bool,
    news: watch::Receiver<u64>,
}

impl Subscription {
    /// What happened since the last call; waits where that is nothing. `None` once the engine
    /// closes. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Batch> {
        loop {
            self.news.borrow_and_update();
            if let Some(batch) = self.take()? {
                return Some(batch);
            }
            self.news.changed().await.ok()?;
        }
    }

    /// What there is now; the outer `None` once the feed is closed.
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

    /// What identifies an entry: a later subscription can go on after it.
    pub fn id_of(&self, number: u64) -> String {
        format!("{:x}-{number}", self.feed.epoch)
    }

    /// Identifies the last entry that was taken, or that was there when the subscription began.
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
