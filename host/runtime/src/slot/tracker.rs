//! Slot of a tracker. Track ids stay unique across its sessions.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use ocellus_core::{Detection, PluginUse, TrackId};
use serde_json::Value;

use super::supervisor::Supervisor;
use crate::{
    Fault, FrameInfo, Kind, OnFault, PluginError, Plugins, StreamInfo, Tracker, Update,
    call::{Answer, Call},
    history::History,
};

/// A tracker in a job. Dropping it waits for its canary and records its usage.
pub struct TrackerSlot {
    supervisor: Supervisor<Tracker>,
    session: Tracker,
    /// The replaced session. Freeing its memory takes longer than a frame should, so that it is
    /// dropped by the thread that opens the next session.
    retired: Option<Tracker>,
    /// Offset of the present session's ids: an empty session counts from 1.
    id_offset: u64,
    /// Open tracks of a lost session; the next update closes them.
    orphans: Vec<TrackId>,
}

impl TrackerSlot {
    pub(crate) fn open(
        plugins: &Plugins,
        name: &str,
        settings: &Value,
        stream: &StreamInfo,
    ) -> Result<Self, PluginError> {
        let (mut supervisor, session) =
            Supervisor::open(plugins, Kind::Tracker, Plugins::tracker, name, settings, stream)?;
        supervisor.record_component(session.digest(), 0);
        Ok(Self { supervisor, session, retired: None, id_offset: 0, orphans: Vec::new() })
    }

    /// The plugin's name in settings.
    pub fn name(&self) -> &str {
        &self.supervisor.name
    }

    /// Sends this plugin's calls to its canary from now on, while there is one.
    pub fn follow_canary(&mut self) {
        self.supervisor.follow_canary();
    }

    /// [`Tracker::update`] of the present component.
    ///
    /// # Errors
    /// A fault, where the policy is [`OnFault::Fail`]; [`PluginError::Evicted`] under the other
    /// policies, after too many of them; or a session that cannot be opened after a fault.
    pub fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError> {
        self.supervisor.follow_registry(self.session.digest(), &mut self.retired);
        let update = match self.supervisor.successor() {
            Some(fresh) => self.swap(fresh, frame, detections)?,
            None => self.step(frame, detections)?,
        };
        let Some(update) = update else {
            return Ok(self.with_job_ids(Update { ids: vec![None; detections.len()], closed: Vec::new() }));
        };
        let update = self.with_job_ids(update);
        let call = Arc::new(update_call(frame, detections));
        self.supervisor.answered(call, || Answer::Update(update.clone()), None);
        self.save_state()?;
        Ok(update)
    }

    /// [`Tracker::finish`]; waits for the canary, 2 s at most.
    ///
    /// # Errors
    /// As for [`TrackerSlot::update`]. Under the other policies a fault here closes all
    /// open tracks.
    pub fn finish(&mut self) -> Result<Vec<TrackId>, PluginError> {
        let open = self.open_tracks();
        let closed = self.session.finish();
        self.supervisor.end();
        match closed {
            Ok(closed) => Ok(self.with_job_ids(Update { ids: Vec::new(), closed }).closed),
            // The fault that ended the session was recorded before.
            Err(error) if error.fault() == Some(&Fault::Ended) => Err(error),
            Err(error) => {
                self.supervisor.record_fault(&error, Some(Call::Finish));
                // No session is needed any more.
                if self.supervisor.on_fault == OnFault::Fail { Err(error) } else { Ok(open) }
            }
        }
    }

    /// Usage of the plugin in this job so far.
    pub fn report(&mut self) -> PluginUse {
        self.supervisor.report(Some(self.session.meters()))
    }

