//! Canary: a component that gets the calls of the active plugin, without effect.
//!
//! Guarantees: a canary never affects the job: it runs on its own thread, its answers are compared
//! and dropped, and one that fails or falls behind gets no more calls. Ends with its slot, after
//! the calls in its queue, for which it has [`PATIENCE`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ocellus_core::{ShadowUse, TrackId};
use parking_lot::Mutex;
use serde_json::Value;

use crate::{
    Pixels, PluginError, StreamInfo, Update, Verdict,
    call::{Answer, Call, Session},
    plugin::Plugin,
};

/// Limit of the calls in a canary's queue.
const QUEUE: usize = 64;
/// Time that the end of a job waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A call of the job, with the answer of the active plugin.
struct AnsweredCall {
    call: Call,
    answer: Answer,
    pixels: Option<Arc<dyn Pixels>>,
}

pub(crate) struct Canary {
    /// `None` once it gets no more calls.
    calls: Option<SyncSender<AnsweredCall>>,
    /// Deadline for the calls in its queue.
    until: Arc<Mutex<Option<Instant>>>,
    usage: Arc<Mutex<ShadowUse>>,
    worker: Option<JoinHandle<()>>,
}

impl Canary {
    /// Opens a session of the canary, which starts with the next call. `None` where no thread can
    /// be started.
    pub(crate) fn begin(plugin: Arc<Plugin>, settings: Value, stream: StreamInfo) -> Option<Self> {
        let usage = Arc::new(Mutex::new(ShadowUse { digest: plugin.digest.to_string(), ..ShadowUse::default() }));
        let (sender, receiver) = sync_channel(QUEUE);
        let reported = usage.clone();
        let until = Arc::<Mutex<Option<Instant>>>::default();
        let limit = Arc::clone(&until);
        let work = move || {
            if let Err(error) = run(&plugin, &settings, &stream, &receiver, &reported, &limit) {
                tracing::warn!(plugin = plugin.name, "the canary for {} gets no more calls: {error}", plugin.name);
                reported.lock().ended = Some(error.to_string());
            }
        };
        let worker = thread::Builder::new().name("plugin-shadow".into()).spawn(work).ok()?;
        Some(Self { calls: Some(sender), until, usage, worker: Some(worker) })
    }

    /// Queues a call with the answer of the active plugin.
    pub(crate) fn show(&mut self, call: &Call, answer: &Answer, pixels: Option<Arc<dyn Pixels>>) {
        let Some(sender) = &self.calls else { return };
        match sender.try_send(AnsweredCall { call: call.clone(), answer: answer.clone(), pixels }) {
            Ok(()) => {}
            Err(error) => {
                if let TrySendError::Full(_) = error {
                    self.usage.lock().ended = Some(format!("it could not keep up: {QUEUE} calls were waiting"));
                }
                *self.until.lock() = Some(Instant::now());
                self.calls = None;
            }
        }
    }

    pub(crate) fn report(&self) -> ShadowUse {
        self.usage.lock().clone()
    }

    /// The final report, once every call is answered or [`PATIENCE`] is over.
    pub(crate) fn end(&mut self) -> ShadowUse {
        self.until.lock().get_or_insert_with(|| Instant::now() + PATIENCE);
        self.calls = None;
        // The panic of a worker is in the log; its last report is final.
        let _ = self.worker.take().map(JoinHandle::join);
        self.report()
    }
}

fn run(
    plugin: &Plugin,
    settings: &Value,
    stream: &StreamInfo,
    calls: &Receiver<AnsweredCall>,
    usage: &Mutex<ShadowUse>,
    until: &Mutex<Option<Instant>>,
) -> Result<(), PluginError> {
    let Some(mut session) = Session::open(plugin, settings, stream)? else { return Ok(()) };
    let mut pairs = TrackPairs::default();
    for AnsweredCall { call, answer, pixels } in calls {
        if until.lock().is_some_and(|until| Instant::now() > until) {
            usage.lock().ended.get_or_insert_with(|| "it could not keep up: calls were waiting at the end".into());
            break;
        }
        session.set_pixels(pixels);
        let other = session.make(&call);
        let meters = session.meters();
        let mut usage = usage.lock();
        usage.calls = meters.calls;
        usage.time_ms = meters.time.as_secs_f64() * 1e3;
        usage.longest_call_ms = meters.longest.as_secs_f64() * 1e3;
        usage.memory_bytes = meters.memory_bytes as u64;
        let differences = match (&answer, other?) {
            (Answer::Update(one), Answer::Update(other)) => pairs.compare(one, &other),
            (Answer::Verdicts(one), Answer::Verdicts(other)) => verdicts(one, &other),
            _ => continue,
        };
        usage.items += differences.len() as u64;
        for difference in differences.into_iter().flatten() {
            usage.different += 1;
            let frame = call.frame().unwrap_or_default();
            usage.first_difference.get_or_insert_with(|| format!("frame {frame}: {difference}"));
        }
    }
    Ok(())
}

