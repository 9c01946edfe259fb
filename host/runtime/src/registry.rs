//! Plugin registry: the folders of plugins, and the state of their files.
//!
//! Owns watching the folders and loading changed files, on one thread. The usage of plugins since
//! the start is recorded here.
//!
//! Guarantees: changes of the table are serialized, and never wait for a compilation; lookups see
//! the table before or after a change, never between; a file whose new content is refused leaves
//! the old component in use; a user's plugin overrides the shipped one of its name, which is
//! restored as soon as the user's is removed. The watcher and its thread end with the last clone of
//! [`Plugins`].

mod info;
mod setup;
mod table;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::Path,
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
use serde_json::Value;

use self::table::{Entry, Table};
pub use self::{
    info::{PluginInfo, Role, State},
    setup::Setup,
};
use crate::{
    Digest, Filter, InstallError, Kind, Limits, OnFault, OpenError, PluginError, Refusal, RemoveError, Router,
    StreamInfo, Tracker,
    call::Session,
    compile::Compiler,
    folders::{Folders, Source},
    plugin::Plugin,
};

/// Debounce time: a folder is read again when nothing has changed in it for this long, since files
/// are written in many small steps.
const QUIET: Duration = Duration::from_millis(200);

/// The registry of plugins. Clones share it.
#[derive(Clone)]
pub struct Plugins(Arc<Shared>);

struct Shared {
    folders: Folders,
    limits: Limits,
    compiler: Compiler,
    table: Mutex<Arc<Table>>,
    changed: Condvar,
    /// The table's generation, for slots, which read it for every frame.
    generation: AtomicU64,
    /// Serializes changes of the table.
    changing: Mutex<()>,
    /// Usage since the start, by name.
    uses: Mutex<HashMap<String, PluginUse>>,
    /// Held for its `Drop`, which ends the loader's thread.
    watcher: Mutex<Option<notify::RecommendedWatcher>>,
}

/// Result of loading a file's content.
struct Loaded {
    /// None where it could not be read.
    digest: Option<Digest>,
    plugin: Result<Arc<Plugin>, Refusal>,
}

