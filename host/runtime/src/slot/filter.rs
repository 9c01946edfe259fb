//! Slot of a filter. One that was evicted keeps everything from then on.

use std::{sync::Arc, time::Instant};

use ocellus_core::{Detection, PluginUse};
use serde_json::Value;

use super::supervisor::Supervisor;
use crate::{
    Candidate, Filter, FrameInfo, Kind, Object, OnFault, Pixels, PluginError, Plugins, Stage, StreamInfo, Verdict,
    call::{Answer, Call},
    history::History,
};

/// A filter's place in a job. Dropping it waits for its canary and records what it used.
pub struct FilterSlot {
    supervisor: Supervisor<Filter>,
    /// `None` once it was evicted.
    session: Option<Filter>,
    /// A session of a newer component, to be asked next.
    successor: Option<Filter>,
    /// The present frame: its index and its pixels.
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

    /// The plugin's name, as settings have it.
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

    /// [`Filter::reads_crops`], of the session that is asked next.
    pub fn reads_crops(&self) -> bool {
        self.asked_next().is_some_and(Filter::reads_crops)
    }

    /// [`Filter::wants`], of the session that is asked next; nothing once the plugin is evicted.
    pub fn wants(&self, stage: Stage) -> bool {
        self.asked_next().is_some_and(|s| s.wants(stage))
    }

    /// [`Filter::detections`], by whichever component serves now.
    ///
    /// # Errors
    /// A fault, where the policy is [`OnFault::Fail`], or a session that cannot be opened after
    /// one; here and in the other stages. Under the other policies a call that fails keeps
    /// everything.
    pub fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(detections.len(), Call::Detections { frame: *frame, detections })
    }

    /// [`Filter::shots`], by whichever component serves now.
    pub fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(candidates.len(), Call::Shots { frame: *frame, candidates })
    }

    /// [`Filter::objects`], by whichever component serves now.
    pub fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(objects.len(), Call::Objects { objects })
    }

    /// Shows this plugin's calls to its canary from now on, whenever there is one.
    pub fn follow_canary(&mut self) {
        self.supervisor.follow_canary();
    }

    /// The job is over: waits for the canary, 2 s at most.
    pub fn finish(&mut self) {
        self.supervisor.end();
    }

    /// What the plugin used in this job so far.
    pub fn report(&mut self) -> PluginUse {
        self.supervisor.report(self.session.as_ref().map(Filter::meters))
    }

    fn asked_next(&self) -> Option<&Filter> {
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