/// For each item of a call, a difference, if any.
type Differences = Vec<Option<String>>;

/// Correspondence of the tracks of two trackers, whose ids may differ.
#[derive(Default)]
struct TrackPairs {
    forth: BTreeMap<TrackId, TrackId>,
    back: BTreeMap<TrackId, TrackId>,
}

impl TrackPairs {
    fn compare(&mut self, one: &Update, other: &Update) -> Differences {
        let pairs = one.ids.iter().zip(&other.ids);
        let differences = pairs.map(|(one, other)| match (*one, *other) {
            (None, None) => None,
            (Some(one), Some(other)) => self.pair(one, other),
            (Some(one), None) => Some(format!("track {one}; the canary gives no track")),
            (None, Some(other)) => Some(format!("no track; the canary gives track {other}")),
        });
        let differences = differences.collect();
        for id in &one.closed {
            self.forth.remove(id);
        }
        for id in &other.closed {
            self.back.remove(id);
        }
        differences
    }

    fn pair(&mut self, one: TrackId, other: TrackId) -> Option<String> {
        let (was, whose) = (self.forth.insert(one, other), self.back.insert(other, one));
        let fits = was.is_none_or(|was| was == other) && whose.is_none_or(|whose| whose == one);
        (!fits).then(|| match was {
            Some(was) if was != other => {
                format!("track {one} goes on; the canary goes from its track {was} to {other}")
            }
            _ => format!("track {one} begins; the canary goes on with its track {other}"),
        })
    }
}

fn verdicts(one: &[Verdict], other: &[Verdict]) -> Differences {
    let pairs = one.iter().zip(other);
    let difference = |(one, other): (&Verdict, &Verdict)| match (one, other) {
        (Verdict::Reject(_), Verdict::Reject(_)) => None,
        (Verdict::Reject(r), _) => Some(format!("rejected by {} ({}); the canary keeps it", r.rule, r.value)),
        (_, Verdict::Reject(r)) => Some(format!("kept; the canary rejects it by {} ({})", r.rule, r.value)),
        (one, other) => (one != other).then(|| "the canary notes something else".to_owned()),
    };
    pairs.map(difference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(ids: &[u64], closed: &[u64]) -> Update {
        let id = |n: &u64| TrackId(*n);
        Update {
            ids: ids.iter().map(|n| (*n > 0).then_some(TrackId(*n))).collect(),
            closed: closed.iter().map(id).collect(),
        }
    }

    fn different(pairs: &mut TrackPairs, one: &[u64], other: &[u64]) -> usize {
        pairs.compare(&update(one, &[]), &update(other, &[])).into_iter().flatten().count()
    }

    #[test]
    fn trackers_agree_in_spite_of_different_ids() {
        let mut pairs = TrackPairs::default();
        assert_eq!(different(&mut pairs, &[1, 2, 0], &[7, 5, 0]), 0);
        assert_eq!(different(&mut pairs, &[2, 1, 3], &[5, 7, 9]), 0);
        // One lost track 1, and the other one found it again.
        assert_eq!(different(&mut pairs, &[4], &[7]), 1);
        assert_eq!(different(&mut pairs, &[4], &[7]), 0);
        assert_eq!(different(&mut pairs, &[4], &[8]), 1);
        assert_eq!(different(&mut pairs, &[0], &[8]), 1);
    }

    #[test]
    fn closed_tracks_are_forgotten() {
        let mut pairs = TrackPairs::default();
        pairs.compare(&update(&[1], &[1]), &update(&[1], &[1]));
        assert!(pairs.forth.is_empty() && pairs.back.is_empty());
    }
}
