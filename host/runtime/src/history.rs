//! Call history of a session: its initial state, and the calls since.
//!
//! Guarantees: the calls are the latest, without gaps; where earlier ones were dropped the history
//! is marked as incomplete. It is bounded by its owner, by [`History::shorten`] or by saving a new
//! state as soon as [`History::state_is_due`]: then it holds at most [`MAX_REPLAYED_CALLS`] calls,
//! or [`MAX_REPLAYED_BYTES`] and one call, and one more for each state that could not be saved. It
//! ends with its slot.

use std::{collections::VecDeque, sync::Arc};

use crate::{TrackerState, call::Call};

/// Number of calls after which a state is saved.
const MAX_REPLAYED_CALLS: usize = 64;
/// Memory of the calls after which a state is saved, in bytes: some 20 frames of 100 people with
/// their appearance descriptors.
const MAX_REPLAYED_BYTES: usize = 4 << 20;

#[derive(Clone, Default)]
pub(crate) struct History {
    state: Option<Arc<TrackerState>>,
    calls: VecDeque<Arc<Call>>,
    /// Memory of the calls.
    bytes: usize,
    shortened: bool,
}

impl History {
    /// The history of a session that starts from this state, or empty.
    pub(crate) fn from_state(state: Option<Arc<TrackerState>>) -> Self {
        Self { state, ..Self::default() }
    }

    pub(crate) fn push(&mut self, call: Arc<Call>) {
        self.bytes += call.size();
        self.calls.push_back(call);
    }

    /// Drops the oldest calls until the rest takes at most this many bytes.
    pub(crate) fn shorten(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes
            && let Some(oldest) = self.calls.pop_front()
        {
            self.bytes -= oldest.size();
            self.shortened = true;
        }
    }

    /// Whether a state has to be saved now, so that a restart replays only a few frames.
    pub(crate) fn state_is_due(&self) -> bool {
        self.calls.len() >= MAX_REPLAYED_CALLS || self.bytes >= MAX_REPLAYED_BYTES
    }

    /// Whether the calls begin with the first of the session.
    pub(crate) fn is_complete(&self) -> bool {
        !self.shortened
    }

    pub(crate) fn state(&self) -> Option<&TrackerState> {
        self.state.as_deref()
    }

    /// The oldest first.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use ocellus_core::{Detection, Rect, Size};

    use super::*;
    use crate::FrameInfo;

    fn call(index: u64, detections: usize, numbers: usize) -> Arc<Call> {
        let frame = FrameInfo { index, time: index as f64, size: Size { width: 640, height: 480 }, cut: false };
        let rect = Rect::new(0.0, 0.0, 1.0, 1.0);
        let detection = Detection { rect, score: 1.0, quality: 1.0, landmarks: None, appearance: vec![0.0; numbers] };
        Arc::new(Call::Update { frame, detections: vec![detection; detections] })
    }

    #[test]
    fn all_calls_since_the_state_are_kept_and_a_state_becomes_due() {
        for (detections, numbers) in [(0, 0), (1, 0), (13, 0), (100, 0), (100, 512), (2000, 512)] {
            let (mut history, mut first) = (History::default(), 0);
            for index in 0..500 {
                history.push(call(index, detections, numbers));
                assert!(
                    history.calls().map(|c| c.frame().unwrap()).eq(first..=index),
                    "{detections} detections, frame {index}"
                );
                let most = MAX_REPLAYED_BYTES + call(0, detections, numbers).size();
                assert!(history.calls.len() <= MAX_REPLAYED_CALLS && history.bytes < most);
                if history.state_is_due() {
                    history = History::default();
                    first = index + 1;
                }
            }
            assert!(first > 500 - MAX_REPLAYED_CALLS as u64 - 1, "{detections} detections: the last state at {first}");
        }
    }

    #[test]
    fn the_latest_calls_are_kept_and_dropping_earlier_ones_is_reported() {
        let mut history = History::default();
        history.push(call(0, 100, 100));
        history.shorten(256 << 10);
        assert!(history.is_complete());
        for index in 1..1000 {
            history.push(call(index, 100, 100));
            history.shorten(256 << 10);
        }
        assert!(!history.is_complete() && history.bytes <= 256 << 10 && history.calls.len() > 1);
        assert_eq!(history.calls().last().and_then(Call::frame), Some(999));
    }
}