    /// Updates the session. `None` where it failed in this frame, which its successor does not get.
    fn step(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Option<Update>, PluginError> {
        match self.session.update(frame, detections) {
            Ok(update) => Ok(Some(update)),
            Err(error) => self.recover(error, update_call(frame, detections)).map(|()| None),
        }
    }

    /// Lets a newer component take over with this frame, or continues with the present one.
    fn swap(
        &mut self,
        mut fresh: Tracker,
        frame: &FrameInfo,
        detections: &[Detection],
    ) -> Result<Option<Update>, PluginError> {
        let begun = Instant::now();
        let state = match self.session.snapshot() {
            Ok(state) => Arc::new(state),
            Err(error) => {
                // The fault ended the session; replacing a plugin must not end the job.
                self.supervisor.record_fault(&error, Some(Call::Snapshot));
                let digest = fresh.digest();
                self.start_empty(fresh);
                self.supervisor.record_swap(digest, frame.index, begun.elapsed());
                return self.step(frame, detections);
            }
        };
        let restored = fresh.restore(&state);
        let failed_in = restored.is_ok().then(|| update_call(frame, detections));
        match restored.and_then(|()| fresh.update(frame, detections)) {
            Ok(update) => {
                let digest = fresh.digest();
                let old = std::mem::replace(&mut self.session, fresh);
                self.supervisor.record_session(old.meters());
                self.retired = Some(old);
                self.supervisor.history = History::from_state(Some(state));
                self.supervisor.record_swap(digest, frame.index, begun.elapsed());
                Ok(Some(update))
            }
            Err(error) => {
                self.supervisor.successor_failed(&error, Some(state), failed_in);
                self.step(frame, detections)
            }
        }
    }

    /// Saves a state when it is due, so that a restart replays few calls.
    fn save_state(&mut self) -> Result<(), PluginError> {
        if !self.supervisor.saves_states() || !self.supervisor.history.state_is_due() {
            return Ok(());
        }
        match self.session.snapshot() {
            Ok(state) => {
                self.supervisor.history = History::from_state(Some(Arc::new(state)));
                Ok(())
            }
            Err(error) => self.recover(error, Call::Snapshot),
        }
    }

    /// Replaces a session that failed.
    fn recover(&mut self, error: PluginError, call: Call) -> Result<(), PluginError> {
        let evicted = self.supervisor.record_fault(&error, Some(call));
        if self.supervisor.on_fault == OnFault::Fail {
            return Err(error);
        }
        if evicted {
            return Err(self.supervisor.evicted(error));
        }
        let restarted = (self.supervisor.on_fault == OnFault::Restart).then(|| self.restart());
        if let Some(Ok(session)) = restarted {
            self.supervisor.record_session(self.session.meters());
            self.session = session;
            return Ok(());
        }
        let fresh = self.supervisor.fresh()?;
        self.start_empty(fresh);
        Ok(())
    }

    /// Continues with an empty session: open tracks are closed, and new ids follow the old ones.
    fn start_empty(&mut self, fresh: Tracker) {
        self.orphans.extend(self.open_tracks());
        self.id_offset += self.session.last_id();
        self.supervisor.history = History::default();
        self.supervisor.record_session(self.session.meters());
        self.session = fresh;
    }

    /// A new session with the state of the failed one before the failing call.
    fn restart(&self) -> Result<Tracker, PluginError> {
        let (mut session, history) = (self.supervisor.fresh()?, &self.supervisor.history);
        if let Some(state) = history.state() {
            session.restore(state)?;
        }
        for call in history.calls() {
            if let Call::Update { frame, detections } = call {
                session.update(frame, detections)?;
            }
        }
        Ok(session)
    }

    fn open_tracks(&self) -> Vec<TrackId> {
        self.session.open_tracks().map(|id| TrackId(id.0 + self.id_offset)).collect()
    }

    /// An update with the ids of the job, which also closes the tracks of failed sessions.
    fn with_job_ids(&mut self, update: Update) -> Update {
        let id = |id: TrackId| TrackId(id.0 + self.id_offset);
        let ids = update.ids.into_iter().map(|i| i.map(id)).collect();
        let closed: BTreeSet<_> = update.closed.into_iter().map(id).chain(self.orphans.drain(..)).collect();
        Update { ids, closed: closed.into_iter().collect() }
    }
}

fn update_call(frame: &FrameInfo, detections: &[Detection]) -> Call {
    Call::Update { frame: *frame, detections: detections.to_vec() }
}

impl Drop for TrackerSlot {
    fn drop(&mut self) {
        self.supervisor.end();
        self.report();
    }
}
