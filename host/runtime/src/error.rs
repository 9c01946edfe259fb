//! Plugin errors, in words that their authors and users can act on.

use std::{io, path::PathBuf, time::Duration};

use ocellus_core::{Error, ErrorKind};

use crate::{Digest, Kind};

/// The contract line that this server speaks.
pub(crate) const CONTRACT: &str = "0.1";

/// Why the plugins cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder of plugins is not there, or may not be read.
    #[error("cannot read the plugins folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The users' folder is not there and cannot be created.
    #[error("cannot make the plugins folder {path}")]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be created.
        source: io::Error,
    },
    /// Changes of a folder cannot be followed.
    #[error("cannot watch the plugins folder {path}")]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be watched.
        source: notify::Error,
    },
    /// The system gives no thread for loading or for deadlines.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// wasmtime does not run on this machine, or not with this configuration.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Why a file is not loaded. Each text goes on from "the file" or "the component".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// It is longer than [`Limits::component_bytes`](crate::Limits::component_bytes).
    #[error("is {size} bytes long, more than the {most} that this server takes")]
    TooLarge {
        /// In bytes.
        size: u64,
        /// In bytes.
        most: u64,
    },
    /// It does not begin with WebAssembly's magic number.
    #[error("is not WebAssembly")]
    NotWebAssembly,
    /// It was compiled and not made a component.
    #[error(
        "is a core module, not a component: build it with `ocellus plugin build`, \
         or run `wasm-tools component new` on it"
    )]
    CoreModule,
    /// The end of the file is missing.
    #[error("is truncated: it ends in the middle of a section")]
    Truncated,
    /// The validator's reason.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The import that is not granted.
    #[error("imports {0}, which is not granted: a plugin imports nothing but what its world names")]
    Import(String),
    /// It is of another contract line.
    #[error("exports {export}; this server speaks {CONTRACT}")]
    Version {
        /// With the version that it speaks.
        export: String,
    },
    /// It exports no interface of a plugin.
    #[error(
        "exports none of ocellus:plugin/filtering, ocellus:plugin/tracking and ocellus:plugin/routing at \
         {CONTRACT}; it exports {}",
        if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
    )]
    NoContract {
        /// All that it exports.
        exports: Vec<String>,
    },
    /// The exports by which it is of more than one kind.
    #[error("exports {}: a plugin is of one kind", .0.join(" and "))]
    SeveralKinds(Vec<String>),
    /// Its functions have other types than the contract's; wasmtime's reason.
    #[error("does not fit the contract: {0}")]
    Types(String),
    /// It passes a limit of [`CompileLimits`](crate::CompileLimits).
    #[error("has {found} {what}, more than the {limit} that this server compiles")]
    Extent {
        /// What is counted: `functions`, `types`, ...
        what: &'static str,
        /// As far as it was counted.
        found: u64,
        /// The most that is taken.
        limit: u64,
    },
    /// wasmtime's reason.
    #[error("cannot be compiled: {0}")]
    Compile(String),
    /// The limit that it reached: [`CompileLimits::time`](crate::CompileLimits::time).
    #[error("takes longer to compile than the {} s that this server gives it", .0.as_secs())]
    CompileTime(Duration),
    /// The limit that it reached:
    /// [`CompileLimits::memory_bytes`](crate::CompileLimits::memory_bytes).
    #[error("takes more memory to compile than the {0} bytes that this server gives it")]
    CompileMemory(u64),
    /// The compiler's process panicked or was ended by a signal of its own.
    #[error("cannot be compiled: the compiler crashed on it")]
    CompilerFailed,
    /// No fault of the file's; nor is the next.
    #[error("could not be compiled: the compiler process failed: {0}")]
    NoCompiler(String),
    /// [`Plugins::stop_compiling`](crate::Plugins::stop_compiling) was called.
    #[error("was not compiled: the server is stopping")]
    Stopping,
    /// It does not even say who it is.
    #[error("fails in describe: {0}")]
    Describe(Fault),
    /// The rule of `types.wit` that its manifest breaks.
    #[error("has a wrong manifest: {0}")]
    Manifest(String),
    /// It asks for a capability that is unknown, or not for its kind.
    #[error("asks for the capability {capability:?}, which this server does not have for a {kind}")]
    Capability {
        /// As its manifest names it.
        capability: String,
        /// The plugin's.
        kind: Kind,
    },
    /// The interface that it imports, which is a capability's name.
    #[error("imports ocellus:plugin/{0} without asking for the capability {0:?} in its manifest")]
    NotAskedFor(&'static str),
    /// Another file of the same folder has the name.
    #[error("is called {name:?}, as the plugin in {file} is")]
    NameTaken {
        /// The name that both manifests declare.
        name: String,
        /// The file that has it, within its folder.
        file: String,
    },
}

