//! Supervisor: the common part of the slots of trackers and filters.
//!
//! Owns the plugin's usage in its job, the call history of its present session, its canary, and
//! sessions of newer components. Opens sessions, counts faults, decides on eviction. Ends with its
//! slot.

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

/// Opens a session of the present plugin of a name.
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
    /// Generation of the registry that was last followed.
    generation: u64,
    /// A session of a newer component that is being opened.
    opening: Option<Receiver<Result<S, PluginError>>>,
    usage: PluginUse,
    /// The part of `usage` that the registry has recorded.
    recorded: PluginUse,
    /// History of the present session: complete where a restart needs it, otherwise limited to the
    /// size of a trace.
    pub(super) history: History,
    /// Whether a canary gets this plugin's calls.
    follows_canary: bool,
    /// The canary, with its digest.
    canary: Option<(Digest, Canary)>,
}

impl<S: Send + 'static> Supervisor<S> {
    /// Opens the first session of a slot. A fault in opening is recorded; invalid settings and
    /// unknown names are no faults.
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

    /// Opens an empty session.
    pub(super) fn fresh(&self) -> Result<S, PluginError> {
        (self.open)(&self.plugins, &self.name, &self.settings, &self.stream)
    }

    /// Follows changes of the registry: opens a session of a newer component on another thread,
    /// which drops the `retired` session first.
    pub(super) fn follow_registry(&mut self, present: Digest, retired: &mut Option<S>) {
        if self.opening.is_some() || self.plugins.generation() == self.generation {
            return;
        }
        self.update_canary();
        let retired = retired.take();
        self.generation = self.plugins.generation();
        // A plugin that was removed from the folder stays in its running jobs.
        if self.plugins.digest(self.kind, &self.name).is_none_or(|d| d == present) {
            return;
        }
        let (plugins, open, name, settings, stream) =
            (self.plugins.clone(), self.open, self.name.clone(), self.settings.clone(), self.stream.clone());
        let (sender, receiver) = channel();
        let opening = move || {
            drop(retired);
            // Fails where the slot is gone.
            let _ = sender.send(open(&plugins, &name, &settings, &stream));
        };
        self.opening = thread::Builder::new().name("plugin-warmup".into()).spawn(opening).ok().map(|_| receiver);
    }

    /// The session of a newer component, once it is open. A failure of opening is reported here.
    pub(super) fn successor(&mut self) -> Option<S> {
        let opened = match self.opening.as_ref()?.try_recv() {
            Err(TryRecvError::Empty) => return None,
            opened => opened.ok(),
        };
        self.opening = None;
        opened?.inspect_err(|error| self.successor_failed(error, None, None)).ok()
    }

    /// Records that a component is used from this frame on.
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

    /// Opens a session of the present canary, unless it is open already.
    fn update_canary(&mut self) {
        let plugin = self.plugins.canary(self.kind, &self.name).filter(|_| self.follows_canary);
        if plugin.as_ref().map(|p| p.digest) == self.canary.as_ref().map(|(digest, _)| *digest) {
            return;
        }
        if let Some((_, before)) = self.canary.take() {
            // Its queued calls are not waited for while a job runs.
            self.usage.shadow = Some(before.report());
        }
        self.canary =
            plugin.and_then(|p| Some((p.digest, Canary::begin(p, self.settings.clone(), self.stream.clone())?)));
    }

    /// Records a successful call: sends it to the canary, and keeps it for a restart and for the
    /// trace of a later fault.
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

    /// Records that a newer component failed in restoring `state` (or in opening, without one), or
    /// in its first `call`.
    pub(super) fn successor_failed(
        &mut self,
        error: &PluginError,
        state: Option<Arc<TrackerState>>,
        call: Option<Call>,
    ) {
        self.usage.last_trace = self.trace(error, History::from_state(state), call);
        tracing::warn!(plugin = self.name, "the newer {} is not used in a running job: {error}", self.name);
        self.usage.last_fault = Some(format!("a newer component was not used: {error}"));
    }

    /// Writes the trace of a fault, where there is a folder for traces, and returns the file's
    /// name.
    /// `call`: the failing one.
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

    /// Records a fault in `call`, and returns whether the plugin is evicted.
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

    /// Records the usage of a session that is over.
    pub(super) fn record_session(&mut self, meters: Meters) {
        self.usage.add(&used(meters));
    }

    /// Ends with the job: waits for the canary.
    pub(super) fn end(&mut self) {
        if let Some((_, mut canary)) = self.canary.take() {
            self.usage.shadow = Some(canary.end());
        }
    }

    /// Usage of the plugin in its job so far, with the `present` session.
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

/// Usage by the meters of a session. Faults are counted by the slot: some occur outside sessions.
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
