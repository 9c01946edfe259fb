//! Plugin errors, worded for plugin authors and users.

use std::{io, path::PathBuf, time::Duration};

use ocellus_core::{Error, ErrorKind};

use crate::{Digest, Kind};

/// The version line of the contract that this server supports.
pub(crate) const CONTRACT: &str = "0.1";

/// Failure to open the registry of plugins.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A folder of plugins is missing or not readable.
    #[error("cannot read the plugins folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// The users' folder is missing and cannot be created.
    #[error("cannot make the plugins folder {path}")]
    Make {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be created.
        source: io::Error,
    },
    /// A folder cannot be watched.
    #[error("cannot watch the plugins folder {path}")]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why it cannot be watched.
        source: notify::Error,
    },
    /// A thread for loading or for deadlines cannot be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// wasmtime does not run on this machine or with this configuration.
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Reason why a file is not loaded. Each text continues "the file" or "the component".
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The system's reason.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It is empty.
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
    /// It is a core module and not a component.
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
    /// It has this import, which is not granted.
    #[error("imports {0}, which is not granted: a plugin imports nothing but what its world names")]
    Import(String),
    /// It uses another version line of the contract.
    #[error("exports {export}; this server speaks {CONTRACT}")]
    Version {
        /// The export, with its version.
        export: String,
    },
    /// It exports none of the plugin interfaces.
    #[error(
        "exports none of ocellus:plugin/filtering, ocellus:plugin/tracking and ocellus:plugin/routing at \
         {CONTRACT}; it exports {}",
        if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
    )]
    NoContract {
        /// Its exports.
        exports: Vec<String>,
    },
    /// Its exports of several plugin interfaces.
    #[error("exports {}: a plugin is of one kind", .0.join(" and "))]
    SeveralKinds(Vec<String>),
    /// Its functions have other types than the contract's; wasmtime's error.
    #[error("does not fit the contract: {0}")]
    Types(String),
    /// It exceeds a limit of [`CompileLimits`](crate::CompileLimits).
    #[error("has {found} {what}, more than the {limit} that this server compiles")]
    Extent {
        /// What is counted: `functions`, `types`, ...
        what: &'static str,
        /// The count, which stops above the limit.
        found: u64,
        /// The limit.
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
    /// The compiler process panicked or died of its own signal.
    #[error("cannot be compiled: the compiler crashed on it")]
    CompilerFailed,
    /// The compiler process failed. This error and the next are not the file's fault.
    #[error("could not be compiled: the compiler process failed: {0}")]
    NoCompiler(String),
    /// [`Plugins::stop_compiling`](crate::Plugins::stop_compiling) was called.
    #[error("was not compiled: the server is stopping")]
    Stopping,
    /// Its `describe` fails.
    #[error("fails in describe: {0}")]
    Describe(Fault),
    /// Its manifest breaks this rule of `types.wit`.
    #[error("has a wrong manifest: {0}")]
    Manifest(String),
    /// It requests a capability that is unknown, or not available for its kind.
    #[error("asks for the capability {capability:?}, which this server does not have for a {kind}")]
    Capability {
        /// Name in its manifest.
        capability: String,
        /// Kind of the plugin.
        kind: Kind,
    },
    /// It imports this interface, which has the name of a capability, without requesting it.
    #[error("imports ocellus:plugin/{0} without asking for the capability {0:?} in its manifest")]
    NotAskedFor(&'static str),
    /// Another file of the same folder has the name.
    #[error("is called {name:?}, as the plugin in {file} is")]
    NameTaken {
        /// The name that both manifests declare.
        name: String,
        /// The other file's name.
        file: String,
    },
}

impl Refusal {
    /// Whether the same file would be refused again.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::NoCompiler(_) | Self::Stopping)
    }
}

/// Cause of a session's end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The plugin's code trapped: a panic, a stack overflow, an access out of bounds.
    #[error("it trapped: {0}")]
    Trap(String),
    /// It exceeded this deadline of one call.
    #[error("it ran for longer than its deadline of {} ms", .0.as_millis())]
    Deadline(Duration),
    /// It exceeded the limit of linear memory, over all memories of the session.
    #[error("it asked for {wanted} bytes of memory, of {limit} allowed")]
    Memory {
        /// Requested total in bytes.
        wanted: usize,
        /// In bytes.
        limit: usize,
    },
    /// It exceeded the limit of table elements, over all tables of the session.
    #[error("it asked for {wanted} table elements, of {limit} allowed")]
    Table {
        /// Requested total of elements.
        wanted: usize,
        /// Limit of elements.
        limit: usize,
    },
    /// It returned more data in one call than allowed.
    #[error("it answered with more than {limit} bytes")]
    Output {
        /// In bytes.
        limit: usize,
    },
    /// The answer breaks a rule of the contract.
    #[error("it broke the contract: {0}")]
    Contract(String),
    /// The plugin returned an error with this text.
    #[error("it failed: {0}")]
    Reported(String),
    /// The session was called after `finish` or a fault.
    #[error("its session is over")]
    Ended,
}

/// Failure to open or to continue a session.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginError {
    /// No plugin of this kind has the name.
    #[error(
        "there is no {kind} {name:?}; installed: {}",
        if installed.is_empty() { "none".to_owned() } else { installed.join(", ") }
    )]
    Unknown {
        /// Requested kind.
        kind: Kind,
        /// Requested name.
        name: String,
        /// Names of the installed plugins of that kind, in order.
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
        /// The violation of the schema.
        reason: String,
    },
    /// A fault ended the session.
    #[error("the plugin {plugin:?} ({digest}) failed in {call}: {fault}")]
    Fault {
        /// The plugin's name.
        plugin: String,
        /// Digest of the component.
        digest: Digest,
        /// The function of the contract: `open`, `update`, ...
        call: &'static str,
        /// The fault.
        fault: Fault,
    },
    /// It failed too often in one job: [`FaultPolicy::max_faults`](crate::FaultPolicy::max_faults).
    #[error("the plugin {plugin:?} was evicted after {faults} faults; the last: {last}")]
    Evicted {
        /// The plugin's name.
        plugin: String,
        /// Number of faults in this job.
        faults: u64,
        /// The last fault.
        last: Box<PluginError>,
    },
}

/// Failure to install a component.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// It is no valid plugin, or could not be compiled.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its manifest has another name than the request.
    #[error("the component is called {found:?}, not {wanted:?}")]
    OtherName {
        /// Name in the manifest.
        found: String,
        /// Name in the request.
        wanted: String,
    },
    /// It is valid, but cannot be written to the folder.
    #[error("cannot write to the plugins folder {folder}")]
    Io {
        /// The users' folder.
        folder: PathBuf,
        /// Why it cannot be written to.
        source: io::Error,
    },
    /// The file was removed or replaced before it was in use.
    #[error("the file {0} was changed meanwhile")]
    Changed(String),
}

/// Failure to remove a plugin.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// The plugin of this name is shipped with the server.
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
            // The request is valid, but the plugin cannot serve it.
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
    fn invalid_settings_are_bad_parameters_and_faults_are_not() {
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
