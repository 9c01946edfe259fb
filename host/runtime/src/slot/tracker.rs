//! Slot of a tracker. Track ids go on whatever happens to the sessions.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::Instant,
};

use ocellus_core::{Detection, PluginUse, TrackId};
use serde_json::Value;

use super::supervisor::Supervisor;
use crate::{
    Fault, FrameInfo, Kind, OnFault, PluginError, Plugins, StreamInfo, Tracker, TrackerState, Update,
    call::{Answer, Call},
    restart::RestartLog,
};

/// A tracker's place in a job.
pub struct TrackerSlot {
    supervisor: Supervisor,
    session: Tracker,
    warming: Option<Receiver<Result<Tracker, PluginError>>>,
    /// The session before: giving its memory back takes longer than a frame should, and is left to
    /// the next warm-up.
    retired: Option<Tracker>,
    /// What is added to the ids of the present session: one that began without a state counts from
    /// 1.
    base: u64,
    /// Tracks that a lost session left open.
    orphans: Vec<TrackId>,
    /// Empty unless the policy is [`OnFault::Restart`].
    log: RestartLog,
}

impl TrackerSlot {
    pub(crate) fn open(
        plugins: &Plugins,
        name: &str,
        settings: &Value,
        stream: &StreamInfo,
    ) -> Result<Self, PluginError> {
        let mut supervisor = Supervisor::new(plugins, Kind::Tracker, name, settings, stream);
        let session = plugins.tracker(name, settings, stream).map_err(|e| supervisor.cannot_begin(e))?;
        supervisor.serves(session.digest(), 0);
        Ok(Self {
            supervisor,
            session,
            warming: None,
            retired: None,
            base: 0,
            orphans: Vec::new(),
            log: RestartLog::default(),
        })
    }

    pub fn name(&self) -> &str {
        &self.supervisor.name
    }

    /// Shows a candidate what this plugin is shown, where there is one.
    pub fn follow_candidate(&mut self) {
        self.supervisor.shadowed = true;
        self.supervisor.follow_candidate();
    }

