//! Reports on installed plugins.

use ocellus_core::PluginUse;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{Digest, Kind, Limits, OnFault, Origin, Refusal};

/// What is known of one file in a plugins folder.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    /// The file's name within its folder.
    pub file: String,
    /// The folder that it lies in.
    pub origin: Origin,
    /// By the file's name.
    pub role: Role,
    /// What became of the file.
    pub state: State,
    /// By its manifest, as all that follows: absent for a file that never was a plugin.
    pub name: Option<String>,
    /// For people; the digest tells builds apart.
    pub version: Option<String>,
    /// For people, at most 1024 bytes.
    pub description: Option<String>,
    /// The world that it implements.
    pub kind: Option<Kind>,
    /// Of the component in use.
    pub digest: Option<Digest>,
    /// JSON Schema of the settings.
    pub schema: Option<Value>,
    /// Why the file's present content is not in use although an earlier one is.
    pub replacement_refused: Option<String>,
    /// Capabilities that it was granted.
    pub capabilities: Option<Vec<String>>,
    /// Limits that apply to it: the lower of the operator's and its own.
    pub limits: Option<Limits>,
    /// What follows from its faults; absent for a router, whose faults fail the attempt.
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
    /// In use, maybe with the content from before a change that was refused.
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
