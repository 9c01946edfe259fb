//! A place in a job that a plugin fills, while sessions come and go in it.
//!
//! Guarantees: a newer component takes over between two frames, with the state of the one before,
//! or does not at all: it is opened beside the job, given the state, and shown the next frame; if
//! any of that fails the one before goes on, and has missed nothing. Track ids go on whatever
//! happens. A fault ends a session and is answered by the operator's [`FaultPolicy`]. A slot ends
//! with its job.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use ocellus_core::{ComponentUse, Detection, PluginUse, TrackId};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Candidate, Digest, Fault, Filter, FrameInfo, Kind, Meters, Object, Pixels, PluginError, Plugins, Stage, StreamInfo, Tracker,
    TrackerState, Update, Verdict,
    bindings::types,
    call::{Answer, Call},
    restart::RestartLog,
    shadow::Shadow,
    trace::{History, Trace},
};

/// What follows from a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFault {
    /// The job ends, and says why.
    #[default]
    Fail,
    /// The call counts as one that keeps all and tracks nothing; a fresh session goes on, without
    /// what the old one knew.
    Skip,
    /// The same, but a tracker's fresh session is given the last saved state and what it was shown
    /// since.
    Restart,
}

/// What the operator says of plugins that fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPolicy {
    pub on_fault: OnFault,
    /// By the plugin's name, where it differs.
    pub by_name: BTreeMap<String, OnFault>,
    /// With so many faults in one job a plugin is evicted: a filter keeps everything from then on,
    /// without a tracker the job ends.
    pub strikes: u64,
}

impl Default for FaultPolicy {
    fn default() -> Self {
        Self { on_fault: OnFault::default(), by_name: BTreeMap::new(), strikes: 3 }
    }
}

impl From<types::OnFault> for OnFault {
    fn from(on_fault: types::OnFault) -> Self {
        match on_fault {
            types::OnFault::Fail => Self::Fail,
            types::OnFault::Skip => Self::Skip,
            types::OnFault::Restart => Self::Restart,
        }
    }
}

impl FromStr for OnFault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fail" => Ok(Self::Fail),
            "skip" => Ok(Self::Skip),
            "restart" => Ok(Self::Restart),
            other => Err(format!("{other:?} is no policy: fail, skip or restart, or NAME=POLICY for one plugin")),
        }
    }
}

/// `skip,deep_sort=restart`
impl FromStr for FaultPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut policy = Self::default();
        for item in text.split(',').map(str::trim) {
            match item.split_once('=') {
                Some((name, on_fault)) => {
                    policy.by_name.insert(name.trim().to_owned(), on_fault.trim().parse()?);
                }
                None => policy.on_fault = item.parse()?,
            }
        }
        Ok(policy)
    }
}

impl FaultPolicy {
    /// `own`: what the plugin's author wants.
    pub(crate) fn of(&self, name: &str, own: Option<OnFault>) -> OnFault {
        self.by_name.get(name).copied().or(own).unwrap_or(self.on_fault)
    }
}

/// What both kinds of slot need to know.
struct Supervisor {
    plugins: Plugins,
    kind: Kind,
    name: String,
    settings: Value,
    stream: StreamInfo,
    on_fault: OnFault,
    strikes: u64,
    /// Of the registry, when it was last looked at.
    generation: u64,
    record: PluginUse,
    /// What of `record` the registry was told.
    told: PluginUse,
    /// What the present session was told, as far as a trace of its fault needs it.
    history: History,
    /// Whether to show a candidate what this plugin is shown.
    shadowed: bool,
    /// With the digest that it has.
    shadow: Option<(Digest, Shadow)>,
}

