//! Supervisor: what a slot needs whatever kind of plugin fills it.
//!
//! Owns the plugin's usage in its job, the trace of its present session, and its candidate. Opens
//! sessions of newer components, counts faults, says when there were too many.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use ocellus_core::{ComponentUse, PluginUse};
use serde_json::Value;

use crate::{
    Digest, Kind, Meters, OnFault, Pixels, PluginError, Plugins, StreamInfo, TrackerState,
    call::{Answer, Call},
    shadow::Shadow,
    trace::{History, Trace},
};

/// A plugin in a job, apart from its session.
pub(super) struct Supervisor {
    pub(super) plugins: Plugins,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) settings: Value,
    pub(super) stream: StreamInfo,
    pub(super) on_fault: OnFault,
    strikes: u64,
    /// Of the registry, when it was last looked at.
    generation: u64,
    record: PluginUse,
    /// What of `record` the registry was told.
    reported: PluginUse,
    /// What the present session was told, as far as a trace of its fault needs it.
    pub(super) history: History,
    /// Whether to show a candidate what this plugin is shown.
    pub(super) shadowed: bool,
    /// With the digest that it has.
    shadow: Option<(Digest, Shadow)>,
}

impl Supervisor {
    pub(super) fn new(plugins: &Plugins, kind: Kind, name: &str, settings: &Value, stream: &StreamInfo) -> Self {
        Self {
            plugins: plugins.clone(),
            kind,
            name: name.to_owned(),
            settings: settings.clone(),
            stream: stream.clone(),
            on_fault: plugins.on_fault(name),
            strikes: plugins.strikes(),
            generation: plugins.generation(),
            record: PluginUse::default(),
            reported: PluginUse::default(),
            history: History::default(),
            shadowed: false,
            shadow: None,
        }
    }

    /// The registry has changed since it was last looked at.
    pub(super) fn is_behind(&self) -> bool {
        self.plugins.generation() != self.generation
    }

