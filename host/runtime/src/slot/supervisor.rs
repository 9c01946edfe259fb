//! Supervisor: what a slot needs whatever kind of plugin fills it.
//!
//! Owns the plugin's usage in its job, the call history of its present session, its canary, and the
//! sessions that wait to take over. Opens sessions, counts faults, says when there were too many.
//! Ends with its slot.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

use ocellus_core::{ComponentUse, PluginUse};
use serde_json::Value;

use crate::{
    Digest, Kind, Meters, OnFault, Pixels, PluginError, Plugins, StreamInfo, TrackerState,
    call::{Answer, Call},
    canary::Canary,
    history::History,
    trace::{self, Trace},
};

/// Opens a session of the plugin that has a name now.
type Open<S> = fn(&Plugins, &str, &Value, &StreamInfo) -> Result<S, PluginError>;

/// A plugin in a job, apart from its present session.
pub(super) struct Supervisor<S> {
    plugins: Plugins,
    kind: Kind,
    open: Open<S>,
    pub(super) name: String,
    settings: Value,
    stream: StreamInfo,
    pub(super) on_fault: OnFault,
    max_faults: u64,
    /// Of the registry, when it was last followed.
    generation: u64,
    /// A session of a newer component, while it is opened.
    opening: Option<Receiver<Result<S, PluginError>>>,
    usage: PluginUse,
    /// What of `usage` the registry has recorded.
    recorded: PluginUse,
    /// Of the present session: all of it where a restart needs it, otherwise what a trace has room
    /// for.
    pub(super) history: History,
    /// Whether a canary is shown this plugin's calls.
    follows_canary: bool,
    /// With the digest that it has.
    canary: Option<(Digest, Canary)>,
}

