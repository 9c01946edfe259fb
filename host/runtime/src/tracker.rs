//! Tracker sessions: calls of a tracker plugin, and validation of its answers.
//!
//! Guarantees: an id for each detection or none, ids that were never used before, and every track
//! closed once. Ends with its first fault, or with `finish`.

use std::collections::BTreeSet;

use ocellus_core::{Detection, TrackId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::component::ResourceAny;

use crate::{
    Digest, FrameInfo, Meters, PluginError, StreamInfo,
    bindings::{tracker as wit, tracker::exports::ocellus::plugin::tracking, types},
    convert,
    plugin::{Plugin, World},
    sandbox::Sandbox,
};

/// Changes of the tracks in a frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// For each detection, in the same order, its track, or `None`. No id occurs twice; a new one
    /// is greater than all before.
    pub ids: Vec<Option<TrackId>>,
    /// Closed tracks, in ascending order. One may have its last detection in this frame.
    pub closed: Vec<TrackId>,
}

/// The whole state of a session, including the host's id ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackerState {
    /// Tag of the format of `bytes`, at most 64 bytes; only the plugin interprets either.
    pub schema_tag: String,
    /// The plugin's state.
    pub bytes: Vec<u8>,
    /// The greatest id given so far.
    pub last_id: u64,
    /// Open tracks, in ascending order.
    pub open: Vec<TrackId>,
}

/// Session of a tracker for one object type of one job. Unusable after an error.
pub struct Tracker {
    sandbox: Sandbox,
    bindings: wit::Tracker,
    session: ResourceAny,
    ids: IdLedger,
    /// Buffer that is reused between calls.
    scratch: Vec<types::Detection>,
}

impl Tracker {
    pub(crate) fn open(plugin: &Plugin, settings: &Value, stream: &StreamInfo) -> Result<Option<Self>, PluginError> {
        let World::Tracker(pre) = &plugin.world else { return Ok(None) };
        let settings = plugin.settings(settings)?;
        let mut sandbox = plugin.sandbox();
        let (bindings, session) = sandbox.call("open", |store| {
            let bindings = pre.instantiate(&mut *store)?;
            let session =
                bindings.ocellus_plugin_tracking().session().call_open(store, &settings, &convert::stream(stream))?;
            Ok((bindings, session))
        })?;
        let session = sandbox.accepted("open", session)?;
        Ok(Some(Self { sandbox, bindings, session, ids: IdLedger::default(), scratch: Vec::new() }))
    }

    /// Processes one frame. To be called for every frame with detection, in order, also where
    /// nothing was detected.
    ///
    /// # Errors
    /// Any fault, which ends the session; the caller applies the fault policy.
    pub fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError> {
        const CALL: &str = "update";
        self.scratch.clear();
        self.scratch.extend(detections.iter().map(convert::detection));
        let (bindings, session, scratch) = (&self.bindings, self.session, &self.scratch);
        let answer = self.sandbox.call(CALL, |store| {
            bindings.ocellus_plugin_tracking().session().call_update(store, session, convert::frame(frame), scratch)
        })?;
        let answer = self.sandbox.accepted(CALL, answer)?;
        self.sandbox.checked(CALL, self.ids.record(answer, detections.len()))
    }

    /// Ends the session after the last frame, and returns the tracks that were still open, in
    /// ascending order.
    ///
    /// # Errors
    /// A fault, or a session that was over before.
    pub fn finish(&mut self) -> Result<Vec<TrackId>, PluginError> {
        const CALL: &str = "finish";
        let (bindings, session) = (&self.bindings, self.session);
        let closed = self
            .sandbox
            .call(CALL, |store| bindings.ocellus_plugin_tracking().session().call_finish(store, session))?;
        self.sandbox.end();
        let closed = self.ids.close(closed).and_then(|closed| match self.ids.open.first() {
            Some(id) => Err(format!("track {id} is still open after finish")),
            None => Ok(closed),
        });
        self.sandbox.checked(CALL, closed)
    }

    /// Saves the state for another session. Changes nothing.
    ///
    /// # Errors
    /// A fault, which ends the session.
    pub fn snapshot(&mut self) -> Result<TrackerState, PluginError> {
        const CALL: &str = "snapshot";
        let (bindings, session) = (&self.bindings, self.session);
        let state = self
            .sandbox
            .call(CALL, |store| bindings.ocellus_plugin_tracking().session().call_snapshot(store, session))?;
        if state.schema_tag.len() > 64 {
            return self.sandbox.checked(CALL, Err("the schema tag has more than 64 bytes".into()));
        }
        let open = self.ids.open.iter().copied().map(TrackId).collect();
        Ok(TrackerState { schema_tag: state.schema_tag, bytes: state.bytes, last_id: self.ids.last_id, open })
    }

