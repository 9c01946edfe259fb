//! Slot of a filter. After eviction it keeps everything.

use std::{sync::Arc, time::Instant};

use ocellus_core::{Detection, PluginUse};
use serde_json::Value;

use super::supervisor::Supervisor;
use crate::{
    Candidate, Filter, FrameInfo, Kind, Object, OnFault, Pixels, PluginError, Plugins, Stage, StreamInfo, Verdict,
    call::{Answer, Call},
    history::History,
};

/// A filter in a job. Dropping it waits for its canary and records its usage.
pub struct FilterSlot {
    supervisor: Supervisor<Filter>,
    /// `None` after eviction.
    session: Option<Filter>,
    /// A session of a newer component, which gets the next call.
    successor: Option<Filter>,
    /// Index of the present frame; its pixels follow.
    frame: u64,
    pixels: Option<Arc<dyn Pixels>>,
}

impl FilterSlot {
    pub(crate) fn open(
        plugins: &Plugins,
        name: &str,
        settings: &Value,
        stream: &StreamInfo,
    ) -> Result<Self, PluginError> {
        let (mut supervisor, session) =
            Supervisor::open(plugins, Kind::Filter, Plugins::filter, name, settings, stream)?;
        supervisor.record_component(session.digest(), 0);
        Ok(Self { supervisor, session: Some(session), successor: None, frame: 0, pixels: None })
    }

    /// The plugin's name in settings.
    pub fn name(&self) -> &str {
        &self.supervisor.name
    }

    /// Lets a newer component take over from this frame on; to be called between frames. `pixels`:
    /// of this frame, where there are any.
    pub fn begin_frame(&mut self, frame: &FrameInfo, pixels: Option<Arc<dyn Pixels>>) {
        (self.frame, self.pixels) = (frame.index, pixels);
        let Some(session) = &self.session else { return };
        self.supervisor.follow_registry(session.digest(), &mut None);
        if let Some(fresh) = self.supervisor.successor() {
            self.successor = Some(fresh);
        }
    }

    /// [`Filter::reads_crops`] of the session that gets the next call.
    pub fn reads_crops(&self) -> bool {
        self.next_session().is_some_and(Filter::reads_crops)
    }

    /// [`Filter::wants`] of the session that gets the next call; `false` after eviction.
    pub fn wants(&self, stage: Stage) -> bool {
        self.next_session().is_some_and(|s| s.wants(stage))
    }

    /// [`Filter::detections`] of the present component.
    ///
    /// # Errors
    /// A fault, where the policy is [`OnFault::Fail`], or a session that cannot be opened after
    /// one; here and in the other stages. Under the other policies a call that fails keeps
    /// everything.
    pub fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(detections.len(), Call::Detections { frame: *frame, detections })
    }

    /// [`Filter::shots`] of the present component.
    pub fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(candidates.len(), Call::Shots { frame: *frame, candidates })
    }

    /// [`Filter::objects`] of the present component.
    pub fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(objects.len(), Call::Objects { objects })
    }

    /// Sends this plugin's calls to its canary from now on, while there is one.
    pub fn follow_canary(&mut self) {
        self.supervisor.follow_canary();
    }

    /// Ends the slot with its job: waits for the canary, 2 s at most.
    pub fn finish(&mut self) {
        self.supervisor.end();
    }

    /// Usage of the plugin in this job so far.
    pub fn report(&mut self) -> PluginUse {
        self.supervisor.report(self.session.as_ref().map(Filter::meters))
    }

    fn next_session(&self) -> Option<&Filter> {
        self.successor.as_ref().or(self.session.as_ref())
    }

    fn ask(&mut self, items: usize, call: Call) -> Result<Vec<Verdict>, PluginError> {
        let pixels = &self.pixels;
        let ask = |filter: &mut Filter| {
            filter.set_pixels(pixels.clone());
            call.ask(filter)
        };
        if let Some(mut fresh) = self.successor.take() {
            let begun = Instant::now();
            match ask(&mut fresh) {
                Ok(verdicts) => {
                    let digest = fresh.digest();
                    if let Some(old) = self.session.replace(fresh) {
                        self.supervisor.record_session(old.meters());
                    }
                    self.supervisor.history = History::default();
                    self.supervisor.record_swap(digest, self.frame, begun.elapsed());
                    return Ok(self.answered(call, verdicts));
                }
                Err(error) => self.supervisor.successor_failed(&error, None, Some(call.clone())),
            }
        }
        let keep = || vec![Verdict::Keep; items];
        let Some(session) = &mut self.session else { return Ok(keep()) };
        let error = match ask(session) {
            Ok(verdicts) => return Ok(self.answered(call, verdicts)),
            Err(error) => error,
        };
        let evicted = self.supervisor.record_fault(&error, Some(call));
        if self.supervisor.on_fault == OnFault::Fail {
            return Err(error);
        }
        self.supervisor.record_session(session.meters());
        self.supervisor.history = History::default();
        self.session = None;
        if !evicted {
            self.session = Some(self.supervisor.fresh()?);
        }
        Ok(keep())
    }

    fn answered(&mut self, call: Call, verdicts: Vec<Verdict>) -> Vec<Verdict> {
        self.supervisor.answered(Arc::new(call), || Answer::Verdicts(verdicts.clone()), self.pixels.clone());
        verdicts
    }
}

impl Drop for FilterSlot {
    fn drop(&mut self) {
        self.supervisor.end();
        self.report();
    }
}
