//! The restart log of a tracker's session: the state that it saved last, and every call since.
//!
//! Guarantees: no call between the saved state and now is missing. The log is bounded by its owner,
//! who saves a new state as soon as [`RestartLog::is_due`] says so: it holds [`MOST_CALLS`] calls
//! or [`MOST_BYTES`] and one call at the most, and one more for each state that could not be saved.
//! It ends with its slot.

use std::sync::Arc;

use crate::{TrackerState, call::Call};

/// Frames after which a state is saved, whatever is in them.
const MOST_CALLS: usize = 64;
/// Memory of the calls after which a state is saved, in bytes: some 20 frames of 100 people with
/// what they look like.
const MOST_BYTES: usize = 4 << 20;

#[derive(Default)]
pub(crate) struct RestartLog {
    state: Option<Arc<TrackerState>>,
    calls: Vec<Arc<Call>>,
    bytes: usize,
}

impl RestartLog {
    /// Begins anew with a session that goes on from this state, or from nothing.
    pub(crate) fn begin(&mut self, state: Option<Arc<TrackerState>>) {
        *self = Self { state, ..Self::default() };
    }

    pub(crate) fn push(&mut self, call: Arc<Call>) {
        self.bytes += call.size();
        self.calls.push(call);
    }

    /// Whether a state has to be saved now.
    pub(crate) fn is_due(&self) -> bool {
        self.calls.len() >= MOST_CALLS || self.bytes >= MOST_BYTES
    }

    pub(crate) fn state(&self) -> Option<&TrackerState> {
        self.state.as_deref()
    }

    /// Since the state, the oldest first.
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
    fn every_call_since_the_state_is_there_and_a_state_is_due_in_time() {
        for (detections, numbers) in [(0, 0), (1, 0), (13, 0), (100, 0), (100, 512), (2000, 512)] {
            let (mut log, mut first) = (RestartLog::default(), 0);
            for index in 0..500 {
                log.push(call(index, detections, numbers));
                assert!(
                    log.calls().map(|c| c.frame().unwrap()).eq(first..=index),
                    "{detections} detections, frame {index}"
                );
                assert!(log.calls.len() <= MOST_CALLS && log.bytes < MOST_BYTES + call(0, detections, numbers).size());
                if log.is_due() {
                    log.begin(None);
                    first = index + 1;
                }
            }
            assert!(first > 500 - MOST_CALLS as u64 - 1, "{detections} detections: the last state at {first}");
        }
    }
}