    /// Takes one frame further: [`Tracker::update`], by whichever component serves now.
    ///
    /// # Errors
    /// A fault that the policy does not forgive.
    pub fn update(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Update, PluginError> {
        if self.warming.is_none() && self.supervisor.is_behind() {
            self.supervisor.follow_candidate();
            let retired = self.retired.take();
            let open = move |plugins: &Plugins, name: &str, settings: &Value, stream: &StreamInfo| {
                drop(retired);
                plugins.tracker(name, settings, stream)
            };
            self.warming = self.supervisor.successor(self.session.digest(), open);
        }
        let update = match self.warming.as_ref().map(Receiver::try_recv) {
            Some(Ok(Ok(fresh))) => {
                self.warming = None;
                self.swap(fresh, frame, detections)?
            }
            Some(Ok(Err(error))) => {
                self.warming = None;
                self.supervisor.refused(&error, None, None);
                self.step(frame, detections)?
            }
            Some(Err(TryRecvError::Disconnected)) => {
                self.warming = None;
                self.step(frame, detections)?
            }
            Some(Err(TryRecvError::Empty)) | None => self.step(frame, detections)?,
        };
        let Some(update) = update else {
            return Ok(self.public(Update { ids: vec![None; detections.len()], closed: Vec::new() }));
        };
        let update = self.public(update);
        let call = Arc::new(shown(frame, detections));
        self.supervisor.made(Arc::clone(&call), || Answer::Update(update.clone()), None);
        self.remember(call)?;
        Ok(update)
    }

    /// [`Tracker::finish`].
    pub fn finish(&mut self) -> Result<Vec<TrackId>, PluginError> {
        let open = self.open_tracks();
        let closed = self.session.finish();
        self.supervisor.end();
        match closed {
            Ok(closed) => Ok(self.public(Update { ids: Vec::new(), closed }).closed),
            // Of a session that failed before, that was told.
            Err(error) if error.fault() == Some(&Fault::Ended) => Err(error),
            Err(error) => {
                self.supervisor.strike(&error, Some(Call::Finish));
                // There is nothing left for another session to do.
                if self.supervisor.on_fault == OnFault::Fail { Err(error) } else { Ok(open) }
            }
        }
    }

    /// What the plugin cost this job so far.
    pub fn report(&mut self) -> PluginUse {
        self.supervisor.report(Some(self.session.meters()))
    }

    /// `None` where the session failed in this frame, which is not shown to the next one.
    fn step(&mut self, frame: &FrameInfo, detections: &[Detection]) -> Result<Option<Update>, PluginError> {
        match self.session.update(frame, detections) {
            Ok(update) => Ok(Some(update)),
            Err(error) => self.recover(error, shown(frame, detections)).map(|()| None),
        }
    }

    /// Lets a newer component take over with this frame, or goes on with the present one.
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
                // That ended the session; a job must not end because somebody replaced a plugin.
                self.supervisor.strike(&error, Some(Call::Snapshot));
                let digest = fresh.digest();
                self.begin_anew(fresh);
                self.supervisor.swapped(digest, frame.index, begun.elapsed());
                return self.step(frame, detections);
            }
        };
        let restored = fresh.restore(&state);
        let failed_in = restored.is_ok().then(|| shown(frame, detections));
        match restored.and_then(|()| fresh.update(frame, detections)) {
            Ok(update) => {
                let digest = fresh.digest();
                let old = std::mem::replace(&mut self.session, fresh);
                self.supervisor.settle(old.meters());
                self.retired = Some(old);
                self.begin_from(Some(state));
                self.supervisor.swapped(digest, frame.index, begun.elapsed());
                Ok(Some(update))
            }
            Err(error) => {
                self.supervisor.refused(&error, Some(state), failed_in);
                self.step(frame, detections)
            }
        }
    }

    /// Keeps what a restart needs.
    fn remember(&mut self, call: Arc<Call>) -> Result<(), PluginError> {
        if self.supervisor.on_fault != OnFault::Restart {
            return Ok(());
        }
        self.log.push(call);
        if !self.log.is_due() {
            return Ok(());
        }
        match self.session.snapshot() {
            Ok(state) => {
                self.begin_from(Some(Arc::new(state)));
                Ok(())
            }
            Err(error) => self.recover(error, Call::Snapshot),
        }
    }

    /// What the session was told before is in this state.
    fn begin_from(&mut self, state: Option<Arc<TrackerState>>) {
        if self.supervisor.on_fault == OnFault::Restart {
            self.log.begin(state.clone());
        }
        self.supervisor.history.begin(state);
    }

    /// Puts a fresh session in the place of one that failed.
    fn recover(&mut self, error: PluginError, call: Call) -> Result<(), PluginError> {
        let evicted = self.supervisor.strike(&error, Some(call));
        if self.supervisor.on_fault == OnFault::Fail {
            return Err(error);
        }
        if evicted {
            return Err(self.supervisor.evicted(error));
        }
        let restarted = (self.supervisor.on_fault == OnFault::Restart).then(|| self.restart());
        if let Some(Ok(session)) = restarted {
            self.supervisor.settle(self.session.meters());
            self.session = session;
            return Ok(());
        }
        let fresh = self.fresh()?;
        self.begin_anew(fresh);
        Ok(())
    }

    /// Goes on with a session that knows nothing: what was open is over, and its ids follow those
    /// that were given.
    fn begin_anew(&mut self, fresh: Tracker) {
        self.orphans.extend(self.open_tracks());
        self.base += self.session.last_id();
        self.begin_from(None);
        self.supervisor.settle(self.session.meters());
        self.session = fresh;
    }

    fn fresh(&self) -> Result<Tracker, PluginError> {
        self.supervisor.plugins.tracker(&self.supervisor.name, &self.supervisor.settings, &self.supervisor.stream)
    }

    /// A session that knows what the lost one knew before the frame that it failed in.
    fn restart(&self) -> Result<Tracker, PluginError> {
        let mut session = self.fresh()?;
        if let Some(state) = self.log.state() {
            session.restore(state)?;
        }
        for call in self.log.calls() {
            if let Call::Update { frame, detections } = call {
                session.update(frame, detections)?;
            }
        }
        Ok(session)
    }

    fn open_tracks(&self) -> Vec<TrackId> {
        self.session.open_tracks().map(|id| TrackId(id.0 + self.base)).collect()
    }

    fn public(&mut self, update: Update) -> Update {
        let id = |id: TrackId| TrackId(id.0 + self.base);
        let ids = update.ids.into_iter().map(|i| i.map(id)).collect();
        let closed: BTreeSet<_> = update.closed.into_iter().map(id).chain(self.orphans.drain(..)).collect();
        Update { ids, closed: closed.into_iter().collect() }
    }
}

fn shown(frame: &FrameInfo, detections: &[Detection]) -> Call {
    Call::Update { frame: *frame, detections: detections.to_vec() }
}

impl Drop for TrackerSlot {
    fn drop(&mut self) {
        self.supervisor.end();
        self.report();
    }
}
