//! Health report for operators.

use ocellus_media::Hardware;
use ocellus_runtime::{Kind, PluginInfo, Role, State};
use serde::Serialize;

use super::state::Engine;
use crate::outbox::Deliveries;

/// What `GET /health/` shows.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub version: &'static str,
    /// Where detectors run, which there are, and which folders are none.
    pub detectors: ocellus_detect::Report,
    /// What tells identities apart.
    pub embedders: ocellus_detect::EmbedderReport,
    /// Those that are in use; `/plugins/` says more.
    pub plugins: Vec<PluginHealth>,
    pub decoding: DecodingReport,
    pub jobs: Running,
    pub deliveries: Deliveries,
}

/// A plugin that jobs use. What it said and what it costs is for those with the token.
#[derive(Clone, Debug, Serialize)]
pub struct PluginHealth {
    pub name: String,
    pub version: Option<String>,
    pub kind: Option<Kind>,
}

/// What decodes.
#[derive(Clone, Debug, Serialize)]
pub struct DecodingReport {
    /// What the operator asked for.
    pub choice: String,
    /// Devices at hand, in the order in which they are tried; software does what they do not.
    pub devices: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Running {
    pub running: usize,
    pub most: usize,
}

impl PluginHealth {
    fn of(plugin: PluginInfo) -> Option<Self> {
        let PluginInfo { name, version, kind, role, state, .. } = plugin;
        let in_use = role == Role::Serves && state == State::Ready;
        name.filter(|_| in_use).map(|name| Self { name, version, kind })
    }
}

impl Engine {
    pub fn health(&self) -> Health {
        Health {
            version: env!("CARGO_PKG_VERSION"),
            detectors: self.0.detectors.report(),
            embedders: self.0.embedders.report(),
            plugins: self.0.plugins.list().into_iter().filter_map(PluginHealth::of).collect(),
            decoding: DecodingReport {
                choice: self.0.config.decoding.to_string(),
                devices: self
                    .0
                    .config
                    .decoding
                    .bring_up()
                    .unwrap_or_default()
                    .into_iter()
                    .map(Hardware::name)
                    .collect(),
            },
            jobs: Running { running: self.0.jobs.running(), most: self.0.config.jobs.max(1) },
            deliveries: self.0.outbox.figures(),
        }
    }
}
