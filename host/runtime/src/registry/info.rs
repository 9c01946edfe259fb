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
    /// What it is held to: the lower of the operator's limits and its own.
    pub limits: Option<Limits>,
    /// What follows from its faults; absent for a router, whose faults fail the attempt.
    pub on_fault: Option<OnFault>,
    /// What it used since the server's start, and what its canary did; absent unless it serves.
    pub used: Option<PluginUse>,
}

/// What a file's plugin does in jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// `NAME.wasm`: jobs use it.
    Serves,
    /// `NAME.shadow.wasm`: it is shown the calls of the plugin of its name in jobs, without effect.
    /// The API calls it a candidate.
    #[serde(rename = "candidate")]
    Canary,
}

impl Role {
    pub(super) fn of(file: &str) -> Self {
        if file.ends_with(Self::Canary.ending()) { Self::Canary } else { Self::Serves }
    }

    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Serves => ".wasm",
            Self::Canary => ".shadow.wasm",
        }
    }
}

/// What became of a file. Serialized as a sentence that begins with `ready`, `refused` or
/// `overridden`.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// In use, maybe with the content from before a change that was refused.
    Ready,
    /// Nothing of it is in use.
    Refused(Refusal),
    /// It ships, and the user's plugin in this file has its name.
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