impl<S: Send + 'static> Supervisor<S> {
    /// Opens the first session of a slot. A fault in that is recorded; wrong settings and unknown
    /// names are no fault of the plugin's.
    pub(super) fn open(
        plugins: &Plugins,
        kind: Kind,
        open: Open<S>,
        name: &str,
        settings: &Value,
        stream: &StreamInfo,
    ) -> Result<(Self, S), PluginError> {
        let mut supervisor = Self {
            plugins: plugins.clone(),
            kind,
            open,
            name: name.to_owned(),
            settings: settings.clone(),
            stream: stream.clone(),
            on_fault: plugins.on_fault(name),
            max_faults: plugins.max_faults(),
            generation: plugins.generation(),
            opening: None,
            usage: PluginUse::default(),
            recorded: PluginUse::default(),
            history: History::default(),
            follows_canary: false,
            canary: None,
        };
        match supervisor.fresh() {
            Ok(session) => Ok((supervisor, session)),
            Err(error) => {
                if error.fault().is_some() {
                    supervisor.record_fault(&error, None);
                    supervisor.report(None);
                }
                Err(error)
            }
        }
    }

    /// A session that knows nothing.
    pub(super) fn fresh(&self) -> Result<S, PluginError> {
        (self.open)(&self.plugins, &self.name, &self.settings, &self.stream)
    }

    /// Follows the registry where it has changed: opens a session of a newer component on a thread
    /// of its own, which drops the `retired` session first.
    pub(super) fn follow_registry(&mut self, present: Digest, retired: &mut Option<S>) {
        if self.opening.is_some() || self.plugins.generation() == self.generation {
            return;
        }
        self.update_canary();
        let retired = retired.take();
        self.generation = self.plugins.generation();
        // A plugin that was taken out of the folder serves the jobs that have it.
        if self.plugins.digest(self.kind, &self.name).is_none_or(|d| d == present) {
            return;
        }
        let (plugins, open, name, settings, stream) =
            (self.plugins.clone(), self.open, self.name.clone(), self.settings.clone(), self.stream.clone());
        let (sender, receiver) = channel();
        let opening = move || {
            drop(retired);
            // The slot may be gone by now.
            let _ = sender.send(open(&plugins, &name, &settings, &stream));
        };
        self.opening = thread::Builder::new().name("plugin-warmup".into()).spawn(opening).ok().map(|_| receiver);
    }

    /// The session of a newer component, once it is open. A failure in opening is reported here.
    pub(super) fn successor(&mut self) -> Option<S> {
        let opened = match self.opening.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            opened => opened.ok(),
        };
        self.opening = None;
        opened?.inspect_err(|error| self.successor_failed(error, None, None)).ok()
    }

    /// A component serves from this frame on.
    pub(super) fn record_component(&mut self, digest: Digest, from_frame: u64) {
        self.usage.components.push(ComponentUse { digest: digest.to_string(), from_frame });
    }

    pub(super) fn record_swap(&mut self, digest: Digest, from_frame: u64, pause: Duration) {
        self.usage.swaps += 1;
        self.usage.longest_swap_ms = self.usage.longest_swap_ms.max(pause.as_secs_f64() * 1e3);
        self.record_component(digest, from_frame);
        let plugin = &self.name;
        tracing::info!(plugin, %digest, from_frame, "the plugin {plugin} was replaced while its job runs");
    }

    /// Shows this plugin's calls to its canary from now on, whenever there is one.
    pub(super) fn follow_canary(&mut self) {
        self.follows_canary = true;
        self.update_canary();
    }

    /// Opens a session of the canary that there is now, unless it is there already.
    fn update_canary(&mut self) {
        let plugin = self.plugins.canary(self.kind, &self.name).filter(|_| self.follows_canary);
        if plugin.as_ref().map(|p| p.digest) == self.canary.as_ref().map(|(digest, _)| *digest) {
            return;
        }
        if let Some((_, before)) = self.canary.take() {
            // Calls that it has not answered yet are not waited for while a job runs.
            self.usage.shadow = Some(before.report());
        }
        self.canary =
            plugin.and_then(|p| Some((p.digest, Canary::begin(p, self.settings.clone(), self.stream.clone())?)));
    }

    /// A call went well: a canary is shown it, and it is kept for a restart and for the trace of a
    /// later fault.
    pub(super) fn answered(
        &mut self,
        call: Arc<Call>,
        answer: impl FnOnce() -> Answer,
        pixels: Option<Arc<dyn Pixels>>,
    ) {
        if let Some((_, canary)) = &mut self.canary {
            canary.show(&call, &answer(), pixels);
        }
        self.history.push(call);
        if !self.saves_states() {
            self.history.shorten(trace::MAX_BYTES);
        }
    }

    /// Whether sessions are restarted from saved states. Filters have none.
    pub(super) fn saves_states(&self) -> bool {
        self.kind == Kind::Tracker && self.on_fault == OnFault::Restart
    }

    /// A newer component failed in taking over from `state` (or in opening, without one), or in its
    /// first `call`.
    pub(super) fn successor_failed(
        &mut self,
        error: &PluginError,
        state: Option<Arc<TrackerState>>,
        call: Option<Call>,
    ) {
        self.usage.last_trace = self.trace(error, History::from_state(state), call);
        tracing::warn!(plugin = self.name, "the newer {} is not taken into a running job: {error}", self.name);
        self.usage.last_fault = Some(format!("a newer component was not taken: {error}"));
    }

    /// Writes the trace of a fault, where there is a folder for that; the file. `call`: the failing
    /// one.
    fn trace(&self, error: &PluginError, mut history: History, call: Option<Call>) -> Option<String> {
        let (Some(folder), PluginError::Fault { digest, .. }) = (self.plugins.traces(), error) else { return None };
        history.shorten(trace::MAX_BYTES);
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

    /// Records a fault in `call`; whether the plugin is evicted by it.
    pub(super) fn record_fault(&mut self, error: &PluginError, call: Option<Call>) -> bool {
        tracing::warn!(plugin = self.name, "{error}");
        self.usage.last_trace = self.trace(error, self.history.clone(), call);
        self.usage.last_fault = Some(error.to_string());
        self.usage.faults += 1;
        self.usage.evicted = self.on_fault != OnFault::Fail && self.usage.faults >= self.max_faults;
        self.usage.evicted
    }

    pub(super) fn evicted(&self, last: PluginError) -> PluginError {
        PluginError::Evicted { plugin: self.name.clone(), faults: self.usage.faults, last: Box::new(last) }
    }

    /// A session is over.
    pub(super) fn record_session(&mut self, meters: Meters) {
        self.usage.add(&used(meters));
    }

    /// The job is over: waits until the canary has answered.
    pub(super) fn end(&mut self) {
        if let Some((_, mut canary)) = self.canary.take() {
            self.usage.shadow = Some(canary.end());
        }
    }

    /// What the plugin used in its job so far, with the `present` session.
    pub(super) fn report(&mut self, present: Option<Meters>) -> PluginUse {
        let mut all = self.usage.clone();
        if let Some((_, canary)) = &self.canary {
            all.shadow = Some(canary.report());
        }
        if let Some(meters) = present {
            all.add(&used(meters));
        }
        self.plugins.record_use(&self.name, &all, &self.recorded);
        self.recorded = all.clone();
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