impl Refusal {
    /// Whether the same file would be refused again.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::NoCompiler(_) | Self::Stopping)
    }
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The plugin's own code stopped: a panic, an overflow of the stack, an access out of bounds.
    #[error("it trapped: {0}")]
    Trap(String),
    /// The deadline of one call that it overran.
    #[error("it ran for longer than its deadline of {} ms", .0.as_millis())]
    Deadline(Duration),
    /// Linear memory, all memories of the session together.
    #[error("it asked for {wanted} bytes of memory, of {limit} allowed")]
    Memory {
        /// In bytes, with what it has.
        wanted: usize,
        /// In bytes.
        limit: usize,
    },
    /// All tables of the session together.
    #[error("it asked for {wanted} table elements, of {limit} allowed")]
    Table {
        /// Elements, with those that it has.
        wanted: usize,
        /// Elements.
        limit: usize,
    },
    /// It handed more to the host in one call than it may.
    #[error("it answered with more than {limit} bytes")]
    Output {
        /// In bytes.
        limit: usize,
    },
    /// The answer breaks a rule of the contract.
    #[error("it broke the contract: {0}")]
    Contract(String),
    /// The plugin gave up by itself, with this text.
    #[error("it failed: {0}")]
    Reported(String),
    /// It was called after its last call, or after a fault.
    #[error("its session is over")]
    Ended,
}

/// Why a session cannot be opened or goes on no more.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginError {
    /// No plugin of this kind has the name.
    #[error(
        "there is no {kind} {name:?}; installed: {}",
        if installed.is_empty() { "none".to_owned() } else { installed.join(", ") }
    )]
    Unknown {
        /// What was asked for.
        kind: Kind,
        /// As the settings name it.
        name: String,
        /// The names of that kind that there are, in order.
        installed: Vec<String>,
    },
    /// The settings do not fit the plugin's schema.
    #[error(
        "settings of the plugin {plugin:?}{}: {reason}",
        if path.is_empty() { String::new() } else { format!(", {path}") }
    )]
    Settings {
        /// The plugin's name.
        plugin: String,
        /// The dotted path of the offending key within the settings, empty for the whole.
        path: String,
        /// What the schema does not allow.
        reason: String,
    },
    /// The session is over.
    #[error("the plugin {plugin:?} ({digest}) failed in {call}: {fault}")]
    Fault {
        /// The plugin's name.
        plugin: String,
        /// Which build of it.
        digest: Digest,
        /// The function of the contract: `open`, `update`, ...
        call: &'static str,
        /// What happened in it.
        fault: Fault,
    },
    /// It failed too often in one job: [`FaultPolicy::max_faults`](crate::FaultPolicy::max_faults).
    #[error("the plugin {plugin:?} was evicted after {faults} faults; the last: {last}")]
    Evicted {
        /// The plugin's name.
        plugin: String,
        /// In this job.
        faults: u64,
        /// The one that was too many.
        last: Box<PluginError>,
    },
}

/// Why a component that somebody sends is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It is no sound plugin, or could not be compiled.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its manifest has another name than the one that it was sent under.
    #[error("the component is called {found:?}, not {wanted:?}")]
    OtherName {
        /// In the manifest.
        found: String,
        /// That it was sent under.
        wanted: String,
    },
    /// It is sound, but cannot be kept.
    #[error("cannot write to the plugins folder {folder}")]
    Io {
        /// The users' folder.
        folder: PathBuf,
        /// Why it cannot be written to.
        source: io::Error,
    },
    /// The file was taken away or replaced before it was in use.
    #[error("the file {0} was changed meanwhile")]
    Changed(String),
}

/// Why a plugin is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It was not installed, and the next release would bring it again. Its name.
    #[error("the plugin {0:?} ships with the server")]
    Ships(String),
    /// Its file cannot be removed.
    #[error("cannot write to the plugins folder {folder}")]
    Io {
        /// The users' folder.
        folder: PathBuf,
        /// Why it cannot be written to.
        source: io::Error,
    },
}

impl PluginError {
    /// The fault that ended a session, if that is what this error is.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            _ => None,
        }
    }
}

impl From<PluginError> for Error {
    fn from(error: PluginError) -> Self {
        let sentence = error.to_string();
        let refusal = match &error {
            PluginError::Settings { plugin, path, .. } => {
                let dot = if path.is_empty() { "" } else { "." };
                Self::bad_param(format!("stream_settings.plugins.{plugin}{dot}{path}"), sentence)
            }
            // A sound request, about a plugin that cannot serve it.
            PluginError::Unknown { .. } | PluginError::Fault { .. } | PluginError::Evicted { .. } => {
                Self::new(ErrorKind::Conflict, sentence)
            }
        };
        refusal.because(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_the_mistake_of_a_request_and_faults_are_not() {
        let settings = |path: &str| {
            let (plugin, reason) = ("size".to_owned(), "too large".to_owned());
            Error::from(PluginError::Settings { plugin, path: path.to_owned(), reason })
        };
        assert_eq!(settings("min").kind(), ErrorKind::BadParam);
        assert_eq!(settings("min").param(), Some("stream_settings.plugins.size.min"));
        assert_eq!(settings("").param(), Some("stream_settings.plugins.size"));
        let unknown = PluginError::Unknown { kind: Kind::Filter, name: "size".into(), installed: Vec::new() };
        let error = Error::from(unknown.clone());
        assert_eq!((error.kind(), error.param()), (ErrorKind::Conflict, None));
        assert_eq!((error.public(), error.to_string()), (&*unknown.to_string(), unknown.to_string()));
    }
}
