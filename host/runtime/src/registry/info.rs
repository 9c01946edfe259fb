//! Reports on installed plugins.

use ocellus_core::PluginUse;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{Digest, Kind, Limits, OnFault, Origin, Refusal};

/// Report on one file in a plugins folder.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    /// The file's name within its folder.
    pub file: String,
    /// Its folder.
    pub origin: Origin,
    /// Role by the file's name.
    pub role: Role,
    /// State of the file.
    pub state: State,
    /// Name in its manifest, as all that follows; absent for a file that was never a valid plugin.
    pub name: Option<String>,
    /// For people; builds are identified by digest.
    pub version: Option<String>,
    /// For people, at most 1024 bytes.
    pub description: Option<String>,
    /// Kind of plugin.
    pub kind: Option<Kind>,
    /// Digest of the component in use.
    pub digest: Option<Digest>,
    /// JSON Schema of the settings.
    pub schema: Option<Value>,
    /// Reason why the file's present content is not in use although an earlier one is.
    pub replacement_refused: Option<String>,
    /// Granted capabilities.
    pub capabilities: Option<Vec<String>>,
    /// Limits that apply to it: the lower of the operator's and its own.
    pub limits: Option<Limits>,
    /// Fault policy; absent for a router, whose faults fail the attempt.
    pub on_fault: Option<OnFault>,
    /// Use since the server's start, with that of its canary; absent unless it is active.
    pub used: Option<PluginUse>,
}

/// Role of a file's plugin in jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `NAME.wasm`: jobs use it. Serialized as `serves`.
    #[serde(rename = "serves")]
    Active,
    /// `NAME.shadow.wasm`: it gets the same calls as the active plugin of its name, without effect
    /// on jobs. Serialized as `candidate`.
    #[serde(rename = "candidate")]
    Canary,
}

impl Role {
    pub(super) fn of(file: &str) -> Self {
        if file.ends_with(Self::Canary.ending()) { Self::Canary } else { Self::Active }
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Active => ".wasm",
            Self::Canary => ".shadow.wasm",
        }
    }
}

/// State of a file. Serialized as a sentence that begins with `ready`, `refused` or
/// `overridden`.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// In use, possibly with the content before a refused change.
    Ready,
    /// Not in use.
    Refused(Refusal),
    /// A shipped plugin, replaced by the user's plugin of the same name in this file.
    Overridden(String),
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ready => serializer.serialize_str("ready"),
            Self::Refused(reason) => serializer.collect_str(&format_args!("refused: {reason}")),
            Self::Overridden(file) => {
                serializer.collect_str(&format_args!("overridden: by the user's plugin in {file}"))
            }
        }
    }
}
