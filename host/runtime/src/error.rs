//! Plugin errors, in words that their authors and users can act on.

use std::{io, path::PathBuf, time::Duration};

use ocellus_core::{Error, ErrorKind};

use crate::{Digest, Kind};

/// The contract line that this server speaks.
pub(crate) const CONTRACT: &str = "0.1";

/// Why the folder of plugins cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read the plugins folder {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot make the plugins folder {path}")]
    Make { path: PathBuf, source: io::Error },
    #[error("cannot watch the plugins folder {path}")]
    Watch { path: PathBuf, source: notify::Error },
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot start the WebAssembly engine: {0}")]
    Engine(String),
}

/// Why a file is not loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("is empty")]
    Empty,
    #[error("is {size} bytes long, more than the {most} that this server takes")]
    TooLarge { size: u64, most: u64 },
    #[error("is not WebAssembly")]
    NotWebAssembly,
    #[error(
        "is a core module, not a component: build it with `ocellus plugin build`, or run `wasm-tools component new` on it"
    )]
    CoreModule,
    #[error("is truncated: it ends in the middle of a section")]
    Truncated,
    #[error("is damaged: {0}")]
    Damaged(String),
    #[error("imports {0}, which is not granted: a plugin imports nothing but what its world names")]
    Import(String),
    #[error("exports {export}; this server speaks {CONTRACT}")]
    Version { export: String },
    #[error(
        "exports none of ocellus:plugin/filtering, ocellus:plugin/tracking and ocellus:plugin/routing at {CONTRACT}; it exports {}",
        if exports.is_empty() { "nothing".to_owned() } else { exports.join(", ") }
    )]
    NoContract { exports: Vec<String> },
    #[error("exports {}: a plugin is of one kind", .0.join(" and "))]
    SeveralKinds(Vec<String>),
    #[error("does not fit the contract: {0}")]
    Types(String),
    #[error("has {found} {what}, more than the {limit} that this server compiles")]
    Extent { what: &'static str, found: u64, limit: u64 },
    #[error("cannot be compiled: {0}")]
    Compile(String),
    #[error("takes longer to compile than the {} s that this server gives it", .0.as_secs())]
    CompileTime(Duration),
    #[error("takes more memory to compile than the {0} bytes that this server gives it")]
    CompileMemory(u64),
    #[error("cannot be compiled: the compiler crashed on it")]
    CompilerFailed,
    /// No fault of the file's; nor is the next.
    #[error("could not be compiled: the compiler process failed: {0}")]
    NoCompiler(String),
    #[error("was not compiled: the server is stopping")]
    Stopping,
    #[error("fails in describe: {0}")]
    Describe(Fault),
    #[error("has a wrong manifest: {0}")]
    Manifest(String),
    #[error("asks for the capability {capability:?}, which this server does not have for a {kind}")]
    Capability { capability: String, kind: Kind },
    #[error("imports ocellus:plugin/{0} without asking for the capability {0:?} in its manifest")]
    NotAskedFor(&'static str),
    #[error("is called {name:?}, as the plugin in {file} is")]
    NameTaken { name: String, file: String },
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
    #[error("it ran for longer than its deadline of {} ms", .0.as_millis())]
    Deadline(Duration),
    #[error("it asked for {wanted} bytes of memory, of {limit} allowed")]
    Memory { wanted: usize, limit: usize },
    #[error("it asked for {wanted} table elements, of {limit} allowed")]
    Table { wanted: usize, limit: usize },
    #[error("it answered with more than {limit} bytes")]
    Output { limit: usize },
    /// The answer breaks a rule of the contract.
    #[error("it broke the contract: {0}")]
    Contract(String),
    /// The plugin gave up by itself, with this text.
    #[error("it failed: {0}")]
    Reported(String),
    #[error("its session is over")]
    Ended,
}

/// Why a session cannot be opened or goes on no more.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginError {
    #[error("there is no {kind} {name:?}; installed: {}", if installed.is_empty() { "none".to_owned() } else { installed.join(", ") })]
    Unknown { kind: Kind, name: String, installed: Vec<String> },
    /// The settings do not fit the plugin's schema; `path` is the dotted path of the offending key,
    /// empty for the whole.
    #[error("settings of the plugin {plugin:?}{}: {reason}", if path.is_empty() { String::new() } else { format!(", {path}") })]
    Settings { plugin: String, path: String, reason: String },
    /// `digest` tells which build; `call` is the function of the contract. The session is over.
    #[error("the plugin {plugin:?} ({digest}) failed in {call}: {fault}")]
    Fault { plugin: String, digest: Digest, call: &'static str, fault: Fault },
    /// It failed too often in one job.
    #[error("the plugin {plugin:?} was evicted after {faults} faults; the last: {last}")]
    Evicted { plugin: String, faults: u64, last: Box<PluginError> },
}

/// Why a component that somebody sends is not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the component is called {found:?}, not {wanted:?}")]
    OtherName { found: String, wanted: String },
    #[error("cannot write to the plugins folder {folder}")]
    Io { folder: PathBuf, source: io::Error },
    /// The file was taken away or replaced before it was in use.
    #[error("the file {0} was changed meanwhile")]
    Changed(String),
}

/// Why a plugin is not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is none that was installed: the next release would bring it again.
    #[error("the plugin {0:?} ships with the server")]
    Ships(String),
    #[error("cannot write to the plugins folder {folder}")]
    Io { folder: PathBuf, source: io::Error },
}

impl PluginError {
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
