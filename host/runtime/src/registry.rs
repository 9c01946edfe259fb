//! The folder of plugins, and what has been made of it.
//!
//! Guarantees: changes of the table happen one at a time;
//! a lookup sees the table before a change or after it, never between; a file whose new content is refused leaves the old
//! component in use. The watcher and its thread end with the last clone of [`Plugins`].

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use notify::Watcher as _;
use ocellus_core::PluginUse;
use parking_lot::{Condvar, Mutex};
use serde::{Serialize, Serializer};
use serde_json::Value;
use wasmtime::Engine;

use crate::{
    Digest, FaultPolicy, Filter, FilterSeat, InstallError, Kind, Limits, OnFault, OpenError, PluginError, Refusal, Router, StreamInfo,
    Tracker, TrackerSeat, call::Session, engine, plugin::Plugin,
};

/// A folder is looked at again when nothing has changed in it for this long: files are written in many small steps.
const QUIET: Duration = Duration::from_millis(200);

/// What is to be said of a file in the folder.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    /// The file's name within the folder.
    pub file: String,
    pub role: Role,
    pub state: State,
    /// Name and what follows: absent for a file that was never taken into use.
    pub name: Option<String>,
    pub version: Option<String>,
    pub description: Option<String>,
    pub kind: Option<Kind>,
    /// Of the component in use.
    pub digest: Option<Digest>,
    /// JSON Schema of the settings.
    pub schema: Option<Value>,
    /// Why the file's present content is not in use although an earlier one is.
    pub replacement_refused: Option<String>,
    /// What it was granted beyond its arguments.
    pub capabilities: Option<Vec<String>>,
    /// What it is held to: the lower of the operator's limits and its own.
    pub limits: Option<Limits>,
    /// What follows from its faults; a router's fail the attempt.
    pub on_fault: Option<OnFault>,
    /// What it cost since the server's start, and what a candidate beside it did.
    pub used: Option<PluginUse>,
}

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Jobs use it.
    Serves,
    /// `NAME.shadow.wasm`: it is shown what the plugin of its name is shown in jobs, without effect.
    Candidate,
}

impl Role {
    fn of(file: &str) -> Self {
        if file.ends_with(Self::Candidate.ending()) { Self::Candidate } else { Self::Serves }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Serves => ".wasm",
            Self::Candidate => ".shadow.wasm",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Ready,
    Refused(Refusal),
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ready => serializer.serialize_str("ready"),
            Self::Refused(reason) => serializer.collect_str(&format_args!("refused: {reason}")),
        }
    }
}

/// The plugins of a folder. Clones are the same registry.
#[derive(Clone)]
pub struct Plugins(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    limits: Limits,
    engine: Engine,
    table: Mutex<Arc<Table>>,
    changed: Condvar,
    /// As `table` has it, for those who ask every frame.
    generation: AtomicU64,
    /// One change of the table at a time.
    changing: Mutex<()>,
    /// Since the start, by name.
    uses: Mutex<HashMap<String, PluginUse>>,
    /// Held for its `Drop`, which ends the loader's thread.
    watcher: Mutex<Option<notify::RecommendedWatcher>>,
}

#[derive(Default)]
struct Table {
    generation: u64,
    /// By the file's name.
    files: BTreeMap<String, Entry>,
    by_name: HashMap<String, Arc<Plugin>>,
    /// The candidates, by the names of the plugins that they may follow.
    candidates: HashMap<String, Arc<Plugin>>,
}

/// What became of one file.
#[derive(Clone)]
struct Entry {
    /// Of the content that was looked at last, in use or not; none where it could not be read.
    seen: Option<Digest>,
    plugin: Option<Arc<Plugin>>,
    refusal: Option<Refusal>,
}

