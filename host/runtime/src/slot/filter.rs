//! Slot of a filter. One that was evicted keeps everything from then on.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError},
    },
    time::Instant,
};

use ocellus_core::{Detection, PluginUse};
use serde_json::Value;

use super::supervisor::Supervisor;
use crate::{
    Candidate, Filter, FrameInfo, Kind, Object, OnFault, Pixels, PluginError, Plugins, Stage, StreamInfo, Verdict,
    call::{Answer, Call},
};

/// A filter's place in a job.
pub struct FilterSlot {
    supervisor: Supervisor,
    /// `None` once it was evicted.
    session: Option<Filter>,
    warming: Option<Receiver<Result<Filter, PluginError>>>,
    /// Opened, and to be asked next.
    warm: Option<Filter>,
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
        let mut supervisor = Supervisor::new(plugins, Kind::Filter, name, settings, stream);
        let session = plugins.filter(name, settings, stream).map_err(|e| supervisor.cannot_begin(e))?;
        supervisor.serves(session.digest(), 0);
        Ok(Self { supervisor, session: Some(session), warming: None, warm: None, frame: 0, pixels: None })
    }

    pub fn name(&self) -> &str {
        &self.supervisor.name
    }

    /// Lets a newer component take over from this frame on; to be called between frames. `pixels`:
    /// of this frame, where they are at hand.
    pub fn begin_frame(&mut self, frame: &FrameInfo, pixels: Option<Arc<dyn Pixels>>) {
        (self.frame, self.pixels) = (frame.index, pixels);
        let Some(session) = &self.session else { return };
        if self.warming.is_none() && self.supervisor.is_behind() {
            self.supervisor.follow_candidate();
            self.warming = self.supervisor.successor(session.digest(), Plugins::filter);
        }
        match self.warming.as_ref().map(Receiver::try_recv) {
            Some(Ok(Ok(fresh))) => (self.warming, self.warm) = (None, Some(fresh)),
            Some(Ok(Err(error))) => {
                self.warming = None;
                self.supervisor.refused(&error, None, None);
            }
            Some(Err(TryRecvError::Disconnected)) => self.warming = None,
            Some(Err(TryRecvError::Empty)) | None => {}
        }
    }

    /// [`Filter::reads_crops`].
    pub fn reads_crops(&self) -> bool {
        self.warm.as_ref().or(self.session.as_ref()).is_some_and(Filter::reads_crops)
    }

    /// [`Filter::wants`].
    pub fn wants(&self, stage: Stage) -> bool {
        self.warm.as_ref().or(self.session.as_ref()).is_some_and(|s| s.wants(stage))
    }

    /// [`Filter::detections`].
    pub fn detections(&mut self, frame: &FrameInfo, detections: Vec<Detection>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(detections.len(), Call::Detections { frame: *frame, detections })
    }

    /// [`Filter::shots`].
    pub fn shots(&mut self, frame: &FrameInfo, candidates: Vec<Candidate>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(candidates.len(), Call::Shots { frame: *frame, candidates })
    }

    /// [`Filter::objects`].
    pub fn objects(&mut self, objects: Vec<Object>) -> Result<Vec<Verdict>, PluginError> {
        self.ask(objects.len(), Call::Objects { objects })
    }

    /// Shows a candidate what this plugin is shown, where there is one.
    pub fn follow_candidate(&mut self) {
        self.supervisor.shadowed = true;
        self.supervisor.follow_candidate();
    }

    /// The job is over.
    pub fn finish(&mut self) {
        self.supervisor.end();
    }

    /// What the plugin cost this job so far.
    pub fn report(&mut self) -> PluginUse {
        self.supervisor.report(self.session.as_ref().map(Filter::meters))
    }

    fn ask(&mut self, items: usize, call: Call) -> Result<Vec<Verdict>, PluginError> {
        let pixels = &self.pixels;
        let ask = |filter: &mut Filter| {
            filter.see(pixels.clone());
            call.ask(filter)
        };
        if let Some(mut fresh) = self.warm.take() {
            let begun = Instant::now();
            match ask(&mut fresh) {
                Ok(verdicts) => {
                    let digest = fresh.digest();
                    if let Some(old) = self.session.replace(fresh) {
                        self.supervisor.settle(old.meters());
                    }
                    self.supervisor.history.begin(None);
                    self.supervisor.swapped(digest, self.frame, begun.elapsed());
                    self.supervisor.made(Arc::new(call), || Answer::Verdicts(verdicts.clone()), self.pixels.clone());
                    return Ok(verdicts);
                }
                Err(error) => self.supervisor.refused(&error, None, Some(call.clone())),
            }
        }
        let keep = || vec![Verdict::Keep; items];
        let Some(session) = &mut self.session else { return Ok(keep()) };
        let error = match ask(session) {
            Ok(verdicts) => {
                self.supervisor.made(Arc::new(call), || Answer::Verdicts(verdicts.clone()), self.pixels.clone());
                return Ok(verdicts);
            }
            Err(error) => error,
        };
        let evicted = self.supervisor.strike(&error, Some(call));
        if self.supervisor.on_fault == OnFault::Fail {
            return Err(error);
        }
        self.supervisor.settle(session.meters());
        self.supervisor.history.begin(None);
        self.session = None;
        if !evicted {
            self.session = Some(self.supervisor.plugins.filter(
                &self.supervisor.name,
                &self.supervisor.settings,
                &self.supervisor.stream,
            )?);
        }
        Ok(keep())
    }
}

impl Drop for FilterSlot {
    fn drop(&mut self) {
        self.supervisor.end();
        self.report();
    }
}