impl Plugins {
    /// Loads every `*.wasm` in the folders, and reloads changed ones. A refused file does not keep
    /// the others from being loaded: see [`Plugins::list`].
    ///
    /// # Errors
    /// A folder cannot be read, created or watched, or the engine does not start.
    pub fn open(setup: impl Into<Setup>, limits: Limits) -> Result<Self, OpenError> {
        let Setup { shipped, user, compiled, compiler } = setup.into();
        if let Some(path) = &user {
            fs::create_dir_all(path).map_err(|source| OpenError::Make { path: path.clone(), source })?;
        }
        let shared = Arc::new(Shared {
            folders: Folders { shipped, user },
            limits,
            compiler: Compiler::new(compiled.as_deref(), compiler)?,
            table: Mutex::default(),
            changed: Condvar::new(),
            generation: AtomicU64::new(0),
            changing: Mutex::new(()),
            uses: Mutex::default(),
            watcher: Mutex::new(None),
        });
        // Watched before they are read, so that no change is missed.
        let (events, changes) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|e| e.kind.is_access()) {
                return;
            }
            // The receiver is gone only while the registry is dropped.
            let _ = events.send(());
        })
        .map_err(|source| OpenError::Watch { path: shared.folders.shipped.clone(), source })?;
        for (_, path) in shared.folders.all() {
            fs::read_dir(path).map_err(|source| OpenError::Folder { path: path.to_owned(), source })?;
            let watched = watcher.watch(path, notify::RecursiveMode::NonRecursive);
            watched.map_err(|source| OpenError::Watch { path: path.to_owned(), source })?;
        }
        *shared.watcher.lock() = Some(watcher);

        shared.reload();
        let weak = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("plugin-loader".into())
            .spawn(move || follow(&changes, &weak))
            .map_err(OpenError::Thread)?;
        Ok(Self(shared))
    }

    /// Ends the running compilation, and prevents further ones, when the server stops.
    pub fn stop_compiling(&self) {
        self.0.compiler.stop();
    }

    /// Generation of the plugins, which increases with every change.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Waits until the generation differs from `known`, at most for `timeout`, and returns it.
    pub fn wait_for_change(&self, known: u64, timeout: Duration) -> u64 {
        let end = Instant::now() + timeout;
        let mut table = self.0.table.lock();
        while table.generation == known {
            if self.0.changed.wait_until(&mut table, end).timed_out() {
                break;
            }
        }
        table.generation
    }

    /// The names of the active plugins of a kind, in order.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        let table = self.table();
        let mut names: Vec<String> =
            table.by_name.values().filter(|p| p.kind() == kind).map(|p| p.name.clone()).collect();
        names.sort();
        names
    }

    /// Every file: the users' first, then the shipped ones, each in order of file names.
    pub fn list(&self) -> Vec<PluginInfo> {
        let uses = self.0.uses.lock();
        self.table().files.iter().map(|(source, entry)| entry.info(source, &uses, &self.0.limits.faults)).collect()
    }

    /// Digest of the component that a new session would run.
    pub fn digest(&self, kind: Kind, name: &str) -> Option<Digest> {
        self.table().by_name.get(name).filter(|p| p.kind() == kind).map(|p| p.digest)
    }

    /// Installs a component into the users' folder and takes it into use. It is checked and
    /// compiled before anything is changed.
    ///
    /// # Errors
    /// The component is refused, its manifest has another name than `name`, or the folder cannot be
    /// written to.
    pub fn install(&self, name: &str, role: Role, bytes: &[u8]) -> Result<PluginInfo, InstallError> {
        let Shared { compiler, limits, folders, .. } = &*self.0;
        if bytes.len() as u64 > limits.component_bytes {
            return Err(Refusal::TooLarge { size: bytes.len() as u64, most: limits.component_bytes }.into());
        }
        let plugin = Plugin::load(compiler, limits, name, bytes)?;
        if plugin.name != name {
            return Err(InstallError::OtherName { found: plugin.name, wanted: name.to_owned() });
        }
        let before = self.table().file_of(name, role, |source| source.origin == folders.own());
        let file = before.map_or_else(|| format!("{name}{}", role.ending()), |source| source.file);
        let written = folders.write(&file, bytes);
        let source =
            written.map_err(|source| InstallError::Io { folder: folders.path(folders.own()).to_owned(), source })?;
        let loaded = Loaded { digest: Some(plugin.digest), plugin: Ok(Arc::new(plugin)) };
        self.0.update_table(BTreeMap::from([(source, loaded)]));
        self.info(name, role).ok_or(InstallError::Changed(file))
    }

    /// Removes a user's plugin from the folder, and returns whether there was one. Its jobs finish
    /// with it, or change to the shipped one of its name.
    ///
    /// # Errors
    /// The plugin is shipped, or the folder cannot be written to.
    pub fn remove(&self, name: &str, role: Role) -> Result<bool, RemoveError> {
        let folders = &self.0.folders;
        let Some(source) = self.table().file_of(name, role, |_| true) else { return Ok(false) };
        if source.origin != folders.own() {
            return Err(RemoveError::Ships(name.to_owned()));
        }
        folders
            .remove(&source)
            .map_err(|error| RemoveError::Io { folder: folders.path(source.origin).to_owned(), source: error })?;
        self.0.update_table(BTreeMap::new());
        Ok(true)
    }

    /// Makes the canary of a plugin the plugin itself: its file replaces the user's one of this
    /// name, or overrides the shipped one. Returns the report on it; `None` where there is no
    /// canary.
    ///
    /// # Errors
    /// The canary is not in the users' folder, its file was changed since it was loaded, or the
    /// folder cannot be written to.
    pub fn promote(&self, name: &str) -> Result<Option<PluginInfo>, InstallError> {
        let Shared { limits, folders, .. } = &*self.0;
        let table = self.table();
        let is_own = |source: &Source| source.origin == folders.own();
        let (Some(canary), Some(plugin)) =
            (table.file_of(name, Role::Canary, is_own), table.canaries.get(name).cloned())
        else {
            return Ok(None);
        };
        let bytes = folders.read(&canary, limits.component_bytes)?;
        if Digest::of(&bytes) != plugin.digest {
            return Err(InstallError::Changed(canary.file));
        }
        let failed = |source| InstallError::Io { folder: folders.path(folders.own()).to_owned(), source };
        let before = table.file_of(name, Role::Active, is_own);
        let file = before.map_or_else(|| format!("{name}{}", Role::Active.ending()), |source| source.file);
        // Written before the canary is removed: between the two, both are the same component.
        let active = folders.write(&file, &bytes).map_err(failed)?;
        folders.remove(&canary).map_err(failed)?;
        let loaded = Loaded { digest: Some(plugin.digest), plugin: Ok(plugin) };
        self.0.update_table(BTreeMap::from([(active, loaded)]));
        self.info(name, Role::Active).map(Some).ok_or(InstallError::Changed(file))
    }

    /// The report on the plugin that has this name.
    pub fn info(&self, name: &str, role: Role) -> Option<PluginInfo> {
        let (uses, table) = (self.0.uses.lock(), self.table());
        let source = table.file_of(name, role, |_| true)?;
        table.files.get(&source).map(|entry| entry.info(&source, &uses, &self.0.limits.faults))
    }

    /// The fault policy of a plugin: the operator's for its name, else its manifest's, else the
    /// operator's default.
    pub(crate) fn on_fault(&self, name: &str) -> OnFault {
        let own = self.table().by_name.get(name).and_then(|p| p.on_fault);
        self.0.limits.faults.of(name, own)
    }

    /// Number of faults in one job at which a plugin is evicted.
    pub(crate) fn max_faults(&self) -> u64 {
        self.0.limits.faults.max_faults
    }

    /// The canary of the plugin of this name.
    pub(crate) fn canary(&self, kind: Kind, name: &str) -> Option<Arc<Plugin>> {
        self.table().canaries.get(name).filter(|p| p.kind() == kind).cloned()
    }

    /// The folder for the traces of faults.
    pub(crate) fn traces(&self) -> Option<&Path> {
        self.0.limits.traces.as_deref()
    }

    /// The [`Trace`](crate::Trace) of a plugin's last fault as JSON, if it is still in the folder.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn last_trace(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.0.uses.lock().get(name).and_then(|u| u.last_trace.clone()) else { return Ok(None) };
        let Some(folder) = self.traces() else { return Ok(None) };
        match fs::read(folder.join(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a session of a tracker or a filter.
    pub(crate) fn session_of(
        &self,
        kind: Kind,
        name: &str,
        settings: &Value,
        stream: &StreamInfo,
    ) -> Result<Session, PluginError> {
        self.session(
            kind,
            name,
            |plugin| if plugin.kind() == kind { Session::open(plugin, settings, stream) } else { Ok(None) },
        )
    }

    /// Adds a job's usage since the last call, which had `recorded`.
    pub(crate) fn record_use(&self, name: &str, now: &PluginUse, recorded: &PluginUse) {
        self.0.uses.lock().entry(name.to_owned()).or_default().add(&now.since(recorded));
    }

    /// A session of a tracker with settings that fit its schema.
    ///
    /// # Errors
    /// No such tracker, settings that do not fit, or a fault in `open`.
    pub fn tracker(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Tracker, PluginError> {
        self.session(Kind::Tracker, name, |plugin| Tracker::open(plugin, settings, stream))
    }

    /// A session of a filter with settings that fit its schema.
    ///
    /// # Errors
    /// As for [`Plugins::tracker`].
    pub fn filter(&self, name: &str, settings: &Value, stream: &StreamInfo) -> Result<Filter, PluginError> {
        self.session(Kind::Filter, name, |plugin| Filter::open(plugin, settings, stream))
    }

    /// A session of a router with settings that fit its schema.
    ///
    /// # Errors
    /// As for [`Plugins::tracker`].
    pub fn router(&self, name: &str, settings: &Value) -> Result<Router, PluginError> {
        self.session(Kind::Router, name, |plugin| Router::open(plugin, settings))
    }

    fn session<S>(
        &self,
        kind: Kind,
        name: &str,
        open: impl FnOnce(&Plugin) -> Result<Option<S>, PluginError>,
    ) -> Result<S, PluginError> {
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
        shared.reload();
    }
}

impl Shared {
    /// Loads new files of the folders, which may take long, and updates the table.
    fn reload(&self) {
        let Some(sources) = self.list() else { return };
        let known = self.table.lock().clone();
        let mut loaded = BTreeMap::new();
        for source in sources {
            let read = self.folders.read(&source, self.limits.component_bytes);
            let digest = read.as_deref().ok().map(Digest::of);
            if digest.is_none() || known.files.get(&source).is_none_or(|entry| entry.seen != digest) {
                let plugin = read
                    .and_then(|bytes| Plugin::load(&self.compiler, &self.limits, &source.file, &bytes))
                    .map(Arc::new);
                loaded.insert(source, Loaded { digest, plugin });
            }
        }
        self.update_table(loaded);
    }

    /// Updates the table to the folders. A new file is left out until it is among the `loaded`, a
    /// changed one keeps its old entry until then.
    fn update_table(&self, mut loaded: BTreeMap<Source, Loaded>) {
        let _changing = self.changing.lock();
        let before = self.table.lock().clone();
        let Some(sources) = self.list() else { return };
        let mut table = Table { generation: before.generation + 1, ..Table::default() };
        for source in sources {
            let old = before.files.get(&source);
            let Some(mut entry) =
                loaded.remove(&source).and_then(|new| self.entry(&source, new, old)).or_else(|| old.cloned())
            else {
                continue;
            };
            entry.name_taken = None;
            if let Some(plugin) = &entry.plugin {
                let role = Role::of(&source.file);
                entry.name_taken = table.file_of(&plugin.name, role, |_| true);
                if entry.name_taken.is_none() {
                    table.of(role).insert(plugin.name.clone(), plugin.clone());
                }
            }
            table.files.insert(source, entry);
        }
        if before.generation == 0 || !table.same_as(&before) {
            let generation = table.generation;
            *self.table.lock() = Arc::new(table);
            // After the table, so that a reader of the new generation finds the new table.
            self.generation.store(generation, Ordering::Release);
            self.changed.notify_all();
        }
    }

    /// The files in the folders; `None` where a folder cannot be read.
    fn list(&self) -> Option<Vec<Source>> {
        let failed = |(folder, error): &(&Path, io::Error)| {
            let folder = folder.display();
            tracing::error!(%folder, %error, "cannot read the plugins folder {folder}; its plugins stay as they are");
        };
        self.folders.list().inspect_err(failed).ok()
    }

    /// `None` where the file has changed again since: that change has its own event.
    fn entry(&self, source: &Source, new: Loaded, old: Option<&Entry>) -> Option<Entry> {
        let now = self.folders.read(source, self.limits.component_bytes).ok().map(|bytes| Digest::of(&bytes));
        if now != new.digest {
            return None;
        }
        let (file, origin) = (&source.file, source.origin);
        Some(match new.plugin {
            Ok(plugin) => {
                let Plugin { name, version, digest, .. } = &*plugin;
                tracing::info!(file, ?origin, plugin = name, version, %digest, "loaded the plugin {name}");
                Entry { seen: new.digest, plugin: Some(plugin), refusal: None, name_taken: None }
            }
            Err(refusal) => {
                let plugin = old.and_then(|e| e.plugin.clone());
                let kept = plugin.is_some();
                tracing::warn!(file, ?origin, %refusal, kept, "the plugin file {file} was not loaded: it {refusal}");
                Entry {
                    seen: new.digest.filter(|_| refusal.is_final()),
                    plugin,
                    refusal: Some(refusal),
                    name_taken: None,
                }
            }
        })
    }
}