impl Plugins {
    /// Loads every `*.wasm` in `folder`, and again what changes there. A file that is refused does not keep the others from
    /// being loaded: see [`Plugins::list`].
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            limits,
            engine: engine::engine()?,
            table: Mutex::default(),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            changing: Mutex::new(()),
            uses: Mutex::default(),
            watcher: Mutex::new(None),
        });
        // Watched before it is read, so that no change falls between.
        let (events, changes) = mpsc::channel();
        let watch = |source| OpenError::Watch { path: folder.to_owned(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|e| e.kind.is_access()) {
                return;
            }
            // The receiver is gone only while the registry is being dropped.
            let _ = events.send(());
        })
        .map_err(watch)?;
        fs::read_dir(folder).map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        watcher.watch(folder, notify::RecursiveMode::NonRecursive).map_err(watch)?;
        *shared.watcher.lock() = Some(watcher);

        shared.refresh(None);
        let weak = Arc::downgrade(&shared);
        thread::Builder::new().name("plugin-loader".into()).spawn(move || follow(&changes, &weak)).map_err(OpenError::Thread)?;
        Ok(Self(shared))
    }

    /// Raised whenever the plugins change.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Waits until the generation is another than `known`, at most for `patience`; the generation then.
    pub fn wait_for_change(&self, known: u64, patience: Duration) -> u64 {
        let end = Instant::now() + patience;
        let mut table = self.0.table.lock();
        while table.generation == known {
            if self.0.changed.wait_until(&mut table, end).timed_out() {
                break;
            }
        }
        table.generation
    }

    /// The names of the plugins of a kind that are ready, in order.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let table = self.table();
        let mut names: Vec<String> = table.by_name.values().filter(|p| p.kind() == kind).map(|p| p.name.clone()).collect();
        names.sort();
        names
    }

    /// Every file of the folder, in order of file names.
    pub fn list(&self) -> Vec<PluginInfo> {
        let uses = self.0.uses.lock();
        self.table().files.iter().map(|(file, entry)| entry.info(file, &uses, &self.0.limits.faults)).collect()
    }

    /// The component that a new session would be of.
    pub fn digest(&self, kind: Kind, name: &str) -> Option<Digest> {
        self.table().by_name.get(name).filter(|p| p.kind() == kind).map(|p| p.digest)
    }

    /// Takes a component into use and keeps it in the folder: checked and compiled before anything is changed.
    ///
    /// # Errors
    /// What is wrong with the component, one that is called otherwise than `name`, or a folder that cannot be written to.
    pub fn install(&self, name: &str, role: Role, bytes: &[u8]) -> Result<PluginInfo, InstallError> {
        let Shared { engine, limits, folder, .. } = &*self.0;
        if bytes.len() as u64 > limits.component_bytes {
            return Err(Refusal::TooLarge { size: bytes.len() as u64, most: limits.component_bytes }.into());
        }
        let plugin = Plugin::load(engine, limits, name, bytes)?;
        if plugin.name != name {
            return Err(InstallError::OtherName { found: plugin.name, wanted: name.to_owned() });
        }
        let file = self.table().owner_of(name, role).unwrap_or_else(|| format!("{name}{}", role.ending()));
        // Not `.wasm` while it is written, and in place at once.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let part = folder.join(format!("{file}.part-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let written = fs::File::create(&part).and_then(|mut f| f.write_all(bytes).and_then(|()| f.sync_all()));
        if let Err(error) = written.and_then(|()| fs::rename(&part, folder.join(&file))) {
            let _ = fs::remove_file(&part);
            return Err(error.into());
        }
        self.0.refresh(Some((&file, plugin)));
        self.info(name, role).ok_or_else(|| io::Error::other("the file was changed meanwhile").into())
    }

    /// Takes a plugin out of the folder; whether there was one. Jobs that it serves finish with it.
    pub fn remove(&self, name: &str, role: Role) -> io::Result<bool> {
        let Some(file) = self.table().owner_of(name, role) else { return Ok(false) };
        fs::remove_file(self.0.folder.join(file))?;
        self.0.refresh(None);
        Ok(true)
    }

    /// What there is to say of a plugin.
    pub fn info(&self, name: &str, role: Role) -> Option<PluginInfo> {
        self.list().into_iter().find(|i| i.name.as_deref() == Some(name) && i.role == role)
    }

    /// A tracker's place in a job: a session, and those that follow it.
    pub fn tracker_seat(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<TrackerSeat, PluginError> {
        TrackerSeat::open(self, name, settings, stream)
    }

    /// A filter's place in a job.
    pub fn filter_seat(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<FilterSeat, PluginError> {
        FilterSeat::open(self, name, settings, stream)
    }

    /// What follows from a plugin's faults: what the operator says of it, what its author says, what the operator says of all.
    pub(crate) fn on_fault(&self, name: &str) -> OnFault {
        let own = self.table().by_name.get(name).and_then(|p| p.on_fault);
        self.0.limits.faults.of(name, own)
    }

    /// After how many faults in one job a plugin is evicted.
    pub(crate) fn strikes(&self) -> u64 {
        self.0.limits.faults.strikes
    }

    /// The component that is shown what the plugin of this name is shown.
    pub(crate) fn candidate(&self, kind: Kind, name: &str) -> Option<Arc<Plugin>> {
        self.table().candidates.get(name).filter(|p| p.kind() == kind).cloned()
    }

    /// The folder for the traces of faults.
    pub(crate) fn traces(&self) -> Option<&Path> {
        self.0.limits.traces.as_deref()
    }

    /// What the last fault of a plugin left, if it is still there.
    pub fn last_trace(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.0.uses.lock().get(name).and_then(|u| u.last_trace.clone()) else { return Ok(None) };
        let Some(folder) = self.traces() else { return Ok(None) };
        match fs::read(folder.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A session of a plugin that is shown frames.
    pub(crate) fn session_of(&self, kind: Kind, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Session, PluginError> {
        self.session(kind, name, |plugin| if plugin.kind() == kind { Session::open(plugin, settings, stream) } else { Ok(None) })
    }

    /// Adds what a job used since it was last asked.
    pub(crate) fn book(&self, name: &str, now: &PluginUse, told: &PluginUse) {
        self.0.uses.lock().entry(name.to_owned()).or_default().add(&now.since(told));
    }

    /// A session of a tracker with settings that fit its schema.
    ///
    /// # Errors
    /// No such tracker, settings that do not fit, or a plugin that fails in `open`; here and in the two below.
    pub fn tracker(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Tracker, PluginError> {
        self.session(Kind::Tracker, name, |plugin| Tracker::open(plugin, settings, stream))
    }

    /// A session of a filter.
    pub fn filter(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Filter, PluginError> {
        self.session(Kind::Filter, name, |plugin| Filter::open(plugin, settings, stream))
    }

    /// A session of a router.
    pub fn router(&self, name: &str, settings: &Value) -> Result<Router, PluginError> {
        self.session(Kind::Router, name, |plugin| Router::open(plugin, settings))
    }

    fn session<S>(&self, kind: Kind, name: &str, open: impl FnOnce(&Plugin) -> Result<Option<S>, PluginError>) -> Result<S, PluginError> {
        let plugin = self.table().by_name.get(name).cloned();
        // A plugin of another kind opens no session.
        let session = plugin.map_or(Ok(None), |plugin| open(&plugin))?;
        session.ok_or_else(|| PluginError::Unknown { kind, name: name.to_owned(), installed: self.names(kind) })
    }

    fn table(&self) -> Arc<Table> {
        self.0.table.lock().clone()
    }
}

/// Reloads after changes, until the watcher is dropped.
fn follow(changes: &mpsc::Receiver<()>, shared: &Weak<Shared>) {
    while changes.recv().is_ok() {
        while changes.recv_timeout(QUIET).is_ok() {}
        let Some(shared) = shared.upgrade() else { return };
        shared.refresh(None);
    }
}

impl Shared {
    /// Brings the table in line with the folder.
    fn refresh(&self, ready: Option<(&str, Plugin)>) {
        let _changing = self.changing.lock();
        let (ready_file, mut ready) = ready.map_or((None, None), |(file, plugin)| (Some(file), Some(Arc::new(plugin))));
        let before = self.table.lock().clone();
        let names = match self.file_names() {
            Ok(names) => names,
            Err(error) => {
                tracing::error!(folder = %self.folder.display(), %error, "cannot read the plugins folder; its plugins stay as they are");
                return;
            }
        };
        let mut table = Table { generation: before.generation + 1, ..Table::default() };
        let mut different = before.files.len() != names.len() || before.generation == 0;
        for file in names {
            let old = before.files.get(&file);
            let mut entry = match (self.read(&file), old) {
                (Ok(bytes), Some(old)) if old.seen == Some(Digest::of(&bytes)) && !old.name_taken() => old.clone(),
                (Ok(bytes), _) if ready_file == Some(&*file) && ready.as_ref().is_some_and(|p| p.digest == Digest::of(&bytes)) => {
                    Entry { seen: Some(Digest::of(&bytes)), plugin: ready.take(), refusal: None }
                }
                (read, old) => self.entry(&file, read, old),
            };
            if let Some(plugin) = &entry.plugin {
                let role = Role::of(&file);
                match table.owner_of(&plugin.name, role) {
                    Some(owner) => {
                        entry.refusal = Some(Refusal::NameTaken { name: plugin.name.clone(), file: owner });
                        entry.plugin = None;
                    }
                    None => {
                        table.of(role).insert(plugin.name.clone(), plugin.clone());
                    }
                }
            }
            different |= old.is_none_or(|old| !old.same_as(&entry));
            table.files.insert(file, entry);
        }
        if different {
            let generation = table.generation;
            *self.table.lock() = Arc::new(table);
            // After the table: who sees the number finds what it is of.
            self.generation.store(generation, Ordering::Release);
            self.changed.notify_all();
        }
    }

    fn file_names(&self) -> std::io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|n| n.ends_with(".wasm")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, Refusal> {
        let path = self.folder.join(file);
        let unreadable = |e: std::io::Error| Refusal::Unreadable(e.to_string());
        let (size, most) = (fs::metadata(&path).map_err(unreadable)?.len(), self.limits.component_bytes);
        if size > most {
            return Err(Refusal::TooLarge { size, most });
        }
        fs::read(&path).map_err(unreadable)
    }

    fn entry(&self, file: &str, read: Result<Vec<u8>, Refusal>, old: Option<&Entry>) -> Entry {
        let seen = read.as_deref().ok().map(Digest::of);
        let loaded = read.and_then(|bytes| Plugin::load(&self.engine, &self.limits, file, &bytes));
        match loaded {
            Ok(plugin) => {
                tracing::info!(file, plugin = plugin.name, version = plugin.version, digest = %plugin.digest, "loaded the plugin {}", plugin.name);
                Entry { seen, plugin: Some(Arc::new(plugin)), refusal: None }
            }
            Err(refusal) => {
                let plugin = old.and_then(|e| e.plugin.clone());
                tracing::warn!(file, %refusal, kept = plugin.is_some(), "the plugin file {file} is not taken into use: it {refusal}");
                Entry { seen, plugin, refusal: Some(refusal) }
            }
        }
    }
}

impl Table {
    fn of(&mut self, role: Role) -> &mut HashMap<String, Arc<Plugin>> {
        match role {
            Role::Serves => &mut self.by_name,
            Role::Candidate => &mut self.candidates,
        }
    }

    fn owner_of(&self, name: &str, role: Role) -> Option<String> {
        let is_it = |(file, entry): &(&String, &Entry)| Role::of(file) == role && entry.plugin.as_ref().is_some_and(|p| p.name == name);
        self.files.iter().find(is_it).map(|(file, _)| file.clone())
    }
}

impl Entry {
    fn name_taken(&self) -> bool {
        matches!(self.refusal, Some(Refusal::NameTaken { .. }))
    }

    fn same_as(&self, other: &Self) -> bool {
        let digest = |e: &Self| e.plugin.as_ref().map(|p| p.digest);
        self.seen == other.seen && digest(self) == digest(other) && self.refusal == other.refusal
    }

    fn info(&self, file: &str, uses: &HashMap<String, PluginUse>, faults: &FaultPolicy) -> PluginInfo {
        let (plugin, role) = (self.plugin.as_ref(), Role::of(file));
        let (state, replacement_refused) = match (&self.refusal, plugin) {
            (None, _) => (State::Ready, None),
            (Some(refusal), Some(_)) => (State::Ready, Some(refusal.to_string())),
            (Some(refusal), None) => (State::Refused(refusal.clone()), None),
        };
        PluginInfo {
            file: file.to_owned(),
            role,
            state,
            name: plugin.map(|p| p.name.clone()),
            version: plugin.map(|p| p.version.clone()),
            description: plugin.map(|p| p.description.clone()),
            kind: plugin.map(|p| p.kind()),
            digest: plugin.map(|p| p.digest),
            schema: plugin.map(|p| p.schema.clone()),
            replacement_refused,
            capabilities: plugin.map(|p| p.capabilities.clone()),
            limits: plugin.map(|p| p.limits.clone()),
            on_fault: plugin.filter(|p| p.kind() != Kind::Router).map(|p| faults.of(&p.name, p.on_fault)),
            used: plugin.filter(|_| role == Role::Serves).map(|p| uses.get(&p.name).cloned().unwrap_or_default()),
        }
    }
}