    /// Restores the state of an earlier session. Only directly after opening.
    ///
    /// # Errors
    /// The plugin refuses this state, or a fault; either ends the session.
    pub fn restore(&mut self, state: &TrackerState) -> Result<(), PluginError> {
        const CALL: &str = "restore";
        let (bindings, session) = (&self.bindings, self.session);
        let given = tracking::State { schema_tag: state.schema_tag.clone(), bytes: state.bytes.clone() };
        let answer = self
            .sandbox
            .call(CALL, |store| bindings.ocellus_plugin_tracking().session().call_restore(store, session, &given))?;
        self.sandbox.accepted(CALL, answer)?;
        self.ids = IdLedger { last_id: state.last_id, open: state.open.iter().map(|id| id.0).collect() };
        Ok(())
    }

    /// Open tracks, in ascending order.
    pub(crate) fn open_tracks(&self) -> impl Iterator<Item = TrackId> + use<'_> {
        self.ids.open.iter().copied().map(TrackId)
    }

    /// The greatest id given so far.
    pub(crate) fn last_id(&self) -> u64 {
        self.ids.last_id
    }

    /// Digest of the component.
    pub fn digest(&self) -> Digest {
        self.sandbox.digest()
    }

    /// Usage of the session so far.
    pub fn meters(&self) -> Meters {
        self.sandbox.meters()
    }
}

/// Id ledger of a session: detects every id that breaks the rules, with memory that does not grow
/// with the number of closed tracks.
#[derive(Debug, Default)]
struct IdLedger {
    last_id: u64,
    open: BTreeSet<u64>,
}

impl IdLedger {
    fn record(&mut self, answer: tracking::Update, detections: usize) -> Result<Update, String> {
        if answer.ids.len() != detections {
            return Err(format!("{} ids for {detections} detections", answer.ids.len()));
        }
        let mut here = BTreeSet::new();
        for id in answer.ids.iter().flatten().copied() {
            if !here.insert(id) {
                return Err(format!("two detections of one frame in track {id}"));
            }
            if id <= self.last_id && !self.open.contains(&id) {
                return Err(format!("track {id} is used again, or is new and not greater than {}", self.last_id));
            }
        }
        self.last_id = here.last().copied().unwrap_or(0).max(self.last_id);
        self.open.extend(&here);
        let closed = self.close(answer.closed)?;
        Ok(Update { ids: answer.ids.into_iter().map(|id| id.map(TrackId)).collect(), closed })
    }

    fn close(&mut self, mut closed: Vec<u64>) -> Result<Vec<TrackId>, String> {
        closed.sort_unstable();
        for id in &closed {
            if !self.open.remove(id) {
                return Err(format!("track {id} is closed and was not open"));
            }
        }
        Ok(closed.into_iter().map(TrackId).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(ids: &[u64], closed: &[u64]) -> tracking::Update {
        tracking::Update { ids: ids.iter().copied().map(Some).collect(), closed: closed.to_vec() }
    }

    #[test]
    fn a_track_may_open_and_close_in_one_frame() {
        let mut ids = IdLedger::default();
        let update = ids.record(answer(&[1, 2], &[2]), 2).unwrap();
        assert_eq!(update.closed, [TrackId(2)]);
        assert_eq!(ids.open, BTreeSet::from([1]));
    }

    #[test]
    fn ids_that_break_the_rules_are_refused() {
        for (second, why) in [
            (answer(&[1], &[]), "1 ids for 2"),
            (answer(&[1, 1], &[]), "two detections"),
            (answer(&[0, 1], &[]), "track 0"),
            (answer(&[2, 1], &[]), "track 2 is used again"),
            (answer(&[1, 4], &[2]), "track 2 is closed"),
            (answer(&[1, 4], &[1, 1]), "track 1 is closed"),
            (answer(&[1, 4], &[9]), "track 9 is closed"),
        ] {
            let mut ids = IdLedger::default();
            ids.record(answer(&[1, 2, 3], &[2, 3]), 3).unwrap();
            let broken = ids.record(second, 2).unwrap_err();
            assert!(broken.contains(why), "{broken}");
        }
    }
}