impl Supervisor {
    fn new(plugins: &Plugins, kind: Kind, name: &str, settings: &Value, stream: &StreamInfo) -> Self {
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
            told: PluginUse::default(),
            history: History::default(),
            shadowed: false,
            shadow: None,
        }
    }

    /// The registry has changed since it was last looked at.
    fn is_behind(&self) -> bool {
        self.plugins.generation() != self.generation
    }

    /// Opens a session of a newer component on a thread of its own, where there is one.
    fn successor<S: Send + 'static>(
        &mut self,
        present: Digest,
        open: impl FnOnce(&Plugins, &str, &Value, &StreamInfo) -> Result<S, PluginError> + Send + 'static,
    ) -> Option<Receiver<Result<S, PluginError>>> {
        self.generation = self.plugins.generation();
        // A plugin that was taken out of the folder serves the jobs that have it.
        if self.plugins.digest(self.kind, &self.name).is_none_or(|d| d == present) {
            return None;
        }
        let (plugins, name, settings, stream) = (self.plugins.clone(), self.name.clone(), self.settings.clone(), self.stream.clone());
        let (sender, receiver) = channel();
        let opening = move || {
            // The slot may be gone by now.
            let _ = sender.send(open(&plugins, &name, &settings, &stream));
        };
        thread::Builder::new().name("plugin-warmup".into()).spawn(opening).ok().map(|_| receiver)
    }

    fn serves(&mut self, digest: Digest, from_frame: u64) {
        self.record.components.push(ComponentUse { digest: digest.to_string(), from_frame });
    }

    fn swapped(&mut self, digest: Digest, from_frame: u64, pause: Duration) {
        self.record.swaps += 1;
        self.record.longest_swap_ms = self.record.longest_swap_ms.max(pause.as_secs_f64() * 1e3);
        self.serves(digest, from_frame);
        tracing::info!(plugin = self.name, %digest, from_frame, "the plugin {} was replaced while its job runs", self.name);
    }

    /// Opens a session of the candidate that there is now, unless it is there already.
    fn follow_candidate(&mut self) {
        let candidate = self.plugins.candidate(self.kind, &self.name).filter(|_| self.shadowed);
        if candidate.as_ref().map(|c| c.digest) == self.shadow.as_ref().map(|(digest, _)| *digest) {
            return;
        }
        if let Some((_, before)) = self.shadow.take() {
            // What it was shown and did not answer yet is not waited for while a job runs.
            self.record.shadow = Some(before.report());
        }
        self.shadow = candidate.and_then(|c| Some((c.digest, Shadow::begin(c, self.settings.clone(), self.stream.clone())?)));
    }

    /// A call went well: a candidate is shown it, and it is kept for the trace of a later fault.
    fn made(&mut self, call: Arc<Call>, answer: impl FnOnce() -> Answer, pixels: Option<Arc<dyn Pixels>>) {
        if let Some((_, shadow)) = &mut self.shadow {
            shadow.show(&call, &answer(), pixels);
        }
        self.history.push(call);
    }

    /// A newer component failed in taking over from `state` (or in opening, without one), or in its
    /// first `call`.
    fn refused(&mut self, error: &PluginError, state: Option<Arc<TrackerState>>, call: Option<Call>) {
        let mut history = History::default();
        history.begin(state);
        self.record.last_trace = self.trace(error, &history, call);
        tracing::warn!(plugin = self.name, "the newer {} is not taken into a running job: {error}", self.name);
        self.record.last_fault = Some(format!("a newer component was not taken: {error}"));
    }

    /// Writes down how it came to a fault, where there is a folder for that; the file. `call`: the
    /// failing one.
    fn trace(&self, error: &PluginError, history: &History, call: Option<Call>) -> Option<String> {
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
                tracing::info!(plugin = self.name, trace = name, "the trace of the fault is {}", folder.join(&name).display());
                Some(name)
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "the trace of a fault is lost: {error}");
                None
            }
        }
    }

    /// Records a fault in opening; one that is no fault of the plugin's is only handed on.
    fn cannot_begin(&mut self, error: PluginError) -> PluginError {
        if error.fault().is_some() {
            self.strike(&error, None);
            self.report(None);
        }
        error
    }

    /// Records a fault in `call`; whether there have been too many.
    fn strike(&mut self, error: &PluginError, call: Option<Call>) -> bool {
        tracing::warn!(plugin = self.name, "{error}");
        self.record.last_trace = self.trace(error, &self.history, call);
        self.record.last_fault = Some(error.to_string());
        self.record.faults += 1;
        self.record.evicted = self.on_fault != OnFault::Fail && self.record.faults >= self.strikes;
        self.record.evicted
    }

    fn evicted(&self, error: PluginError) -> PluginError {
        PluginError::Evicted { plugin: self.name.clone(), faults: self.record.faults, last: Box::new(error) }
    }

    /// A session is over.
    fn settle(&mut self, meters: Meters) {
        self.record.add(&used(meters));
    }

    /// The job is over: what was shown to a candidate is waited for.
    fn end(&mut self) {
        if let Some((_, mut shadow)) = self.shadow.take() {
            self.record.shadow = Some(shadow.end());
        }
    }

    fn report(&mut self, present: Option<Meters>) -> PluginUse {
        let mut all = self.record.clone();
        if let Some((_, shadow)) = &self.shadow {
            all.shadow = Some(shadow.report());
        }
        if let Some(meters) = present {
            all.add(&used(meters));
        }
        self.plugins.book(&self.name, &all, &self.told);
        self.told = all.clone();
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
    pub(crate) fn open(plugins: &Plugins, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Self, PluginError> {
        let mut supervisor = Supervisor::new(plugins, Kind::Tracker, name, settings, stream);
        let session = plugins.tracker(name, settings, stream).map_err(|e| supervisor.cannot_begin(e))?;
        supervisor.serves(session.digest(), 0);
        Ok(Self { supervisor, session, warming: None, retired: None, base: 0, orphans: Vec::new(), log: RestartLog::default() })
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
    fn swap(&mut self, mut fresh: Tracker, frame: &FrameInfo, detections: &[Detection]) -> Result<Option<Update>, PluginError> {
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
    pub(crate) fn open(plugins: &Plugins, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Self, PluginError> {
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
            filter.ask(&call)
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
            self.session =
                Some(self.supervisor.plugins.filter(&self.supervisor.name, &self.supervisor.settings, &self.supervisor.stream)?);
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