    /// Opens a session of a newer component on a thread of its own, where there is one.
    pub(super) fn successor<S: Send + 'static>(
        &mut self,
        present: Digest,
        open: impl FnOnce(&Plugins, &str, &Value, &StreamInfo) -> Result<S, PluginError> + Send + 'static,
    ) -> Option<Receiver<Result<S, PluginError>>> {
        self.generation = self.plugins.generation();
        // A plugin that was taken out of the folder serves the jobs that have it.
        if self.plugins.digest(self.kind, &self.name).is_none_or(|d| d == present) {
            return None;
        }
        let (plugins, name, settings, stream) =
            (self.plugins.clone(), self.name.clone(), self.settings.clone(), self.stream.clone());
        let (sender, receiver) = channel();
        let opening = move || {
            // The slot may be gone by now.
            let _ = sender.send(open(&plugins, &name, &settings, &stream));
        };
        thread::Builder::new().name("plugin-warmup".into()).spawn(opening).ok().map(|_| receiver)
    }

    pub(super) fn serves(&mut self, digest: Digest, from_frame: u64) {
        self.record.components.push(ComponentUse { digest: digest.to_string(), from_frame });
    }

    pub(super) fn swapped(&mut self, digest: Digest, from_frame: u64, pause: Duration) {
        self.record.swaps += 1;
        self.record.longest_swap_ms = self.record.longest_swap_ms.max(pause.as_secs_f64() * 1e3);
        self.serves(digest, from_frame);
        tracing::info!(plugin = self.name, %digest, from_frame, "the plugin {} was replaced while its job runs", self.name);
    }

    /// Opens a session of the candidate that there is now, unless it is there already.
    pub(super) fn follow_candidate(&mut self) {
        let candidate = self.plugins.candidate(self.kind, &self.name).filter(|_| self.shadowed);
        if candidate.as_ref().map(|c| c.digest) == self.shadow.as_ref().map(|(digest, _)| *digest) {
            return;
        }
        if let Some((_, before)) = self.shadow.take() {
            // What it was shown and did not answer yet is not waited for while a job runs.
            self.record.shadow = Some(before.report());
        }
        self.shadow =
            candidate.and_then(|c| Some((c.digest, Shadow::begin(c, self.settings.clone(), self.stream.clone())?)));
    }

    /// A call went well: a candidate is shown it, and it is kept for the trace of a later fault.
    pub(super) fn made(&mut self, call: Arc<Call>, answer: impl FnOnce() -> Answer, pixels: Option<Arc<dyn Pixels>>) {
        if let Some((_, shadow)) = &mut self.shadow {
            shadow.show(&call, &answer(), pixels);
        }
        self.history.push(call);
    }

    /// A newer component failed in taking over from `state` (or in opening, without one), or in its
    /// first `call`.
    pub(super) fn refused(&mut self, error: &PluginError, state: Option<Arc<TrackerState>>, call: Option<Call>) {
        let mut history = History::default();
        history.begin(state);
        self.record.last_trace = self.trace(error, &history, call);
        tracing::warn!(plugin = self.name, "the newer {} is not taken into a running job: {error}", self.name);
        self.record.last_fault = Some(format!("a newer component was not taken: {error}"));
    }

    /// Writes down how it came to a fault, where there is a folder for that; the file. `call`: the
    /// failing one.
    pub(super) fn trace(&self, error: &PluginError, history: &History, call: Option<Call>) -> Option<String> {
        let (Some(folder), PluginError::Fault { digest, .. }) = (self.plugins.traces(), error) else { return None };
        let trace = Trace {
            plugin: self.name.clone(),
            kind: self.kind,
            digest: digest.to_string(),
            fault: error.to_string(),
            settings: self.settings.clone(),
            stream: self.stream.clone(),
            state: history.state().cloned(),
            calls: history.calls().cloned().chain(call).collect(),
            complete: history.is_complete(),
        };
        match trace.keep(folder) {
            Ok(name) => {
                tracing::info!(
                    plugin = self.name,
                    trace = name,
                    "the trace of the fault is {}",
                    folder.join(&name).display()
                );
                Some(name)
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the trace of a fault is lost: {error}");
                None
            }
        }
    }

    /// Records a fault in opening; one that is no fault of the plugin's is only handed on.
    pub(super) fn cannot_begin(&mut self, error: PluginError) -> PluginError {
        if error.fault().is_some() {
            self.strike(&error, None);
            self.report(None);
        }
        error
    }

    /// Records a fault in `call`; whether there have been too many.
    pub(super) fn strike(&mut self, error: &PluginError, call: Option<Call>) -> bool {
        tracing::warn!(plugin = self.name, "{error}");
        self.record.last_trace = self.trace(error, &self.history, call);
        self.record.last_fault = Some(error.to_string());
        self.record.faults += 1;
        self.record.evicted = self.on_fault != OnFault::Fail && self.record.faults >= self.strikes;
        self.record.evicted
    }

    pub(super) fn evicted(&self, error: PluginError) -> PluginError {
        PluginError::Evicted { plugin: self.name.clone(), faults: self.record.faults, last: Box::new(error) }
    }

    /// A session is over.
    pub(super) fn settle(&mut self, meters: Meters) {
        self.record.add(&used(meters));
    }

    /// The job is over: what was shown to a candidate is waited for.
    pub(super) fn end(&mut self) {
        if let Some((_, mut shadow)) = self.shadow.take() {
            self.record.shadow = Some(shadow.end());
        }
    }

    pub(super) fn report(&mut self, present: Option<Meters>) -> PluginUse {
        let mut all = self.record.clone();
        if let Some((_, shadow)) = &self.shadow {
            all.shadow = Some(shadow.report());
        }
        if let Some(meters) = present {
            all.add(&used(meters));
        }
        self.plugins.book(&self.name, &all, &self.reported);
        self.reported = all.clone();
        all
    }
}

/// Faults are counted by the slot: some of them are no session's.
fn used(meters: Meters) -> PluginUse {
    PluginUse {
        calls: meters.calls,
        time_ms: meters.time.as_secs_f64() * 1e3,
        longest_call_ms: meters.longest.as_secs_f64() * 1e3,
        memory_bytes: meters.memory_bytes as u64,
        rejected: meters.rejected,
        log_lines_dropped: meters.log_lines_dropped,
        ..PluginUse::default()
    }
}
